"""The dashboard as a person uses it, in a real browser, with and without JavaScript."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.conftest import Window
from tests.servers import Deployment, Standalone
from tests.services.processes import PATIENCE

pytestmark = pytest.mark.services


@contextmanager
def window(browser: Browser, url: str, *, path: str = "/dashboard/", **options: Any) -> Iterator[Window]:
    context = browser.new_context(base_url=url, **options)
    context.set_default_timeout(PATIENCE * 1000)
    found = Window(page=context.new_page(), origin=url)
    found.watch()
    found.page.goto(path)
    yield found
    context.close()


def titled(found: Window, title: str) -> Locator:
    return found.page.locator(".task", has_text=title)


def a_title(text: str) -> str:
    """One that no other test uses."""
    return f"{text} {uuid.uuid4().hex[:8]}"


def wait_until_live(found: Window) -> None:
    expect(found.page.locator("#live")).to_have_attribute("data-state", "live")


def test_a_task_made_on_the_page_is_done_before_ones_eyes(standalone: Standalone, chromium: Browser) -> None:
    title = a_title("Watch me")
    with window(chromium, standalone.url) as found:
        wait_until_live(found)
        found.loaded.clear()
        found.page.get_by_label("Title", exact=True).fill(title)
        found.page.get_by_role("textbox", name="Message").fill("It works")
        found.page.get_by_label("Seconds").fill("5")
        found.page.get_by_role("button", name="Create task").click()
        first = found.page.locator(".task").first
        expect(first).to_contain_text(title)
        expect(first.locator("progress")).to_be_visible()
        expect(first.locator(".chip")).to_have_text("Done")
        expect(found.page.locator("#toasts")).to_contain_text(title)
        expect(found.page.get_by_label("Title", exact=True)).to_be_focused()
        assert found.loaded == []
        assert found.trouble == []


def test_the_whole_day_without_javascript(standalone: Standalone, chromium: Browser) -> None:
    title = a_title("By hand")
    with window(chromium, standalone.url, java_script_enabled=False) as found:
        found.page.get_by_label("Title", exact=True).fill(title)
        found.page.get_by_label("Seconds").fill("600")
        found.page.get_by_role("button", name="Create task").click()
        expect(found.page.locator(".notice")).to_have_text(f"“{title}” was created.")
        titled(found, title).get_by_role("button", name="Complete").click()
        expect(titled(found, title).locator(".chip")).to_have_text("Done")
        titled(found, title).get_by_role("link", name="Delete").click()
        found.page.get_by_role("button", name="Delete").click()
        expect(found.page.locator(".notice")).to_have_text(f"“{title}” was deleted.")
        expect(titled(found, title)).to_have_count(0)
        found.page.get_by_label("Title", exact=True).fill("   ")
        found.page.get_by_role("textbox", name="Message").fill("Kept")
        found.page.get_by_role("button", name="Create task").click()
        expect(found.page.locator("#title-error")).to_have_text("A title is required.")
        expect(found.page.get_by_role("textbox", name="Message")).to_have_value("Kept")


def test_what_others_make_is_announced_and_comes_when_asked_for(standalone: Standalone, chromium: Browser) -> None:
    standalone.api.submit(a_title("Already here"))
    title = a_title("From elsewhere")
    with window(chromium, standalone.url) as found:
        wait_until_live(found)
        standalone.api.submit(title)
        news = found.page.locator("#news")
        expect(news).to_contain_text("1 new")
        expect(titled(found, title)).to_have_count(0)
        news.click()
        expect(found.page.locator(".task").first).to_contain_text(title)
        expect(news).to_be_hidden()
        assert found.trouble == []


def test_a_running_task_is_cancelled_and_a_finished_one_deleted_in_place(
    standalone: Standalone, chromium: Browser
) -> None:
    title = a_title("Too long")
    standalone.api.submit(title, payload={"message": "m", "seconds": 600})
    with window(chromium, standalone.url) as found:
        wait_until_live(found)
        found.loaded.clear()
        row = titled(found, title)
        expect(row.locator("progress")).to_be_visible()
        row.get_by_role("button", name="Cancel").click()
        expect(row.locator(".chip")).to_have_text("Cancelled")
        row.get_by_role("link", name="Delete").click()
        expect(found.page.get_by_role("dialog")).to_contain_text(title)
        found.page.keyboard.press("Escape")
        expect(row).to_have_count(1)
        row.get_by_role("link", name="Delete").click()
        found.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0)
        expect(found.page.get_by_role("dialog")).to_be_hidden()
        assert found.loaded == []
        assert found.trouble == []


def test_an_error_stands_beside_its_field_without_a_reload(standalone: Standalone, chromium: Browser) -> None:
    with window(chromium, standalone.url) as found:
        wait_until_live(found)
        found.loaded.clear()
        found.page.get_by_label("Title", exact=True).fill("   ")
        found.page.get_by_role("textbox", name="Message").fill("Kept")
        found.page.get_by_role("button", name="Create task").click()
        expect(found.page.locator("#title-error")).to_have_text("A title is required.")
        expect(found.page.get_by_role("textbox", name="Message")).to_have_value("Kept")
        expect(found.page.get_by_label("Title", exact=True)).to_be_focused()
        assert found.loaded == []


def test_hostile_text_stays_text(standalone: Standalone, chromium: Browser) -> None:
    title = a_title("<img src=x onerror=document.title='taken'><script>document.title='taken'</script>")
    with window(chromium, standalone.url) as found:
        wait_until_live(found)
        found.page.get_by_label("Title", exact=True).fill(title)
        found.page.get_by_role("button", name="Create task").click()
        expect(titled(found, title).locator(".chip")).to_have_text("Done")
        expect(found.page).to_have_title("Tasks · Taskmanager")
        assert found.trouble == []


@pytest.mark.parametrize(("system", "other"), [("light", "dark"), ("dark", "light")])
def test_the_switch_outlives_a_reload_and_gives_way_to_the_system(
    standalone: Standalone, chromium: Browser, system: Any, other: str
) -> None:
    with window(chromium, standalone.url, color_scheme=system) as found:
        switch, root = found.page.get_by_label("Switch between light and dark"), found.page.locator("html")
        switch.click()
        found.page.reload()
        expect(root).to_have_attribute("data-theme", other)
        switch.click()
        found.page.reload()
        assert root.get_attribute("data-theme") is None


@pytest.mark.parametrize("width", [360, 390, 768, 1440])
@pytest.mark.parametrize("path", ["/dashboard/", "/login/", "/nothing"])
def test_nothing_is_wider_than_the_screen(standalone: Standalone, chromium: Browser, width: int, path: str) -> None:
    standalone.api.submit("W" * 255, payload={"message": "x" * 500})
    with window(chromium, standalone.url, path=path, viewport={"width": width, "height": 800}) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_page_whose_server_goes_away_says_so_and_catches_up(chromium: Browser) -> None:
    with Standalone() as server:
        made = server.api.submit(a_title("Before"), payload={"message": "m", "seconds": 600})
        with window(chromium, server.url) as found:
            wait_until_live(found)
            server.stop()
            expect(found.page.locator("#live")).to_have_attribute("data-state", "offline")
            server.start()
            server.api.call("PUT", f"/tasks/{made['id']}/complete")
            server.api.submit(a_title("Meanwhile"))
            wait_until_live(found)
            expect(found.page.locator(f"#task-{made['id']} .chip")).to_have_text("Done")
            expect(found.page.locator("#news")).to_contain_text("1 new")


def test_with_separate_processes_a_task_is_watched_all_the_same(deployment: Deployment, chromium: Browser) -> None:
    title = a_title("Through Redis")
    # The live process serves the pages too; in production a proxy joins it with the web process under one name.
    with window(chromium, deployment.ws_url.replace("ws", "http", 1)) as found:
        wait_until_live(found)
        found.loaded.clear()
        found.page.get_by_label("Title", exact=True).fill(title)
        found.page.get_by_label("Seconds").fill("5")
        found.page.get_by_role("button", name="Create task").click()
        expect(titled(found, title).locator("progress")).to_be_visible()
        expect(titled(found, title).locator(".chip")).to_have_text("Done")
        assert found.loaded == []
        assert found.trouble == []


def test_without_redis_the_page_says_delayed_and_catches_up(breakable: Deployment, chromium: Browser) -> None:
    title = a_title("Unseen")
    made = breakable.api.submit(title)
    breakable.api.wait(made["id"])
    with window(chromium, breakable.ws_url.replace("ws", "http", 1)) as found:
        wait_until_live(found)
        mark = found.page.locator("#live")
        breakable.services.redis.stop()
        try:
            expect(mark).to_have_attribute("data-state", "delayed")
            breakable.api.call("DELETE", f"/tasks/{made['id']}")
        finally:
            breakable.services.redis.start()
        expect(mark).to_have_attribute("data-state", "live")
        expect(titled(found, title)).to_have_count(0)
