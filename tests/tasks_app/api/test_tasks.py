"""/api/v1/tasks: one task, its verbs, its history."""

import json
from typing import Any

import pytest

from tasks_app import lifecycle
from tasks_app.models import Task, TaskStatus
from tests.tasks_app.api.conftest import Caller, problem
from tests.tasks_app.making import end, in_status, started


def own(caller: Caller, task: Task) -> Task:
    """Gives a task made by making.py to somebody."""
    Task.objects.filter(pk=task.pk).update(owner=caller.user)
    return Task.objects.get(pk=task.pk)


def test_a_task_is_created_and_read_back(ada: Caller) -> None:
    body = {"title": "Hello", "payload": {"message": "It works"}, "tags": ["a"], "metadata": {"k": 1}, "priority": 3}
    answer = ada.post("/api/v1/tasks", body)
    assert answer.status_code == 201
    made = answer.json()
    assert made | body == made
    assert (made["status"], made["owner"], made["version"]) == ("PENDING", "ada", 1)
    assert answer.headers["Location"] == f"/api/v1/tasks/{made['id']}"
    assert answer.headers["ETag"] == '"1"'
    read = ada.get(answer.headers["Location"])
    assert (read.status_code, read.json(), read.headers["ETag"]) == (200, made, '"1"')


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"), ({"title": ""}, "title"), ({"title": 5}, "title"), ({"title": "x", "titel": "y"}, "titel"),
        ({"title": "x" * 256}, "title"), ({"title": "x", "priority": 101}, "priority"), ({"title": "x", "tags": "a"}, "tags"),
        ({"title": "x", "kind": "none"}, "kind"), ({"title": "x", "payload": {"seconds": -1}}, "payload.seconds"),
        ({"title": "a\0b"}, "title"), ({"title": "x", "run_at": "soon"}, "run_at"),
        ({"title": "x", "owner": "bob"}, "owner"), ({"title": "x", "metadata": [1]}, "metadata"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_field(ada: Caller, body: dict[str, Any], field: str) -> None:
    assert field in problem(ada.post("/api/v1/tasks", body), 400, "invalid")["errors"]
    assert not Task.objects.exists()


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"null", b"5"])
def test_a_body_that_is_no_object_is_refused(ada: Caller, body: bytes) -> None:
    problem(ada.post("/api/v1/tasks", body), 400, "invalid")


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b'{"title": NaN}', b'"\\ud800"'])
def test_a_body_that_is_no_json_is_refused(ada: Caller, body: bytes) -> None:
    answer = ada.post("/api/v1/tasks", body)
    assert answer.status_code == 400
    assert answer.json()["code"] in ("parse_error", "invalid")


def test_a_change_names_its_fields_and_counts_a_version(ada: Caller) -> None:
    made = ada.submit()
    answer = ada.call("PATCH", f"/api/v1/tasks/{made['id']}", {"title": "Better", "tags": ["x"]})
    assert answer.status_code == 200
    assert (answer.json()["title"], answer.json()["tags"], answer.headers["ETag"]) == ("Better", ["x"], '"2"')


@pytest.mark.parametrize("name", ["kind", "status", "done", "owner", "id", "version"])
def test_what_cannot_be_changed_is_refused_by_name(ada: Caller, name: str) -> None:
    made = ada.submit()
    answer = ada.call("PATCH", f"/api/v1/tasks/{made['id']}", {name: "x"})
    assert name in problem(answer, 400, "invalid")["errors"]


def test_a_start_long_ago_is_told_with_a_year_of_four_digits(ada: Caller) -> None:
    made = ada.submit()
    answer = ada.call("PATCH", f"/api/v1/tasks/{made['id']}", {"run_at": "0188-01-12T05:33:37+01:00"})
    assert answer.json()["run_at"] == "0188-01-12T04:33:37.000000Z"


def test_a_payload_can_be_changed_only_while_the_task_waits(ada: Caller) -> None:
    task = own(ada, in_status(TaskStatus.DONE))
    problem(ada.call("PATCH", f"/api/v1/tasks/{task.pk}", {"payload": {}}), 409, "wrong_status")


@pytest.mark.parametrize(
    "tag",
    [
        '"2"',
        '"1", "3"',
        'W/"2"',
        '"abc"',
        "1",
        '""',
        "nonsense",
        '"2-gzip"',
        '"1-2"',
        '"1-gzip-2"',
        '"1gzip"',
        '"1-evil"',
        '"-gzip"',
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_stale_version_is_not_changed(ada: Caller, method: str, tag: str) -> None:
    made = ada.submit()
    if tag == '"1", "3"':
        ada.call("PATCH", f"/api/v1/tasks/{made['id']}", {"title": "Second"})
    body = {"title": "Mine"} if method == "PATCH" else None
    problem(ada.call(method, f"/api/v1/tasks/{made['id']}", body, If_Match=tag), 412, "version_conflict")
    assert Task.objects.get(pk=made["id"]).title != "Mine"


@pytest.mark.parametrize(
    "tag",
    [
        '"1"',
        "*",
        '"7", "1"',
        ' "1" ',
        'W/"7", "1"',
        'W/"1"',
        '"1-gzip"',
        'W/"1-gzip"',
        '"1--gzip"',
        '"1;gzip"',
        '"1-br"',
        '"1-zstd"',
        '"7-gzip", W/"1-br"',
    ],
)
def test_the_named_version_is_changed(ada: Caller, tag: str) -> None:
    made = ada.submit()
    assert ada.call("PATCH", f"/api/v1/tasks/{made['id']}", {"title": "Mine"}, If_Match=tag).status_code == 200


def test_a_deleted_task_is_gone(ada: Caller) -> None:
    made = ada.submit()
    answer = ada.call("DELETE", f"/api/v1/tasks/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    problem(ada.get(f"/api/v1/tasks/{made['id']}"), 404, "not_found")


def test_a_person_completes_cancels_and_reopens(ada: Caller) -> None:
    made = ada.submit()
    path = f"/api/v1/tasks/{made['id']}"
    assert ada.post(f"{path}/cancel", {"reason": "Not needed"}).json()["status"] == "CANCELLED"
    assert ada.post(f"{path}/reopen", {"reason": "Needed after all"}).json()["status"] == "PENDING"
    answer = ada.post(f"{path}/complete")
    assert (answer.json()["status"], answer.json()["done"]) == ("DONE", True)
    events = ada.get(f"{path}/events").json()["events"]
    assert [event["what"] for event in events] == ["submitted", "cancelled", "reopened", "completed"]
    assert [event["why"] for event in events] == ["", "Not needed", "Needed after all", "Completed by hand"]
    assert {event["who"] for event in events} == {"token test:ada"}
    problem(ada.post(f"{path}/cancel"), 409, "wrong_status")


@pytest.mark.parametrize("body", [{"why": "x"}, {"reason": 5}, {"reason": "a\0"}, {"reason": "x" * 1001}, []])
def test_a_reason_is_a_short_text(ada: Caller, body: Any) -> None:
    made = ada.submit()
    problem(ada.post(f"/api/v1/tasks/{made['id']}/cancel", body), 400, "invalid")
    assert Task.objects.get(pk=made["id"]).status == TaskStatus.PENDING


def test_a_rerun_is_a_new_task_linked_to_the_old_one(ada: Caller) -> None:
    made = ada.submit(payload={"message": "One"}, tags=["a"])
    again = ada.post(f"/api/v1/tasks/{made['id']}/rerun", {"payload": {"message": "Two"}})
    assert again.status_code == 201
    assert again.json()["rerun_of"] == made["id"] != again.json()["id"]
    assert (again.json()["payload"], again.json()["tags"]) == ({"message": "Two"}, ["a"])
    assert ada.post(f"/api/v1/tasks/{made['id']}/rerun").json()["payload"] == {"message": "One"}
    problem(ada.post(f"/api/v1/tasks/{made['id']}/rerun", {"payload": {"seconds": "x"}}), 400, "invalid")


@pytest.mark.parametrize("text", ["1", "x", "0192e4a0-0000-7000-8000-000000000001", "%00", "%ff", "..%2f"])
def test_an_id_that_is_none_is_not_found(ada: Caller, text: str) -> None:
    for method, path in [("GET", ""), ("PATCH", ""), ("POST", "/cancel"), ("GET", "/events"), ("GET", "/deliveries")]:
        answer = ada.call(method, f"/api/v1/tasks/{text}{path}", None if method == "GET" else {})
        problem(answer, 404, "not_found")


def test_another_members_task_does_not_exist(ada: Caller, bob: Caller) -> None:
    made = ada.submit()
    path = f"/api/v1/tasks/{made['id']}"
    for method, tail in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/complete"), ("POST", "/rerun")]:
        problem(bob.call(method, path + tail, {} if method != "GET" else None), 404, "not_found")


def test_a_traceback_is_for_staff(ada: Caller, operator: Caller) -> None:
    task = own(ada, started())
    end(task, "fail", error_code="bug", error_message="It broke", traceback="Traceback: secret.py")
    path = f"/api/v1/tasks/{task.pk}/events"
    assert "secret.py" not in ada.get(path).content.decode()
    assert "secret.py" not in operator.get(path).content.decode()
    operator.user.is_staff = True
    operator.user.save()
    assert "secret.py" in operator.get(path).content.decode()


def test_events_are_paged_both_ways(ada: Caller) -> None:
    task = own(ada, in_status(TaskStatus.DONE))
    for _ in range(3):
        lifecycle.reopen(task.pk, who="x")
        lifecycle.complete(task.pk, who="x")
    for order in ("oldest", "newest"):
        found: list[int] = []
        url = f"/api/v1/tasks/{task.pk}/events?limit=2&order={order}"
        while url:
            body: dict[str, Any] = ada.get(url).json()
            found += [event["id"] for event in body["events"]]
            url = body["next"]
        assert len(found) == 9
        assert found == sorted(found, reverse=order == "newest")


def test_kinds_are_told_with_their_schema(ada: Caller) -> None:
    kinds = {kind["kind"]: kind for kind in ada.get("/api/v1/kinds").json()["kinds"]}
    message = kinds["message"]
    assert message["schema"]["properties"]["seconds"]["maximum"] == 3600
    assert message["defaults"] == {"max_attempts": 5, "timeout": 3660}
    assert ada.get("/api/v1/kinds/message").json() == message
    assert ada.submit(kind="message", payload=message["example"])
    problem(ada.get("/api/v1/kinds/none"), 404, "not_found")


def test_numbers_and_texts_of_any_kind_come_back_as_they_were(ada: Caller) -> None:
    payload: dict[str, Any] = {
        "message": 'ü 🎉 " \\ \u2028',
        "n": [1.5, -0.5, 2**53, None, True, {"a": []}],
    }
    made = ada.submit(payload=payload)
    assert json.loads(ada.get(f"/api/v1/tasks/{made['id']}").content)["payload"] == payload


@pytest.mark.parametrize("number", [2.0**63, 2.0**64, 1e30, 6.4018150475197065e240, -1e300])
def test_a_number_over_64_bits_does_not_make_a_task_unreadable(ada: Caller, number: float) -> None:
    """PostgreSQL keeps it as a whole number."""
    made = ada.submit(payload={"message": "x", "n": number})
    for path in (f"/api/v1/tasks/{made['id']}", f"/tasks/{made['id']}"):
        assert float(json.loads(ada.get(path).content)["payload"]["n"]) == number
    assert ada.get("/tasks").status_code == ada.get("/api/v1/tasks").status_code == 200
