"""The dashboard as a browser without JavaScript sees it, and the parts that htmx asks for."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tasks_app import lifecycle
from tasks_app.models import Task, TaskEvent, TaskStatus
from tasks_app.pages import listing
from tasks_app.pages.listing import PAGE, KeptCounts
from tasks_app.validation import NewTask
from tests.tasks_app.making import fresh, person, submitted

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
URL = "/dashboard/"


def task_of(user: User, title: str = "A task", *, status: str = "PENDING", **fields: Any) -> Task:
    task = lifecycle.submit(NewTask(title=title, **fields), owner_id=user.pk, who="test")
    if status != TaskStatus.PENDING:
        lifecycle.start([task.pk], worker="w1")
    ends: dict[str, Any] = {
        "DONE": {"verb": "succeed"},
        "FAILED": {"verb": "fail", "error_code": "made", "error_message": "The disk is full"},
    }
    if status in ends:
        lifecycle.settle([lifecycle.Outcome(task_id=task.pk, attempt=1, **ends[status])], who="w1")
    return fresh(task)


def shown(text: str) -> list[str]:
    """Titles on a page, from top to bottom."""
    return re.findall(r'<span class="task-title">(.*?)</span>', text)


# ---- Who may look ---------------------------------------------------------------------------------------------------


def test_who_is_not_logged_in_is_sent_to_the_login_and_back(client: Client, anna: User) -> None:
    anna.set_password("password of anna")
    anna.save()
    answer = client.get(URL, {"status": "FAILED"})
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/login/?next=/dashboard/%3Fstatus%3DFAILED"
    back = client.post(answer.headers["Location"], {
        "username": "anna", "password": "password of anna", "next": "/dashboard/?status=FAILED"})  # fmt: skip
    assert back.headers["Location"] == "/dashboard/?status=FAILED"


def test_htmx_is_told_to_load_the_login_page(client: Client) -> None:
    answer = client.post(URL, {"title": "x"}, headers=HTMX)
    assert answer.headers["HX-Redirect"] == "/login/?next=/dashboard/"
    assert not Task.objects.exists()


def test_the_built_in_user_needs_no_login_where_the_operator_says_so(client: Client, settings: Any) -> None:
    settings.ANONYMOUS_API = "on"
    assert client.post(URL, {"title": "By nobody in particular"}).status_code == 302
    task = Task.objects.get()
    assert task.owner is not None
    assert task.owner.username == "local"
    assert TaskEvent.objects.get(task=task).who == "page:local"
    assert "curl -X POST http://testserver/tasks" in client.get(URL, {"status": ""}).content.decode()


def test_a_member_sees_only_their_own_tasks_in_the_list_and_in_the_counts(page: Client, anna: User) -> None:
    task_of(anna, "Mine")
    task_of(person("bert", "member"), "Not mine")
    text = page.get(URL).content.decode()
    assert shown(text) == ["Mine"]
    assert '<span class="count" id="count-ALL">1</span>' in text


def test_a_viewer_sees_all_tasks_and_no_buttons(client: Client, anna: User) -> None:
    task_of(anna, "Anna's")
    client.force_login(person("vera", "viewer"))
    text = client.get(URL).content.decode()
    assert shown(text) == ["Anna&#x27;s"]
    assert "formaction" not in text
    assert "data-dialog" not in text
    assert 'id="create-form"' not in text
    assert client.post(URL, {"title": "x"}).status_code == 403


@pytest.mark.parametrize("verb", ["cancel", "complete", "reopen", "delete"])
def test_nobody_reaches_a_task_that_is_not_theirs(page: Client, verb: str) -> None:
    foreign = task_of(person("bert", "member"), status="DONE" if verb == "reopen" else "PENDING")
    assert page.post(f"/dashboard/tasks/{foreign.pk}/{verb}").status_code == 404
    assert fresh(foreign).version == foreign.version


@pytest.mark.parametrize("path", ["", "samples", "tasks/{}/cancel", "tasks/{}/complete", "tasks/{}/delete"])
def test_a_post_without_the_csrf_token_changes_nothing(anna: User, path: str) -> None:
    task = task_of(anna)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(anna)
    answer = browser.post(URL + path.format(task.pk), {"title": "x"})
    assert answer.status_code == 403
    assert Task.objects.count() == 1
    assert fresh(task).version == task.version


# ---- The list -------------------------------------------------------------------------------------------------------


def test_the_newest_task_is_on_top_and_older_ones_are_a_page_away(page: Client, anna: User) -> None:
    titles = [f"Task {number:02}" for number in range(PAGE + 3)]
    lifecycle.submit_many([NewTask(title=title) for title in titles], owner_id=anna.pk, who="test")
    first = page.get(URL).content.decode()
    assert shown(first) == titles[: -PAGE - 1 : -1]
    older = re.search(r'href="([^"]*after=[^"]*)"', first)
    assert older
    second = page.get(older.group(1).replace("&amp;", "&")).content.decode()
    assert shown(second) == ["Task 02", "Task 01", "Task 00"]
    assert "after=" not in re.sub(r'name="next" value="[^"]*"', "", second).replace(older.group(1), "")


def test_a_filter_shows_one_status_and_the_counts_show_all(page: Client, anna: User) -> None:
    task_of(anna, "Broken", status="FAILED")
    task_of(anna, "Fine", status="DONE")
    text = page.get(URL, {"status": "FAILED"}).content.decode()
    assert shown(text) == ["Broken"]
    assert '<span class="count" id="count-DONE">1</span>' in text
    assert re.search(r'href="/dashboard/\?status=FAILED"[^>]*aria-current="page"', text)


@pytest.mark.parametrize("query", ["status=BROKEN", "after=abc", "status=<script>"])
def test_an_address_that_makes_no_sense_is_explained(page: Client, query: str) -> None:
    answer = page.get(f"{URL}?{query}")
    assert answer.status_code == 400
    assert "<h1>Bad Request</h1>" in answer.content.decode()
    assert "<script>" not in answer.content.decode().replace("<script src", "")


def test_what_people_typed_is_never_markup(page: Client, anna: User) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
    task_of(anna, evil, status="FAILED", payload={"message": evil, evil: evil}, kind="message")
    Task.objects.update(error_message=evil, message=evil)
    for path in (URL, f"/dashboard/tasks/{Task.objects.get().pk}/delete"):
        text = page.get(path).content.decode()
        assert "<script>" not in text
        assert "<img" not in text
    assert "<img" not in page.post(URL, {"title": evil, "seconds": evil}).content.decode()


def test_a_row_says_how_far_a_running_task_is_and_why_a_failed_one_failed(page: Client, anna: User) -> None:
    running = task_of(anna, "Running", status="PROCESSING", payload={"message": "m"})
    lifecycle.report_progress(running.pk, attempt=1, progress=42, message="Reading page 3")
    task_of(anna, "Failed", status="FAILED")
    text = page.get(URL).content.decode()
    assert 'value="42"' in text
    assert "42 %" in text
    assert "Reading page 3" in text
    assert "attempt 1/5" in text
    assert "The disk is full" in text
    assert "{&quot;message&quot;: &quot;m&quot;}" in text


@pytest.mark.parametrize(
    ("status", "verbs"),
    [
        ("PENDING", {"cancel", "complete"}),
        ("PROCESSING", {"cancel", "complete"}),
        ("DONE", {"reopen"}),
        ("FAILED", {"reopen", "complete"}),
    ],
)
def test_a_row_has_a_button_for_what_is_allowed_now(page: Client, anna: User, status: str, verbs: set[str]) -> None:
    task = task_of(anna, status=status)
    text = page.get(URL).content.decode()
    assert set(re.findall(rf'formaction="/dashboard/tasks/{task.pk}/(\w+)"', text)) == verbs
    assert f'href="/dashboard/tasks/{task.pk}/delete"' in text


def test_a_row_is_the_same_for_everybody_and_has_no_token_in_it(page: Client, anna: User) -> None:
    task_of(anna)
    text = page.get(URL).content.decode()
    row = text[text.index('<li class="task"') : text.index("</li>")]
    assert "csrf" not in row
    assert "anna" not in row


def test_the_list_takes_the_same_few_queries_however_many_rows(
    page: Client, anna: User, django_assert_max_num_queries: Any
) -> None:
    lifecycle.submit_many([NewTask(title="A task")] * PAGE, owner_id=anna.pk, who="test")
    with django_assert_max_num_queries(7):  # session, user, permissions (two), list, counts, endpoints that need an eye
        page.get(URL)


def test_the_first_visit_offers_three_samples(page: Client) -> None:
    text = page.get(URL).content.decode()
    assert "No tasks yet" in text
    assert "Make three sample tasks" in text
    assert "curl" not in text  # it would need a token that this person has not
    assert page.post(reverse("tasks:samples")).status_code == 302
    assert Task.objects.count() == 3


def test_the_list_alone_is_what_htmx_gets_when_it_swaps_the_list(page: Client, anna: User) -> None:
    task_of(anna, "Mine")
    text = page.get(URL, headers={**HTMX, "HX-Target": "tasks"}).content.decode()
    assert "<html" not in text
    assert shown(text) == ["Mine"]


# ---- Making a task --------------------------------------------------------------------------------------------------


def test_a_task_is_made_and_the_browser_comes_back_to_the_list(page: Client, anna: User) -> None:
    answer = page.post(URL, {"title": " Hello ", "message": "It works", "seconds": "1.5"})
    assert (answer.status_code, answer.headers["Location"]) == (302, URL)
    task = Task.objects.get()
    assert (task.title, task.payload, task.owner) == ("Hello", {"message": "It works", "seconds": 1.5}, anna)
    assert TaskEvent.objects.get(task=task).who == "page:anna"
    assert "“Hello” was created." in page.get(URL).content.decode()


@pytest.mark.parametrize(
    ("message", "seconds", "payload"),
    [
        ("", "", None),
        ("Hi", "", {"message": "Hi"}),
        ("", "2", {"message": "", "seconds": 2}),
        ("Hi", "0", {"message": "Hi"}),
    ],
)
def test_the_payload_holds_what_was_filled_in(page: Client, message: str, seconds: str, payload: Any) -> None:
    page.post(URL, {"title": "x", "message": message, "seconds": seconds})
    assert Task.objects.get().payload == payload


@pytest.mark.parametrize(
    ("typed", "field", "sentence"),
    [
        ({"title": "   "}, "title", "A title is required."),
        ({}, "title", "A title is required."),
        ({"title": "x" * 256}, "title", "At most 255 characters; this has 256."),
        ({"title": "x", "seconds": "-1"}, "seconds", "A number from 0 to 3,600."),
        ({"title": "x", "seconds": "nan"}, "seconds", "A number from 0 to 3,600."),
        ({"title": "x", "seconds": "soon"}, "seconds", "A number from 0 to 3,600."),
        ({"title": "x", "message": "a\0b"}, "message", "Null characters are not allowed."),
    ],
)
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
def test_an_error_stands_beside_its_field_and_what_was_typed_is_kept(
    page: Client, typed: dict[str, str], field: str, sentence: str, headers: dict[str, str]
) -> None:
    answer = page.post(URL, {"message": "Kept as typed", **typed}, headers=headers)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert f'id="{field}-error">{sentence}</p>' in text
    assert re.search(rf'id="id_{field}"[^>]*aria-invalid="true"', text)
    assert typed.get("message", "Kept as typed").replace("\0", "") in text.replace("\0", "")
    assert ("<html" in text) == (headers == {})
    assert not Task.objects.exists()


def test_htmx_gets_an_empty_form_the_new_row_and_the_counts(page: Client) -> None:
    answer = page.post(URL, {"title": "Hello"}, headers=HTMX)
    text = answer.content.decode()
    assert answer.status_code == 201
    assert 'hx-swap-oob="afterbegin:#task-rows"' in text
    assert shown(text) == ["Hello"]
    assert 'id="count-ALL" hx-swap-oob="true">1<' in text
    assert re.search(r'id="id_title"[^>]*value=""', text)


# ---- What may be done to a task -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "verb", "after"),
    [
        ("PENDING", "cancel", "CANCELLED"),
        ("PENDING", "complete", "DONE"),
        ("PROCESSING", "complete", "DONE"),
        ("FAILED", "reopen", "PENDING"),
        ("DONE", "reopen", "PENDING"),
    ],
)
def test_a_button_does_its_verb_and_leads_back(page: Client, anna: User, status: str, verb: str, after: str) -> None:
    task = task_of(anna, "Hello", status=status)
    answer = page.post(f"/dashboard/tasks/{task.pk}/{verb}", {"next": "/dashboard/?status=PENDING"})
    assert answer.headers["Location"] == "/dashboard/?status=PENDING"
    assert fresh(task).status == after
    assert TaskEvent.objects.filter(task=task, who="page:anna").count() == 1
    assert "“Hello” is" in page.get(URL).content.decode()


def test_htmx_gets_the_changed_row(page: Client, anna: User) -> None:
    task = task_of(anna)
    text = page.post(f"/dashboard/tasks/{task.pk}/cancel", headers=HTMX).content.decode()
    assert f'id="task-{task.pk}" data-version="2" data-status="CANCELLED" hx-swap-oob="true"' in text
    assert 'id="count-CANCELLED" hx-swap-oob="true">1<' in text


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "htmx"])
def test_a_button_that_came_too_late_says_so(page: Client, anna: User, headers: dict[str, str]) -> None:
    task = task_of(anna, status="DONE")
    answer = page.post(f"/dashboard/tasks/{task.pk}/cancel", headers=headers)
    text = answer.content.decode() if headers else page.get(URL).content.decode()
    assert "A task that is DONE cannot be cancelled." in text
    assert fresh(task).version == task.version


def test_deleting_asks_first(page: Client, anna: User) -> None:
    task = task_of(anna, "Hello")
    question = page.get(f"/dashboard/tasks/{task.pk}/delete", {"next": "/dashboard/?status=DONE"}).content.decode()
    assert "Delete this task?" in question
    assert 'href="/dashboard/?status=DONE"' in question
    assert Task.objects.exists()
    answer = page.post(f"/dashboard/tasks/{task.pk}/delete", {"next": "/dashboard/?status=DONE"})
    assert answer.headers["Location"] == "/dashboard/?status=DONE"
    assert not Task.objects.exists()


def test_the_dialog_gets_the_question_alone_and_the_list_loses_the_row(page: Client, anna: User) -> None:
    task = task_of(anna)
    assert "<html" not in page.get(f"/dashboard/tasks/{task.pk}/delete", headers=HTMX).content.decode()
    text = page.post(f"/dashboard/tasks/{task.pk}/delete", headers=HTMX).content.decode()
    assert f'<li id="task-{task.pk}" class="task" hx-swap-oob="delete"></li>' in text


@pytest.mark.parametrize(
    "next_page",
    [
        "https://evil.example/",
        "//evil.example/dashboard/?a=b",
        "/admin/?x=y",
        "\\\\evil",
        "http://[",
        "http://\u2100.com/",
    ],
)
def test_a_verb_leads_nowhere_but_to_the_dashboard(page: Client, anna: User, next_page: str) -> None:
    answer = page.post(f"/dashboard/tasks/{task_of(anna).pk}/cancel", {"next": next_page})
    assert answer.headers["Location"].split("?")[0] == URL


def test_a_form_that_is_too_large_makes_nothing(page: Client, anna: User) -> None:
    """Cut at the limit it would have been a task with half of its message."""
    answer = page.post(URL, {"title": "x", "message": "x" * 1_100_000})
    assert answer.status_code == 413
    assert not Task.objects.exists()


@pytest.mark.parametrize("charset", ["hex", "undefined", "idna", "latin-1", "utf-16", "unknown"])
@pytest.mark.parametrize("form", ["multipart/form-data; boundary=b", "application/x-www-form-urlencoded"])
def test_forms_are_utf_8(page: Client, form: str, charset: str) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nx\r\n--b--\r\n'
    answer = page.generic("POST", URL, part, content_type=f"{form}; charset={charset}")
    assert answer.status_code == 400
    assert not Task.objects.exists()


@pytest.mark.parametrize("path", ["tasks/{}/start", "tasks/{}/settle", "tasks/x/cancel"])
def test_other_verbs_have_no_address(page: Client, anna: User, path: str) -> None:
    assert page.post(URL + path.format(task_of(anna).pk)).status_code == 404


def test_pages_stay_out_of_caches_and_under_the_policy(page: Client) -> None:
    answer = page.get(URL)
    assert "no-store" in answer.headers["Cache-Control"]
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    text = answer.content.decode()
    assert not re.search(r"\sstyle=|<style|\son\w+=|<script(?! (src|type=\"module\" src)=)", text)
    assert not re.search(r'(src|href|action)="(https?:)?//', text)


def test_counts_that_take_long_are_kept_for_a_while_and_others_are_not(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.force_login(User.objects.create_superuser("boss"))

    def shown() -> int:
        context = client.get("/dashboard/").context
        return int(context["counts"][0]["number"])

    submitted()
    assert shown() == 1
    submitted()
    assert shown() == 2
    kept = KeptCounts()
    monkeypatch.setattr(kept, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(kept, "SHARE", 1_000_000)
    monkeypatch.setattr(listing, "_kept", kept)
    assert shown() == 2
    submitted()
    assert shown() == 2
    monkeypatch.setattr(listing, "_kept", KeptCounts())
    assert shown() == 3
