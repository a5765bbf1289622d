"""Watching tasks, news on a narrowed list, values in payloads, and sending a webhook again, in a real browser."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.test_dashboard import a_title, titled, wait_until_live, window
from tests.servers import Standalone
from tests.services.processes import eventually
from tests.services.receiver import Receiver

pytestmark = pytest.mark.services
LATER = "2027-06-01T12:00:00Z"


def test_a_toast_of_ones_own_task_comes_on_the_page_of_another(standalone: Standalone, chromium: Browser) -> None:
    title = a_title("Elsewhere")
    other = standalone.api.submit(title, run_at=LATER)
    here = standalone.api.submit(a_title("Here"), run_at=LATER)
    with window(chromium, standalone.url, path=f"/dashboard/tasks/{here['id']}/") as found:
        wait_until_live(found)
        standalone.api.call("PUT", f"/tasks/{other['id']}/complete")
        toast = found.page.locator("#toasts .toast")
        expect(toast).to_contain_text(title)
        expect(found.page.locator("#toasts")).to_have_attribute("aria-live", "polite")
        toast.get_by_role("link").click()
        expect(found.page).to_have_url(re.compile(other["id"]))
        assert found.trouble == []


def test_who_stops_watching_a_task_is_left_alone(standalone: Standalone, chromium: Browser) -> None:
    quiet, loud = a_title("Quiet"), a_title("Loud")
    made = [standalone.api.submit(title, run_at=LATER) for title in (quiet, loud)]
    with window(chromium, standalone.url, path=f"/dashboard/tasks/{made[0]['id']}/") as found:
        wait_until_live(found)
        found.loaded.clear()
        found.page.get_by_role("button", name="Watching").click()
        switch = found.page.get_by_role("button", name="Watch", exact=True)
        expect(switch).to_have_attribute("aria-pressed", "false")
        assert found.loaded == []
        found.page.goto("/dashboard/")
        wait_until_live(found)
        for one in made:
            standalone.api.call("PUT", f"/tasks/{one['id']}/complete")
        expect(titled(found, quiet).locator(".chip")).to_have_text("Done")
        expect(found.page.locator("#toasts")).to_contain_text(loud)
        expect(found.page.locator("#toasts")).not_to_contain_text(quiet)
        assert found.trouble == []


def test_an_administrator_watches_somebody_elses_task_without_javascript(chromium: Browser) -> None:
    title = a_title("Theirs")
    with Standalone() as server:
        made = server.api.submit(title, run_at=LATER)
        login = f"/login/?next=/dashboard/tasks/{made['id']}/"
        with window(chromium, server.url, path=login, java_script_enabled=False) as found:
            found.page.get_by_label("User name").fill("admin")
            found.page.get_by_label("Password").fill(server.password)
            found.page.get_by_role("button", name="Log in").click()
            found.page.get_by_role("button", name="Watch", exact=True).click()
            expect(found.page.locator(".notice")).to_have_text("You are told of this task now.")
            cookies = found.page.context.cookies()
            with window(chromium, server.url, storage_state={"cookies": cookies, "origins": []}) as open_page:
                wait_until_live(open_page)
                server.api.call("PUT", f"/tasks/{made['id']}/complete")
                expect(open_page.page.locator("#toasts")).to_contain_text(title)


def test_on_a_narrowed_list_only_what_fits_is_new(standalone: Standalone, chromium: Browser) -> None:
    tag = a_title("tag").replace(" ", "-")
    standalone.api.submit(a_title("Already here"), tags=[tag])
    title = a_title("Fits")
    with window(chromium, standalone.url, path=f"/dashboard/?tag={tag}&payload.customer.id=42&size=50") as found:
        wait_until_live(found)
        standalone.api.submit(a_title("Does not fit"))
        standalone.api.submit(title, tags=[tag], payload={"message": "m", "customer": {"id": 42}})
        news = found.page.locator("#news")
        expect(news).to_contain_text("1 new")
        standalone.api.submit(a_title("Fits too"), tags=[tag], payload={"message": "m", "customer": {"id": "42"}})
        expect(news).to_contain_text("2 new")
        news.click()
        expect(found.page.locator(".task")).to_have_count(2)
        expect(titled(found, title)).to_have_count(1)
        expect(found.page).to_have_url(re.compile(rf"tag={tag}&payload.customer.id=42&size=50"))
        assert found.trouble == []


def test_a_value_of_the_payload_is_offered_typed_and_removed(standalone: Standalone, chromium: Browser) -> None:
    word = a_title("cust").replace(" ", "-")
    standalone.api.submit(a_title("One"), payload={"message": "m", "customer": {"key": word}})
    with window(chromium, standalone.url) as found:
        wait_until_live(found)
        box = found.page.locator("#q")
        box.focus()
        offered = found.page.locator(f"#filter-values option[value='payload.customer.key:{word}']")
        expect(offered).to_have_count(1)
        box.fill(f"payload.customer.key: {word}")
        box.press("Enter")
        expect(found.page).to_have_url(re.compile(rf"\?payload.customer.key={word}$"))
        expect(found.page.locator(".task")).to_have_count(1)
        found.page.get_by_role("link", name="Remove the filter payload.customer.key").click()
        expect(found.page.locator(".filter-chip")).to_have_count(0)
        found.page.goto("/dashboard/?payload.a.b.c.d.e.f=1")
        expect(found.page.locator("main")).to_contain_text("At most 5 keys, with dots between.")


@pytest.mark.parametrize("javascript", [True, False])
def test_a_webhook_is_sent_again_and_the_log_says_who_and_why(
    told_standalone: Standalone, hooks: Receiver, chromium: Browser, javascript: bool
) -> None:
    made = told_standalone.api.submit(a_title("Told"), payload={"message": "m"})
    told_standalone.api.wait(made["id"])

    def received() -> int:
        return sum(made["id"] in request.body.decode() for request in hooks.requests)

    eventually(lambda: received() == 1, message="no webhook came")
    path = f"/dashboard/tasks/{made['id']}/"
    with window(chromium, told_standalone.url, path=path, java_script_enabled=javascript) as found:
        box = found.page.locator("#deliveries")
        box.locator(".replay summary").click()
        box.get_by_label("Why?").fill("The receiver lost it")
        found.loaded.clear()
        box.get_by_role("button", name="Replay").click()
        if javascript:
            expect(box).to_contain_text("#2")
            assert found.loaded == []
        else:
            expect(found.page.locator(".notice")).to_have_text("It is sent again in a moment.")
        eventually(lambda: received() == 2, message="it was not sent again")
        found.page.reload()
        expect(box).to_contain_text("by hand, page:local: The receiver lost it")
        assert found.trouble == []


def test_the_timeline_names_worker_attempt_and_release(standalone: Standalone, chromium: Browser) -> None:
    made = standalone.api.submit(a_title("Released"), payload={"message": "m"})
    standalone.api.wait(made["id"])
    with window(chromium, standalone.url, path=f"/dashboard/tasks/{made['id']}/") as found:
        expect(found.page.locator(".step").nth(1)).to_contain_text(
            re.compile(r"Started attempt 1 by \S+ release \d+\.\d+")
        )
