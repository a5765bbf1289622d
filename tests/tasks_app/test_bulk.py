"""One verb for many tasks: asked first, then done a hundred at a time."""

import html
import re
import uuid
from typing import Any

import pytest
from django.test import Client

from tasks_app import lifecycle
from tasks_app.models import Task, TaskEvent
from tasks_app.pages import bulk
from tasks_app.validation import NewTask
from tests.tasks_app.making import fresh, person
from tests.tasks_app.test_pages import task_of

pytestmark = pytest.mark.django_db
ASK, ACT = "/dashboard/bulk", "/dashboard/bulk/act"


def ids_in(text: str) -> str:
    found = re.search(r'name="ids" value="([^"]*)"', text)
    assert found
    return found.group(1)


def test_picked_tasks_are_shown_with_their_number_first_and_nothing_is_done(page: Client, anna: Any) -> None:
    tasks = [task_of(anna, "One"), task_of(anna, "Two", status="PROCESSING"), task_of(anna, "Ended", status="DONE")]
    text = page.post(ASK, {"verb": "cancel", "id": [str(task.pk) for task in tasks]}).content.decode()
    assert "Cancel 2 tasks?" in text
    assert "1 pending, 1 processing." in text
    assert "1 more is left out: ended already, or not yours to change." in text
    assert not TaskEvent.objects.filter(who="page:anna").exists()


@pytest.mark.parametrize(
    ("verb", "said"), [("cancel", "2 tasks were cancelled."), ("delete", "2 tasks were deleted."),
                       ("rerun", "2 tasks were started again.")]
)  # fmt: skip
def test_what_is_confirmed_is_done_to_just_those(page: Client, anna: Any, verb: str, said: str) -> None:
    one, two, other = (task_of(anna, title) for title in ("One", "Two", "Other"))
    asked = page.post(ASK, {"verb": verb, "id": [str(one.pk), str(two.pk)], "next": "/dashboard/?status=PENDING"})
    answer = page.post(ACT, {"verb": verb, "ids": ids_in(asked.content.decode()), "next": "/dashboard/?status=PENDING"})
    assert answer.headers["Location"] == "/dashboard/?status=PENDING"
    assert said in page.get("/dashboard/").content.decode()
    assert fresh(other).version == 1
    assert Task.objects.filter(pk__in=[one.pk, two.pk]).count() == (0 if verb == "delete" else 2)
    assert Task.objects.filter(rerun_of__in=[one.pk, two.pk], owner=anna).count() == (2 if verb == "rerun" else 0)
    assert Task.objects.filter(status="CANCELLED").count() == (2 if verb == "cancel" else 0)


def test_all_that_match_are_those_of_the_filters(page: Client, anna: Any) -> None:
    for number in range(3):
        task_of(anna, f"Import {number}")
    task_of(anna, "Other")
    text = page.post(ASK, {"verb": "delete", "all": "1", "next": "/dashboard/?text=import"}).content.decode()
    assert "Delete 3 tasks?" in text
    task_of(anna, "Import too late")
    page.post(ACT, {"verb": "delete", "ids": ids_in(text), "next": "/dashboard/?text=import"})
    assert set(Task.objects.values_list("title", flat=True)) == {"Other", "Import too late"}


def test_a_thousand_at_most_and_a_hundred_in_each_request(
    page: Client, anna: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST", 25)
    monkeypatch.setattr(bulk, "EACH", 10)
    lifecycle.submit_many([NewTask(title="x")] * 30, owner_id=anna.pk, who="test")
    text = page.post(ASK, {"verb": "cancel", "all": "1"}).content.decode()
    assert "Cancel 25 tasks?" in text
    assert "More match than are done at once" in text
    form = {"verb": "cancel", "ids": ids_in(text), "total": "25"}
    first = page.post(ACT, form).content.decode()
    assert "<h1>10 of 25</h1>" in first
    second = page.post(ACT, form | {"ids": ids_in(first), "done": "10"}).content.decode()
    assert "<h1>20 of 25</h1>" in second
    assert page.post(ACT, form | {"ids": ids_in(second), "done": "20"}).status_code == 302
    assert "25 tasks were cancelled." in page.get("/dashboard/").content.decode()
    assert Task.objects.filter(status="CANCELLED").count() == 25


@pytest.mark.parametrize("verb", ["cancel", "delete", "rerun"])
def test_tasks_of_others_are_neither_named_nor_touched(page: Client, verb: str) -> None:
    foreign = task_of(person("bert", "member"), "Secret")
    text = page.post(ASK, {"verb": verb, "id": [str(foreign.pk)]}).content.decode()
    assert "Nothing to do" in text
    assert "Secret" not in text
    page.post(ACT, {"verb": verb, "ids": str(foreign.pk)})
    assert fresh(foreign).version == 1
    assert not Task.objects.filter(rerun_of=foreign).exists()


@pytest.mark.parametrize("verb", ["cancel", "delete", "rerun"])
def test_a_viewer_changes_nothing(client: Client, anna: Any, verb: str) -> None:
    task = task_of(anna)
    client.force_login(person("vera", "viewer"))
    assert "Nothing to do" in client.post(ASK, {"verb": verb, "id": [str(task.pk)]}).content.decode()
    client.post(ACT, {"verb": verb, "ids": str(task.pk)})
    assert fresh(task).version == 1
    assert 'id="bulk"' not in client.get("/dashboard/").content.decode()


@pytest.mark.parametrize(
    "form", [{"verb": "start"}, {"verb": "cancel", "id": "x"}, {"verb": "cancel", "id": "'; DROP TABLE x --"},
             {"verb": "cancel", "id": [str(uuid.uuid4()) for _ in range(1001)]}]
)  # fmt: skip
def test_forms_that_make_no_sense_are_refused(page: Client, form: dict[str, Any]) -> None:
    assert page.post(ASK, form).status_code in (400, 413)
    ids = form.get("id", "")
    act = {"verb": form["verb"], "ids": ids if isinstance(ids, str) else ",".join(ids)}
    assert page.post(ACT, act).status_code == 400 or not act["ids"]


@pytest.mark.parametrize("path", [ASK, ACT])
def test_an_address_to_come_back_to_that_is_none_leads_to_the_list(page: Client, path: str) -> None:
    answer = page.post(path, {"verb": "cancel", "next": "http://["})
    assert answer.headers.get("Location", "/dashboard/") == "/dashboard/"


def test_hostile_titles_are_never_markup(page: Client, anna: Any) -> None:
    task = task_of(anna, "<img src=x onerror=alert(1)>")
    text = page.post(
        ASK, {"verb": "delete", "id": [str(task.pk)], "next": "//evil.example/?text=<img>"}
    ).content.decode()
    assert "<img" not in text
    assert "evil" not in html.unescape(text)
