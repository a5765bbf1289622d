"""Webhooks as a person uses them, in a real browser, with and without JavaScript."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from notifications import signing
from tests.browser.conftest import Window
from tests.browser.test_accessibility import serious
from tests.browser.test_dashboard import a_title, window
from tests.servers import Standalone
from tests.services.processes import eventually
from tests.services.receiver import Answer, Receiver

pytestmark = pytest.mark.services
LIST = "/dashboard/webhooks/"


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def make(found: Window, hook: Receiver, description: str) -> str:
    """Fills the form, and returns the secret that is shown."""
    found.page.get_by_role("link", name="New endpoint").click()
    found.page.get_by_label("Address", exact=True).fill(hook.url("/hook"))
    found.page.get_by_label("Description").fill(description)
    found.page.get_by_role("button", name="Create endpoint").click()
    return found.page.locator("#secret-1").inner_text()


def test_an_endpoint_is_made_and_its_test_arrives_before_ones_eyes(
    standalone: Standalone, chromium: Browser, hook: Receiver
) -> None:
    name = a_title("Billing")
    hook.respond(200, delay=1.0)
    with window(chromium, standalone.url, path=LIST) as found:
        secret = make(found, hook, name)
        found.page.get_by_role("button", name="Send a test").click()
        expect(found.page.locator("#delivery-now .chip").first).to_be_visible()
        found.loaded.clear()
        expect(found.page.locator("#delivery-now .chip").first).to_have_text("Delivered")
        expect(found.page.locator(".step strong")).to_have_text("Answered 200")
        assert found.loaded == []
        (request,) = hook.requests
        assert signing.verify([secret], dict(request.headers), request.body, now=time.time()).is_valid
        found.page.get_by_role("link", name=name).click()
        expect(found.page.locator(".figures")).to_contain_text("100 % of 1")
        assert secret not in found.page.content()
        found.loaded.clear()
        task = standalone.api.submit("Told of")
        expect(found.page.locator(".sent").first).to_contain_text("task.completed")
        expect(found.page.locator(".sent").first.locator(".chip")).to_have_text("Delivered")
        assert found.loaded == []
        found.page.goto(f"/dashboard/tasks/{task['id']}/")
        expect(found.page.locator(".delivery", has_text=name)).to_be_visible()
        assert found.trouble == []


def test_what_is_picked_stays_picked_while_more_arrives(
    standalone: Standalone, chromium: Browser, hook: Receiver
) -> None:
    name = a_title("Busy")
    hook.respond(Answer(500))
    with window(chromium, standalone.url, path=LIST) as found:
        make(found, hook, name)
        standalone.api.submit("One")
        found.page.get_by_role("link", name="To the endpoint").click()
        row = found.page.locator(".sent").first
        expect(row.locator(".pick")).to_be_visible()
        chosen = row.locator(".pick").get_attribute("value")
        row.locator(".pick").check()
        standalone.api.wait(standalone.api.submit("Two")["id"])
        found.page.wait_for_timeout(3500)
        assert found.page.locator(".pick:checked").evaluate_all("found => found.map(one => one.value)") == [chosen]
        hook.respond(200)
        found.page.get_by_role("button", name="Send the picked again").click()
        expect(found.page.locator(".notice")).to_have_text("1 delivery is sent again in a moment.")
        expect(
            found.page.locator(".sent", has=found.page.locator(f"a[href*='{chosen}']")).locator(".chip")
        ).to_have_text("Delivered")


def test_the_whole_day_without_javascript(standalone: Standalone, chromium: Browser, hook: Receiver) -> None:
    with window(chromium, standalone.url, path=LIST, java_script_enabled=False) as found:
        secret = make(found, hook, a_title("By hand"))
        found.page.get_by_role("button", name="Send a test").click()
        hook.wait_for(1)

        def is_delivered() -> bool:
            found.page.reload()
            return found.page.locator("#delivery-now .chip").first.inner_text() == "Delivered"

        eventually(is_delivered, interval=0.25)
        found.page.locator(".crumb a").last.click()
        found.page.get_by_role("button", name="Pause").click()
        standalone.api.wait(standalone.api.submit("Held")["id"])
        found.page.reload()
        expect(found.page.locator(".sent").first).to_contain_text("Held")
        found.page.get_by_role("button", name="Enable").click()
        found.page.locator("#recover summary").click()
        found.page.get_by_role("button", name="How many would it be?").click()
        expect(found.page.get_by_role("heading", name="Send 1 delivery again?")).to_be_visible()
        found.page.get_by_role("button", name="Send again").click()
        hook.wait_for(2)
        found.page.get_by_role("button", name="Rotate").click()
        assert found.page.locator("#secret-1").inner_text() != secret
        found.page.get_by_role("link", name="To the endpoint").click()
        found.page.get_by_role("link", name="Delete").click()
        found.page.get_by_role("button", name="Delete").click()
        expect(found.page.locator(".notice")).to_have_text("The endpoint was deleted.")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (360, "dark")])
def test_axe_finds_nothing_serious_and_nothing_overflows(
    standalone: Standalone, chromium: Browser, hook: Receiver, width: int, scheme: Any
) -> None:
    hook.respond(Answer(503, body=b"x" * 5000))
    view: Any = {"color_scheme": scheme, "bypass_csp": True, "viewport": {"width": width, "height": 900}}
    with window(chromium, standalone.url, path=LIST, **view) as found:
        name = a_title("A-name-without-a-single-space-" * 5)
        make(found, hook, name)
        pages = [found.page.url]
        assert serious(found) == []
        found.page.get_by_role("link", name="To the endpoint").click()
        endpoint = found.page.url
        found.page.get_by_role("button", name="Send a test").click()
        expect(found.page.locator("#delivery-now .chip").first).to_have_text("Failed")
        pages = [found.page.url, endpoint, f"{endpoint}edit", f"{endpoint}delete", standalone.url + LIST]
        for page in pages:
            found.page.goto(page)
            assert serious(found) == [], page
            assert found.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page
