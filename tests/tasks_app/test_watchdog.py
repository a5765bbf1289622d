"""Deadlines, cancellations, leases and progress of running handlers, in a process with threads."""

import ctypes
import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from billiard.context import ForkProcess
from django.db import connection
from django.utils import timezone

from tasks_app import lifecycle, recovery, runner
from tasks_app import watchdog as watchdog_module
from tasks_app.handlers import AttemptSuperseded, TaskContext, handler
from tasks_app.models import Task, TaskStatus
from tasks_app.signals import TaskChange
from tasks_app.validation import NewTask
from tasks_app.watchdog import watchdog
from tests.services.processes import PATIENCE, eventually
from tests.tasks_app.making import fresh, story

pytestmark = pytest.mark.usefixtures("committed", "own_kinds", "workers")
numbers = itertools.count()
running: list[threading.Thread] = []


@pytest.fixture
def workers() -> Iterator[None]:
    """Threads that run batches; each has ended when the test is over."""
    yield
    for thread in running:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    running.clear()


def work(ids: list[Any]) -> threading.Thread:
    def run() -> None:
        try:
            runner.run(ids)
        finally:
            connection.close()

    thread = threading.Thread(target=run, name="worker")
    running.append(thread)
    thread.start()
    return thread


def submit(function: Callable[..., Any], *, count: int = 1, timeout: int = 60, attempts: int = 1) -> list[Task]:
    kind = f"watched-{next(numbers)}"
    handler(kind, max_attempts=attempts, timeout=timeout, is_short=lambda payload: count > 1)(function)
    new = [NewTask(title=str(number), kind=kind, payload={"n": number}) for number in range(count)]
    return lifecycle.submit_many(new, owner_id=None, who="me")


def begun(task: Task) -> bool:
    return fresh(task).status == TaskStatus.PROCESSING


def heeding(seen: list[BaseException]) -> Callable[..., Any]:
    """A handler that works until it is stopped."""

    def function(payload: Any, context: TaskContext) -> None:
        try:
            while True:
                context.check()
                threading.Event().wait(0.01)
        except BaseException as error:
            seen.append(error)
            raise

    return function


class Deaf:
    """A handler that heeds nothing until it is let go."""

    def __init__(self) -> None:
        self.entered, self.let_go = threading.Event(), threading.Event()
        self.returned = threading.Event()

    def __call__(self, payload: Any, context: TaskContext) -> str:
        self.entered.set()
        assert self.let_go.wait(PATIENCE)
        self.returned.set()
        return "too late"


# ---- It heeds a stop -------------------------------------------------------------------------------------------------


def test_a_handler_that_heeds_its_deadline_is_retried_and_then_fails_with_timeout() -> None:
    seen: list[BaseException] = []
    (task,) = submit(heeding(seen), timeout=1, attempts=1)
    work([task.pk]).join(PATIENCE)
    task = fresh(task)
    assert (task.status, task.error_code, task.error_message) == ("FAILED", "timeout", "Took longer than 1 seconds.")
    assert isinstance(seen[0], AttemptSuperseded)


def test_a_handler_that_heeds_a_cancellation_ends_cancelled() -> None:
    seen: list[BaseException] = []
    (task,) = submit(heeding(seen))
    thread = work([task.pk])
    eventually(lambda: begun(task))
    lifecycle.cancel(task.pk, who="me")
    thread.join(PATIENCE)
    assert fresh(task).status == "CANCELLED"
    assert len(seen) == 1
    assert story(task) == ["submitted", "started", "cancel_requested", "stopping", "cancelled"]


@pytest.mark.parametrize("verb", ["complete", "delete"])
def test_a_handler_whose_task_was_ended_by_hand_is_stopped_and_settles_nothing(verb: str) -> None:
    seen: list[BaseException] = []
    (task,) = submit(heeding(seen))
    thread = work([task.pk])
    eventually(lambda: begun(task))
    getattr(lifecycle, verb)(task.pk, who="me")
    thread.join(PATIENCE)
    assert len(seen) == 1
    assert [row.status for row in Task.objects.filter(pk=task.pk)] == ([] if verb == "delete" else ["DONE"])


def test_a_handler_that_finishes_in_spite_of_a_stop_still_does_not_outdo_a_cancellation() -> None:
    def function(payload: Any, context: TaskContext) -> str:
        lifecycle.cancel(context.task_id, who="me")
        eventually(lambda: context.cancelled)
        return "finished all the same"

    (task,) = submit(function)
    work([task.pk]).join(PATIENCE)
    assert (fresh(task).status, fresh(task).result) == ("CANCELLED", None)


# ---- It does not -----------------------------------------------------------------------------------------------------


def test_a_deaf_handler_is_settled_after_the_grace_time_and_counted(settings: Any) -> None:
    settings.GRACE_SECONDS = 0.1
    deaf, stuck = Deaf(), watchdog.stuck
    (task,) = submit(deaf)
    work([task.pk])
    assert deaf.entered.wait(PATIENCE)
    lifecycle.cancel(task.pk, who="me")
    eventually(lambda: fresh(task).status == "CANCELLED")
    eventually(lambda: watchdog.stuck == stuck + 1)
    before = fresh(task).version

    deaf.let_go.set()
    running[-1].join(PATIENCE)

    assert deaf.returned.is_set()
    assert (fresh(task).status, fresh(task).version, fresh(task).result) == ("CANCELLED", before, None)


def test_a_deaf_handler_past_its_deadline_fails_with_timeout(settings: Any) -> None:
    settings.GRACE_SECONDS = 0.1
    deaf = Deaf()
    (task,) = submit(deaf, timeout=1)
    work([task.pk])
    eventually(lambda: fresh(task).status == "FAILED")
    assert fresh(task).error_code == "timeout"
    deaf.let_go.set()


def test_within_the_grace_time_a_deaf_handler_is_left_alone(settings: Any) -> None:
    settings.GRACE_SECONDS = 3600
    deaf = Deaf()
    (task,) = submit(deaf)
    thread = work([task.pk])
    assert deaf.entered.wait(PATIENCE)
    lifecycle.cancel(task.pk, who="me")
    (current,) = watchdog._batches
    eventually(lambda: current.open_attempts()[0].context.cancelled)
    assert begun(task)
    deaf.let_go.set()
    thread.join(PATIENCE)
    assert fresh(task).status == "CANCELLED"


def test_the_neighbours_of_a_deaf_handler_are_settled_or_handed_back(settings: Any) -> None:
    settings.GRACE_SECONDS = 0.1
    deaf = Deaf()
    tasks = submit(lambda payload, context: deaf(payload, context) if payload["n"] == 1 else "quick", count=4)
    work([task.pk for task in tasks])
    assert deaf.entered.wait(PATIENCE)
    lifecycle.cancel(tasks[1].pk, who="me")
    eventually(lambda: [fresh(task).status for task in tasks] == ["DONE", "CANCELLED", "PENDING", "PENDING"])
    assert [fresh(task).attempts_left for task in tasks[2:]] == [1, 1]
    deaf.let_go.set()


# ---- Leases ----------------------------------------------------------------------------------------------------------


def test_the_leases_of_what_runs_and_what_waits_are_renewed_and_not_robbed(settings: Any) -> None:
    settings.LEASE_SECONDS = 3
    deaf = Deaf()
    tasks = submit(deaf, count=2)
    work([task.pk for task in tasks])
    assert deaf.entered.wait(PATIENCE)
    ids = [task.pk for task in tasks]
    later = timezone.now() + timedelta(seconds=settings.LEASE_SECONDS + 1)

    eventually(lambda: Task.objects.filter(pk__in=ids, lease_expires_at__gt=later).count() == 2)

    assert recovery.reclaim_expired(now=timezone.now()) == 0
    deaf.let_go.set()


def test_an_attempt_that_was_reclaimed_is_stopped_and_its_successor_decides() -> None:
    seen: list[BaseException] = []
    (task,) = submit(heeding(seen), attempts=5)
    thread = work([task.pk])
    eventually(lambda: begun(task))
    lifecycle.reclaim([fresh(task)], who="sweep", why="gone")
    (again,) = lifecycle.start([task.pk], worker="another")
    thread.join(PATIENCE)
    assert len(seen) == 1
    assert (fresh(task).status, fresh(task).attempt, fresh(task).worker) == ("PROCESSING", again.attempt, "another")


# ---- Progress --------------------------------------------------------------------------------------------------------


def test_progress_reaches_the_database_while_the_handler_says_nothing_more() -> None:
    def function(payload: Any, context: TaskContext) -> None:
        context.progress(42, "on the way")
        context.log("a line")
        key = context.task_id
        eventually(lambda: (fresh(key).progress, fresh(key).message) == (42, "on the way"))

    (task,) = submit(function)
    work([task.pk]).join(PATIENCE)
    assert fresh(task).status == "DONE"
    assert story(task) == ["submitted", "started", "log", "succeeded"]


def test_progress_is_written_at_most_twice_a_second(changed: list[TaskChange], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "REPORT_SECONDS", 3600)

    def function(payload: Any, context: TaskContext) -> None:
        for percent in range(100):
            context.progress(percent)

    (task,) = submit(function)
    work([task.pk]).join(PATIENCE)
    assert fresh(task).status == "DONE"
    assert [change for change in changed if change.what == "progress"] == []


def test_a_superseded_attempt_is_told_so_by_its_next_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "REPORT_SECONDS", 0)
    told: list[BaseException] = []

    def function(payload: Any, context: TaskContext) -> None:
        lifecycle.complete(context.task_id, who="me")
        try:
            context.progress(50)
        except AttemptSuperseded as error:
            told.append(error)
            raise

    (task,) = submit(function)
    work([task.pk]).join(PATIENCE)
    assert [str(error) for error in told] == ["lost"]
    assert fresh(task).status == "DONE"


def _hold_everything() -> None:
    """In a process as the prefork pool has them: nothing of Python runs any more, the watchdog's thread included."""
    watchdog_module.BACKSTOP_SECONDS = 0
    own = watchdog_module.Watchdog()
    own.watch(runner.Batch([Task(timeout=1)], worker="w1"))
    ctypes.PyDLL(None).sleep(600)  # keeps Python's lock


def test_a_child_in_which_no_python_runs_any_more_is_ended_all_the_same() -> None:
    child = ForkProcess(target=_hold_everything, name="ForkPoolWorker-1")
    child.start()
    child.join(int(PATIENCE))
    assert child.exitcode == 1
