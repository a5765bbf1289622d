"""GET /api/v1/tasks/{id}?wait=."""

import threading
import time
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection

from tasks_app import lifecycle
from tasks_app.api.v1 import waiting
from tests.services.processes import PATIENCE, eventually
from tests.tasks_app.api.conftest import Caller, person, problem


@pytest.fixture
def waiter(committed: None) -> Caller:
    for name in ("member", "viewer", "operator"):
        Group.objects.get_or_create(name=name)
    Group.objects.get(name="member").permissions.add(Permission.objects.get(codename="add_task"))
    return Caller(person("wanda", "member"))


def test_it_is_answered_as_soon_as_the_task_has_ended(waiter: Caller) -> None:
    made = waiter.submit()

    def end_it() -> None:
        lifecycle.complete(made["id"], who="somebody")
        connection.close()

    threading.Timer(0.3, end_it).start()
    answer = waiter.get(f"/api/v1/tasks/{made['id']}?wait=30")
    assert (answer.status_code, answer.json()["status"]) == (200, "DONE")
    assert "Retry-After" not in answer.headers


def test_after_its_time_it_is_answered_as_the_task_stands(waiter: Caller) -> None:
    made = waiter.submit()
    started = time.monotonic()
    assert waiter.get(f"/api/v1/tasks/{made['id']}?wait=1").json()["status"] == "PENDING"
    assert time.monotonic() - started > 0.9


def test_a_task_that_is_deleted_meanwhile_is_not_found(waiter: Caller) -> None:
    made = waiter.submit()

    def remove() -> None:
        lifecycle.delete(made["id"], who="somebody")
        connection.close()

    threading.Timer(0.3, remove).start()
    problem(waiter.get(f"/api/v1/tasks/{made['id']}?wait=30"), 404, "not_found")


def test_while_it_waits_it_holds_no_connection(waiter: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    made, open_connections = waiter.submit(), []

    def sleep(_seconds: float) -> None:
        open_connections.append(connection.connection is not None)
        lifecycle.complete(made["id"], who="somebody")

    monkeypatch.setattr(waiting, "sleep", sleep)
    waiter.get(f"/api/v1/tasks/{made['id']}?wait=5")
    assert open_connections == [False]


def test_where_too_many_wait_it_is_answered_at_once(waiter: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_places", threading.BoundedSemaphore(1))
    made = waiter.submit()
    answers: list[Any] = []

    def wait() -> None:
        answers.append(waiting.until_finished(made["id"], seconds=PATIENCE))
        connection.close()

    first = threading.Thread(target=wait)
    first.start()
    eventually(lambda: not waiting._places._value)
    answer = waiter.get(f"/api/v1/tasks/{made['id']}?wait=30")
    assert answers == [], "the other one waits still"
    assert (answer.json()["status"], answer.headers["Retry-After"]) == ("PENDING", "1")
    lifecycle.complete(made["id"], who="somebody")
    first.join(PATIENCE)
    assert answers == [True]


@pytest.mark.parametrize("text", ["-1", "31", "x", "", "1.5", "9" * 30])
def test_the_time_is_0_to_30_seconds(ada: Caller, text: str) -> None:
    made = ada.submit()
    problem(ada.get(f"/api/v1/tasks/{made['id']}?wait={text}"), 400, "invalid")
