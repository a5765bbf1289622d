"""The dashboard's filters, keys, chart, form for any kind and tokens, as a person uses them in a real browser."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Window
from tests.browser.test_dashboard import a_title, wait_until_live, window
from tests.servers import Standalone

pytestmark = pytest.mark.services


def test_a_filter_is_typed_becomes_a_chip_and_the_address_and_is_removed(
    standalone: Standalone, chromium: Browser
) -> None:
    title = a_title("Filtered")
    standalone.api.submit(title, tags=["nightly-run"])
    standalone.api.submit(a_title("Other"))
    with window(chromium, standalone.url) as found:
        wait_until_live(found)
        box = found.page.locator("#q")
        box.focus()
        expect(found.page.locator("#filter-values option[value='tag:nightly-run']")).to_have_count(1)
        box.fill(f"tag:nightly-run {title.split()[-1]}")
        box.press("Enter")
        expect(found.page).to_have_url(re.compile(r"\?tag=nightly-run&text="))
        expect(found.page.locator(".task")).to_have_count(1)
        wait_until_live(found)
        found.page.get_by_role("link", name="Remove the filter tag").click()
        found.page.get_by_role("link", name="Remove the filter text").click()
        expect(found.page.locator(".filter-chip")).to_have_count(0)
        assert found.page.locator(".task").count() > 1
        assert found.trouble == []


def test_everything_is_reached_by_keys_alone(standalone: Standalone, chromium: Browser) -> None:
    standalone.api.submit(a_title("Below"))
    title = a_title("By keys")
    with window(chromium, standalone.url) as found:
        wait_until_live(found)
        keys = found.page.keyboard
        keys.press("?")
        expect(found.page.get_by_role("dialog")).to_contain_text("Next and previous task")
        keys.press("j")
        expect(found.page.get_by_role("dialog")).to_be_visible()
        keys.press("Escape")
        expect(found.page.get_by_role("dialog")).to_be_hidden()
        keys.press("c")
        expect(found.page.get_by_label("Title", exact=True)).to_be_focused()
        keys.type(title + " /cjk?")
        keys.press("Enter")
        expect(found.page.locator(".task").first).to_contain_text(f"{title} /cjk?")
        expect(found.page.get_by_label("Title", exact=True)).to_have_value("")
        expect(found.page.get_by_label("Title", exact=True)).to_be_focused()
        keys.press("Escape")
        keys.press("/")
        expect(found.page.locator("#q")).to_be_focused()
        keys.press("Escape")
        keys.press("j")
        expect(found.page.locator(".task .task-link").first).to_be_focused()
        keys.press("j")
        expect(found.page.locator(".task .task-link").nth(1)).to_be_focused()
        keys.press("k")
        keys.press("Enter")
        expect(found.page.locator(".task-name")).to_contain_text(title)
        assert found.trouble == []


def test_the_chart_shows_the_last_hour_with_values_on_hover_and_a_table(
    standalone: Standalone, chromium: Browser
) -> None:
    standalone.api.wait(standalone.api.submit(a_title("Counted"))["id"])
    with window(chromium, standalone.url) as found:
        expect(found.page.locator("#chart .minute title").last).to_have_text(
            re.compile(r"\d\d:\d\d UTC: \d+ accepted, \d+ done, \d+ failed")
        )
        found.page.get_by_text("As a table").click()
        expect(found.page.get_by_role("table")).to_contain_text("Accepted")
        assert found.trouble == []


def wait_until_settled(found: Window) -> None:
    """Whoever is faster than htmx is with a new form sends it as without JavaScript, and lands on the task's page."""
    found.page.wait_for_function(
        "!document.querySelector('.htmx-added, .htmx-settling, .htmx-swapping, .htmx-request')"
    )


def test_a_task_of_another_kind_is_made_in_place_and_its_row_appears_at_the_top(
    standalone: Standalone, chromium: Browser
) -> None:
    title = a_title("Another kind")
    with window(chromium, standalone.url) as found:
        wait_until_live(found)
        found.loaded.clear()
        found.page.get_by_role("link", name="Other kinds").click()
        found.page.get_by_label("Kind", exact=True).select_option("http_request")
        expect(found.page.get_by_label("Address")).to_be_visible()
        found.page.get_by_label("Title", exact=True).fill(title)
        found.page.get_by_label("Address").fill("https://example.org/")
        found.page.get_by_label("Method").select_option("POST")
        found.page.get_by_label("Body, as JSON").fill("{wrong")
        found.page.get_by_label("Start, in UTC").fill("2027-01-31T14:00")
        found.page.get_by_role("button", name="Create task").click()
        expect(found.page.get_by_label("Body, as JSON")).to_be_focused()
        expect(found.page.locator("#p-json-error")).to_contain_text("line 1, column 2")
        found.page.get_by_label("Body, as JSON").fill('{"right": true}')
        wait_until_settled(found)
        found.page.get_by_role("button", name="Create task").click()
        expect(found.page.locator(".task").first).to_contain_text(title)
        expect(found.page.get_by_label("Title", exact=True)).to_be_focused()
        expect(found.page.locator("#create-form")).to_be_visible()
        found.page.get_by_role("link", name="Other kinds").click()
        found.page.get_by_role("link", name="JSON", exact=True).click()
        found.page.get_by_label("Title", exact=True).fill("Wrong")
        area = found.page.get_by_label("Payload, as JSON")
        area.fill('{"message": oops}')
        wait_until_settled(found)
        found.page.get_by_role("button", name="Create task").click()
        expect(area).to_be_focused()
        assert area.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") == "o"
        assert found.loaded == []
        assert [text for text in found.trouble if "422" not in text] == []


def test_a_task_of_another_kind_is_made_without_javascript_too(standalone: Standalone, chromium: Browser) -> None:
    title = a_title("By hand")
    with window(chromium, standalone.url, java_script_enabled=False) as found:
        found.page.get_by_role("link", name="Other kinds").click()
        found.page.get_by_label("Kind", exact=True).select_option("http_request")
        found.page.get_by_role("button", name="Choose").click()
        found.page.get_by_label("Title", exact=True).fill(title)
        found.page.get_by_label("Address").fill("https://example.org/")
        found.page.get_by_label("Start, in UTC").fill("2027-01-31T14:00")
        found.page.get_by_role("button", name="Create task").click()
        expect(found.page.locator("#now")).to_contain_text(title)
        expect(found.page.locator("#why")).to_contain_text("2027-01-31 14:00 UTC")


def test_a_token_is_made_copied_used_and_revoked(chromium: Browser) -> None:
    with Standalone() as server, window(chromium, server.url, path="/login/?next=/dashboard/tokens/",
                                        permissions=["clipboard-read", "clipboard-write"]) as found:  # fmt: skip
        found.page.get_by_label("User name").fill("admin")
        found.page.get_by_label("Password").fill(server.password)
        found.page.get_by_role("button", name="Log in").click()
        found.page.get_by_label("Name", exact=True).fill("Nightly import")
        found.page.get_by_role("button", name="Create token").click()
        found.page.get_by_role("button", name="Copy the token").click()
        expect(found.page.locator("[data-copied]")).to_have_count(1)
        text = found.page.evaluate("navigator.clipboard.readText()")
        headers = {"authorization": f"Bearer {text}"}
        assert server.api.call("GET", "/tasks", headers=headers).status_code == 200
        found.page.goto("/dashboard/tokens/")
        expect(found.page.locator("body")).not_to_contain_text(text)
        expect(found.page.locator(".token")).to_contain_text("last used")
        found.page.get_by_role("button", name="Revoke Nightly import").click()
        expect(found.page.locator(".token")).to_contain_text("revoked")
        assert server.api.call("GET", "/tasks", headers=headers).status_code == 401
        assert found.trouble == []


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("path", ["/dashboard/?kind=message&text=import", "/dashboard/new?kind=email", "/dashboard/tokens/",
                                  "/dashboard/chart"])  # fmt: skip
def test_nothing_is_wider_than_the_screen(standalone: Standalone, chromium: Browser, width: int, path: str) -> None:
    with window(chromium, standalone.url, path=path, viewport={"width": width, "height": 800}) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_picked_rows_are_cancelled_after_a_question_that_says_how_many(
    standalone: Standalone, chromium: Browser
) -> None:
    word = a_title("Bulk").replace(" ", "-")
    for number in range(3):
        standalone.api.submit(f"{word} {number}", run_at="2027-06-01T12:00:00Z")
    with window(chromium, standalone.url, path=f"/dashboard/?text={word}") as found:
        wait_until_live(found)
        expect(found.page.locator("#bulk")).to_be_hidden()
        found.page.get_by_label(f"Pick {word} 0").check()
        found.page.get_by_label(f"Pick {word} 2").check()
        expect(found.page.locator("#bulk")).to_contain_text("2 tasks picked")
        found.page.locator("#bulk").get_by_role("button", name="Cancel").click()
        expect(found.page.get_by_role("heading")).to_have_text("Cancel 2 tasks?")
        found.page.get_by_role("button", name="Cancel them").click()
        expect(found.page.locator(".notice")).to_have_text("2 tasks were cancelled.")
        expect(found.page.locator(".task .chip[data-status=CANCELLED]")).to_have_count(2)
        expect(found.page).to_have_url(re.compile(f"text={word}"))
        assert found.trouble == []


@pytest.mark.parametrize("javascript", [True, False])
def test_all_that_match_are_deleted_in_steps_with_progress(
    standalone: Standalone, chromium: Browser, javascript: bool
) -> None:
    word = a_title("Many").replace(" ", "-")
    later = {"run_at": "2027-06-01T12:00:00Z"}
    for number in range(120):
        standalone.api.submit(f"{word} {number}", **later)
    with window(chromium, standalone.url, path=f"/dashboard/?text={word}", java_script_enabled=javascript) as found:
        found.page.locator(".pick").first.check()
        found.page.get_by_label("all that match").check()
        found.page.locator("#bulk").get_by_role("button", name="Delete").click()
        expect(found.page.get_by_role("heading")).to_have_text("Delete 120 tasks?")
        found.page.get_by_role("button", name="Delete").click()
        if not javascript:
            expect(found.page.get_by_role("heading")).to_have_text("100 of 120")
            found.page.get_by_role("button", name="Go on").click()
        expect(found.page.locator(".notice")).to_have_text("120 tasks were deleted.")
        expect(found.page.locator(".task")).to_have_count(0)
