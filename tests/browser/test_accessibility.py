"""axe-core over every page, light and dark, wide and narrow: nothing serious."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.browser.conftest import Window
from tests.browser.test_dashboard import window
from tests.servers import Standalone

pytestmark = pytest.mark.services
PATHS = [
    "/dashboard/", "/dashboard/?status=FAILED&kind=message", "/dashboard/?tag=nothing", "/dashboard/new?kind=http_request",
    "/dashboard/new?as=json", "/dashboard/tokens/", "/dashboard/chart", "/login/", "/nothing", "task", "failed", "later",
    "/dashboard/webhooks/", "/dashboard/webhooks/new", "/dashboard/webhooks/check", "/dashboard/webhooks/events",
]  # fmt: skip


@pytest.fixture(scope="module")
def tasks(standalone: Standalone) -> dict[str, str]:
    """Addresses of tasks in different states."""
    done = standalone.api.submit("Fine", payload={"message": "m"}, tags=["a"], metadata={"b": [1, None]})
    failed = standalone.api.submit("Broken", payload={"seconds": 0})
    later = standalone.api.submit("Later", run_at="2027-06-01T12:00:00Z")
    for made in (done, failed):
        standalone.api.wait(made["id"])
    return {
        name: f"/dashboard/tasks/{made['id']}/" for name, made in (("task", done), ("failed", failed), ("later", later))
    }


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
@pytest.mark.parametrize("path", PATHS)
def test_axe_finds_nothing_serious(
    standalone: Standalone, chromium: Browser, tasks: dict[str, str], path: str, width: int, scheme: Any
) -> None:
    with window(chromium, standalone.url, path=tasks.get(path, path), color_scheme=scheme, bypass_csp=True,
                viewport={"width": width, "height": 900}) as found:  # fmt: skip
        found.page.wait_for_timeout(300)  # the chart's colours are compared once it is there
        assert serious(found) == []


def serious(found: Window) -> list[str]:
    """What axe finds on the page, with everything on it unfolded."""
    for summary in found.page.locator("main summary:visible").all():
        summary.click()
    violations = Axe().run(found.page).response["violations"]
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']][:4]}"
        for one in violations
        if one["impact"] in ("serious", "critical")
    ]
