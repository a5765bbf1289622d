"""The pages behind a proxy that offers the server below a path, in a real browser: all that they ask for lies below it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.test_dashboard import a_title, titled, wait_until_live, window
from tests.servers import Deployment
from tests.services.proxies import Prefix, Proxy
from tests.services.stack import Services

pytestmark = pytest.mark.services
PREFIX = "/tasks-app"


@pytest.fixture(scope="module")
def deployment(services: Services) -> Iterator[Deployment]:
    with Deployment(services, PUBLIC_URL=f"https://tasks.example{PREFIX}") as started:
        yield started


@pytest.mark.parametrize(("name", "how"), [("nginx", "stripped"), ("caddy", "kept")])
def test_a_task_made_in_a_form_is_seen_to_end(
    deployment: Deployment, chromium: Browser, name: str, how: Prefix
) -> None:
    title = a_title("Below")
    with (
        Proxy(name, web=deployment.web.port, live=deployment.live.port, prefix=PREFIX, how=how) as proxy,
        window(chromium, proxy.url, path=f"{PREFIX}/dashboard/") as found,
    ):
        wait_until_live(found)
        found.page.get_by_label("Title").first.fill(title)
        found.page.get_by_label("Message").first.fill("m")
        found.page.keyboard.press("Enter")
        expect(titled(found, title).locator(".chip")).to_have_text("Done")
        titled(found, title).get_by_role("link").first.click()
        wait_until_live(found)
        assert found.trouble == []
