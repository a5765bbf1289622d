"""The page of one task as a person uses it, in a real browser, with and without JavaScript."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.test_dashboard import a_title, titled, wait_until_live, window
from tests.servers import Standalone

pytestmark = pytest.mark.services


def test_a_row_leads_to_its_task_and_its_whole_way_is_told_live(standalone: Standalone, chromium: Browser) -> None:
    title = a_title("Watch me")
    made = standalone.api.submit(title, payload={"message": "It works", "seconds": 12})
    with window(chromium, standalone.url) as found:
        titled(found, title).get_by_role("link", name=title).first.click()
        expect(found.page).to_have_url(re.compile(f"/dashboard/tasks/{made['id']}/"))
        wait_until_live(found)
        found.loaded.clear()
        expect(found.page.locator("#now progress")).to_be_visible()
        expect(found.page.locator("#now .progress-text")).to_contain_text("of 12 s")
        expect(found.page.locator("#now .chip").first).to_have_text("Done")
        steps = found.page.locator(".step strong")
        expect(steps).to_have_text(["Submitted", "Started", "Succeeded"])
        expect(found.page.locator("#code-result")).to_contain_text("It works")
        assert found.loaded == []
        assert found.trouble == []


def test_what_is_unfolded_stays_unfolded_while_the_page_changes(standalone: Standalone, chromium: Browser) -> None:
    made = standalone.api.submit(a_title("Open"), payload={"message": "m", "seconds": 600})
    with window(chromium, standalone.url, path=f"/dashboard/tasks/{made['id']}/") as found:
        wait_until_live(found)
        found.page.get_by_text("Repeat it from a terminal").click()
        found.page.locator("#system summary").click()
        standalone.api.call("PUT", f"/tasks/{made['id']}/complete")
        expect(found.page.locator("#now .chip").first).to_have_text("Done")
        expect(found.page.locator("#code-curl")).to_be_visible()
        expect(found.page.locator(".system-reasons")).to_contain_text("The database answers")


def test_a_button_changes_the_page_in_place(standalone: Standalone, chromium: Browser) -> None:
    made = standalone.api.submit(a_title("Too long"), payload={"message": "m", "seconds": 600})
    with window(chromium, standalone.url, path=f"/dashboard/tasks/{made['id']}/") as found:
        wait_until_live(found)
        found.loaded.clear()
        found.page.get_by_role("button", name="Cancel").click()
        expect(found.page.locator("#now .chip").first).to_have_text("Cancelled")
        expect(found.page.get_by_role("button", name="Reopen")).to_be_visible()
        expect(found.page.locator(".not-now")).to_contain_text("Cancel: it has ended (cancelled)")
        assert found.loaded == []
        assert found.trouble == []


def test_a_task_that_is_deleted_elsewhere_says_so(standalone: Standalone, chromium: Browser) -> None:
    made = standalone.api.submit(a_title("Gone"))
    standalone.api.wait(made["id"])
    with window(chromium, standalone.url, path=f"/dashboard/tasks/{made['id']}/") as found:
        wait_until_live(found)
        standalone.api.call("DELETE", f"/tasks/{made['id']}")
        expect(found.page.get_by_text("This task was deleted")).to_be_visible()


def test_a_task_runs_again_with_another_payload(standalone: Standalone, chromium: Browser) -> None:
    made = standalone.api.submit(a_title("Again"), payload={"message": "first"})
    standalone.api.wait(made["id"])
    with window(chromium, standalone.url, path=f"/dashboard/tasks/{made['id']}/") as found:
        wait_until_live(found)
        found.page.get_by_role("link", name="Run again").click()
        area = found.page.get_by_label("Payload, as JSON")
        expect(area).to_be_focused()
        area.fill('{\n  "message": second\n}')
        found.page.locator("#rerun").get_by_role("button", name="Run again").click()
        expect(found.page.locator("#payload-error")).to_contain_text("Line 2, column 14")
        expect(area).to_be_focused()
        assert area.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") == "s"
        area.fill('{"message": "second"}')
        found.page.locator("#rerun").get_by_role("button", name="Run again").click()
        expect(found.page.locator("#now .chip").first).to_have_text("Done")
        expect(found.page.locator("#code-payload")).to_contain_text("second")


def test_the_payload_and_the_command_are_copied(standalone: Standalone, chromium: Browser) -> None:
    made = standalone.api.submit(a_title("Copy"), payload={"message": "copied"})
    with window(chromium, standalone.url, path=f"/dashboard/tasks/{made['id']}/",
                permissions=["clipboard-read", "clipboard-write"]) as found:  # fmt: skip
        found.page.get_by_role("button", name="Copy the payload").click()
        expect(found.page.locator("[data-copied]")).to_have_count(1)
        assert found.page.evaluate("navigator.clipboard.readText()") == '{\n  "message": "copied"\n}'


def test_a_start_that_lies_ahead_is_explained_and_all_works_without_javascript(
    standalone: Standalone, chromium: Browser
) -> None:
    title = a_title("Later")
    made = standalone.api.submit(title, payload={"message": "m"}, run_at="2027-06-01T12:00:00Z")
    with window(chromium, standalone.url, path=f"/dashboard/tasks/{made['id']}/", java_script_enabled=False) as found:
        expect(found.page.locator("#why")).to_contain_text("Its start lies ahead: 2027-06-01 12:00 UTC")
        found.page.get_by_role("button", name="Complete").click()
        expect(found.page.locator("#now .chip").first).to_have_text("Done")
        found.page.get_by_role("link", name="Run again").click()
        found.page.locator("#rerun > summary").click()
        found.page.locator("#rerun").get_by_role("button", name="Run again").click()
        expect(found.page.locator(".notice")).to_contain_text("This is the new task")
        found.page.get_by_role("link", name="Delete").click()
        found.page.get_by_role("button", name="Delete").click()
        expect(found.page.locator(".notice")).to_contain_text("was deleted")


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_wider_than_the_screen(standalone: Standalone, chromium: Browser, width: int) -> None:
    made = standalone.api.submit("W" * 255, payload={"message": "x" * 500, "y" * 300: 1}, tags=["z" * 50])
    standalone.api.wait(made["id"])
    with window(chromium, standalone.url, path=f"/dashboard/tasks/{made['id']}/",
                viewport={"width": width, "height": 800}) as found:  # fmt: skip
        for summary in found.page.locator("summary:visible").all():
            summary.click()
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_when_the_server_goes_away_the_page_says_so_and_then_catches_up(chromium: Browser) -> None:
    with Standalone() as server:
        made = server.api.submit(a_title("Before"), payload={"message": "m", "seconds": 600})
        with window(chromium, server.url, path=f"/dashboard/tasks/{made['id']}/") as found:
            wait_until_live(found)
            server.stop()
            expect(found.page.locator("#live")).to_have_attribute("data-state", "offline")
            expect(found.page.locator("#system")).to_be_hidden()  # nobody knows how the system is now
            found.page.evaluate("htmx.trigger('#task-page', 'changed')")
            found.page.wait_for_timeout(500)
            expect(found.page.locator(".toast")).to_have_count(0)  # nothing that the person did went wrong
            server.start()
            server.api.call("PUT", f"/tasks/{made['id']}/complete")
            wait_until_live(found)
            expect(found.page.locator("#now .chip").first).to_have_text("Done")
