"""A process that is to end: what runs may finish for a while, the rest is handed back with its attempts."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from tasks_app import lifecycle, runner, shutdown
from tasks_app.handlers import handler
from tasks_app.handlers.base import TaskContext
from tasks_app.models import Task
from tasks_app.validation import NewTask
from tests.services.processes import PATIENCE, eventually
from tests.tasks_app.making import fresh, story

pytestmark = pytest.mark.usefixtures("committed", "own_kinds", "going_on")


@pytest.fixture
def going_on() -> Iterator[None]:
    yield
    shutdown.forget()


def running(function: Callable[[Any, TaskContext], Any], count: int = 1) -> tuple[list[Task], threading.Thread]:
    """`count` tasks in one batch, the first of them begun."""
    begun = threading.Event()

    def run(payload: Any, context: TaskContext) -> Any:
        begun.set()
        return function(payload, context)

    handler("test", schema={}, timeout=60, max_attempts=1, is_short=lambda payload: True)(run)
    tasks = [lifecycle.submit(NewTask(title="A task", kind="test"), owner_id=None, who="me") for _ in range(count)]

    def work() -> None:
        runner.run([task.pk for task in tasks])
        connection.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert begun.wait(PATIENCE)
    return tasks, thread


def until_stopped(payload: Any, context: TaskContext) -> None:
    while not context.cancelled:
        threading.Event().wait(0.01)


def test_what_ends_in_time_is_done(settings: Any) -> None:
    settings.SHUTDOWN_SECONDS = 20
    let_go = threading.Event()
    (task,), thread = running(lambda payload, context: let_go.wait(PATIENCE))
    shutdown.request()
    threading.Timer(0.5, let_go.set).start()
    thread.join(PATIENCE)
    assert (fresh(task).status, fresh(task).attempt) == ("DONE", 1)


def test_a_handler_that_heeds_is_handed_back_with_its_attempt(settings: Any) -> None:
    settings.SHUTDOWN_SECONDS = 1.0
    (task,), thread = running(until_stopped)
    shutdown.request()
    thread.join(PATIENCE)
    now = fresh(task)
    assert (now.status, now.attempts_used, now.attempts_left) == ("PENDING", 0, 1)
    assert story(task)[-1] == "released"


def test_a_deaf_handler_is_handed_back_when_the_time_is_over(settings: Any) -> None:
    settings.SHUTDOWN_SECONDS, settings.GRACE_SECONDS = 1.0, 60
    let_go = threading.Event()
    (task,), thread = running(lambda payload, context: let_go.wait(PATIENCE))
    shutdown.request()
    eventually(lambda: fresh(task).status == "PENDING")
    assert fresh(task).attempts_used == 0
    let_go.set()
    thread.join(PATIENCE)
    assert fresh(task).status == "PENDING"  # fenced: what it did afterwards counts no more


def test_riders_that_have_not_begun_are_handed_back_at_once(settings: Any) -> None:
    settings.SHUTDOWN_SECONDS = 20
    let_go = threading.Event()
    (first, *riders), thread = running(lambda payload, context: let_go.wait(PATIENCE), count=3)
    shutdown.request()
    eventually(lambda: all(fresh(rider).status == "PENDING" for rider in riders))
    assert fresh(first).status == "PROCESSING"
    assert [fresh(rider).attempts_used for rider in riders] == [0, 0]
    let_go.set()
    thread.join(PATIENCE)
    assert fresh(first).status == "DONE"


def test_a_cancellation_is_not_forgotten_over_a_shutdown(settings: Any) -> None:
    settings.SHUTDOWN_SECONDS = 1.0
    let_go = threading.Event()
    (task,), thread = running(lambda payload, context: let_go.wait(PATIENCE))
    lifecycle.cancel(task.pk, who="me")
    shutdown.request()
    eventually(lambda: fresh(task).status == "CANCELLED")
    let_go.set()
    thread.join(PATIENCE)


def test_a_result_of_a_handler_that_saw_the_stop_is_not_taken_for_the_end(settings: Any) -> None:
    settings.SHUTDOWN_SECONDS = 0.5

    def half(payload: Any, context: TaskContext) -> str:
        until_stopped(payload, context)
        return "half of it"

    (task,), thread = running(half)
    shutdown.request()
    thread.join(PATIENCE)
    assert (fresh(task).status, fresh(task).result) == ("PENDING", None)
