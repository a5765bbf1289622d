"""Several attempts in one message (runner.Batch): who is settled when, and who is handed back."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tasks_app import lifecycle, runner
from tasks_app.handlers import PermanentError, TaskContext, handler
from tasks_app.models import Task, TaskStatus
from tasks_app.signals import TaskChange
from tasks_app.validation import NewTask
from tasks_app.watchdog import watchdog
from tests.services.processes import PATIENCE, eventually
from tests.tasks_app.making import fresh, story

pytestmark = pytest.mark.usefixtures("committed", "own_kinds")
numbers = itertools.count()


def batch(function: Callable[..., Any], payloads: list[Any], **options: Any) -> list[Task]:
    """PENDING riders of a kind made from `function`, one for each payload."""
    kind = f"rider-{next(numbers)}"
    handler(kind, is_short=lambda payload: True, **options)(function)
    new = [NewTask(title=str(number), kind=kind, payload=payload) for number, payload in enumerate(payloads)]
    return lifecycle.submit_many(new, owner_id=None, who="me")


def keys(tasks: list[Task]) -> list[Any]:
    return [task.pk for task in tasks]


def statuses(tasks: list[Task]) -> list[str]:
    return [fresh(task).status for task in tasks]


def test_riders_are_tried_one_after_the_other_in_their_order() -> None:
    order: list[int] = []

    def function(payload: dict[str, Any], context: TaskContext) -> None:
        order.append(payload["n"])

    tasks = batch(function, [{"n": n} for n in range(32)])
    runner.run(keys(tasks))
    assert order == list(range(32))
    assert set(statuses(tasks)) == {"DONE"}


@pytest.mark.parametrize("what", ["raise", "exit", "return", "effect", "effect_exit"])
def test_one_bad_rider_spoils_no_neighbour(what: str) -> None:
    def fail(error: BaseException) -> None:
        raise error

    def function(payload: dict[str, Any], context: TaskContext) -> Any:
        if not payload.get("bad"):
            return payload
        if what == "raise":
            raise PermanentError("no")
        if what == "exit":
            raise SystemExit
        if what == "return":
            return {"nul": "\0"}
        context.on_success(lambda: fail(ValueError() if what == "effect" else SystemExit()))
        return None

    tasks = batch(
        function, [{"n": n} for n in range(15)] + [{"bad": True}] + [{"n": n} for n in range(16)], max_attempts=1
    )
    runner.run(keys(tasks))
    assert statuses(tasks) == ["DONE"] * 15 + ["FAILED"] + ["DONE"] * 16


def test_what_has_not_begun_after_a_second_is_handed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BATCH_SECONDS", 0)
    ran: list[int] = []

    def function(payload: dict[str, Any], context: TaskContext) -> None:
        ran.append(payload["n"])

    tasks = batch(function, [{"n": n} for n in range(3)], max_attempts=1)
    runner.run(keys(tasks))
    assert ran == [0]
    assert statuses(tasks) == ["DONE", "PENDING", "PENDING"]
    for task in map(fresh, tasks[1:]):
        assert (task.attempts_left, task.solo, task.lease_expires_at) == (1, True, None)
        assert story(task) == ["submitted", "started", "released"]


def test_what_was_handed_back_is_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = batch(lambda payload, context: context.attempt, [{}, {}], max_attempts=1)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "BATCH_SECONDS", 0)
        runner.run(keys(tasks))
    runner.run([tasks[1].pk])  # alone from now on
    assert [fresh(task).result for task in tasks] == [1, 2]


def test_a_finished_rider_is_settled_while_its_neighbour_works() -> None:
    tasks: list[Task] = []

    def function(payload: dict[str, Any], context: TaskContext) -> None:
        if payload["n"] == 1:
            eventually(lambda: fresh(tasks[0]).status == TaskStatus.DONE, message="the first is not settled")

    tasks += batch(function, [{"n": 0}, {"n": 1}], max_attempts=1)
    runner.run(keys(tasks))
    assert statuses(tasks) == ["DONE", "DONE"]


def test_riders_that_finish_close_together_are_settled_together(changed: list[TaskChange]) -> None:
    transactions: list[int] = []

    def function(payload: dict[str, Any], context: TaskContext) -> None:
        transactions.append(sum(change.what == "succeeded" for change in changed))

    tasks = batch(function, [{}] * 32)
    runner.run(keys(tasks))
    assert set(statuses(tasks)) == {"DONE"}
    assert len(set(transactions)) < 32


def test_a_rider_that_was_cancelled_while_it_waited_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BATCH_SECONDS", 3600)
    tasks: list[Task] = []
    ran: list[int] = []

    def function(payload: dict[str, Any], context: TaskContext) -> None:
        ran.append(payload["n"])
        if payload["n"] == 0:
            lifecycle.cancel(tasks[1].pk, who="me")
            (current,) = watchdog._batches
            eventually(lambda: current.open_attempts()[0].context.cancelled, message="the watchdog does not see it")

    tasks += batch(function, [{"n": n} for n in range(3)], max_attempts=1)
    runner.run(keys(tasks))
    assert ran == [0, 2]
    assert statuses(tasks) == ["DONE", "CANCELLED", "DONE"]


def test_riders_that_somebody_else_ended_meanwhile_are_left_alone() -> None:
    tasks: list[Task] = []

    def function(payload: dict[str, Any], context: TaskContext) -> None:
        if payload["n"] == 0:
            lifecycle.complete(tasks[1].pk, who="me")
            lifecycle.delete(tasks[2].pk, who="me")

    tasks += batch(function, [{"n": n} for n in range(4)], max_attempts=1)
    runner.run(keys(tasks))
    assert [fresh(tasks[number]).status for number in (0, 1, 3)] == ["DONE"] * 3
    assert story(tasks[1]) == ["submitted", "started", "completed"]
    assert not Task.objects.filter(pk=tasks[2].pk).exists()


def test_two_workers_with_the_same_message_share_its_riders() -> None:
    lock, ran = threading.Lock(), list[Any]()

    def function(payload: dict[str, Any], context: TaskContext) -> None:
        with lock:
            ran.append(context.task_id)

    tasks = batch(function, [{}] * 32, max_attempts=1)
    threads = [threading.Thread(target=_run_and_close, args=(keys(tasks),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(ran) == sorted(keys(tasks))
    assert set(statuses(tasks)) == {"DONE"}


def _run_and_close(ids: list[Any]) -> None:
    from django.db import connection

    try:
        runner.run(ids)
    finally:
        connection.close()
