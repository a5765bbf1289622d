"""How one attempt ends, whatever its handler returns or raises."""

import itertools
import types
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tasks_app import lifecycle, runner
from tasks_app.handlers import PermanentError, RetryableError, TaskContext, base, handler
from tasks_app.models import Task, TaskEvent
from tasks_app.validation import NewTask
from tests.tasks_app.making import came_to, fresh, story

pytestmark = pytest.mark.usefixtures("committed", "own_kinds")
numbers = itertools.count()


def run(function: Callable[..., Any], *, attempts: int = 3, payload: Any = None, **options: Any) -> Task:
    """One attempt at a task of a kind made from `function`; the task after it."""
    kind = f"kind-{next(numbers)}"
    handler(kind, max_attempts=attempts, **options)(function)
    task = lifecycle.submit(NewTask(title="A task", kind=kind, payload=payload), owner_id=None, who="me")
    runner.run([task.pk])
    return fresh(task)


def raising(error: BaseException) -> Callable[..., Any]:
    def function(payload: Any, context: TaskContext) -> None:
        raise error

    return function


def returning(result: Any) -> Callable[..., Any]:
    return lambda payload, context: result


# ---- It succeeds -----------------------------------------------------------------------------------------------------


def test_what_a_handler_returns_is_the_result() -> None:
    task = run(lambda payload, context: {"got": payload, "attempt": context.attempt}, payload={"a": [1]})
    assert (task.status, task.result, task.progress) == ("DONE", {"got": {"a": [1]}, "attempt": 1}, 100)
    assert story(task) == ["submitted", "started", "succeeded"]


@pytest.mark.parametrize("result", [None, "", 0, False, [], (1, 2), 1.5, 2**70], ids=repr)
def test_any_json_is_a_result(result: Any) -> None:
    task = run(returning(result))
    assert (task.status, task.result) == ("DONE", list(result) if isinstance(result, tuple) else result)


def test_log_lines_and_the_last_message_are_kept() -> None:
    def function(payload: Any, context: TaskContext) -> None:
        context.log("one")
        context.progress(50, "half")
        context.log("two")

    task = run(function)
    assert task.message == "half"
    assert list(TaskEvent.objects.filter(task=task, what="log").values_list("why", flat=True)) == ["one", "two"]


@pytest.mark.parametrize(
    "text", ["half \ud800 way", "nul \0 nul", "ünï ✓", "x" * 100_000], ids=["surrogate", "nul", "ünï", "long"]
)
def test_no_text_that_a_handler_says_costs_its_task(text: str) -> None:
    def function(payload: Any, context: TaskContext) -> None:
        context.progress(10, text)
        context.log(text)

    task = run(function)
    assert task.status == "DONE"
    assert len(task.message) <= 2000


def test_an_effect_commits_with_the_end() -> None:
    def function(payload: Any, context: TaskContext) -> None:
        key = context.task_id
        context.on_success(lambda: print(Task.objects.filter(pk=key).update(description="An effect")))

    assert run(function).description == "An effect"


@pytest.mark.parametrize("error", [ValueError("not after all"), SystemExit(3)], ids=repr)
def test_an_effect_that_fails_fails_the_task(error: BaseException) -> None:
    def effect() -> None:
        Task.objects.update(title="Changed")
        raise error

    task = run(lambda payload, context: context.on_success(effect))
    assert (task.status, task.error_code, task.title) == ("FAILED", "settle_failed", "A task")
    assert type(error).__name__ in task.error_message


# ---- It fails --------------------------------------------------------------------------------------------------------


def test_a_permanent_error_fails_at_once() -> None:
    task = run(raising(PermanentError("No such address.", code="no_address")))
    assert (task.status, task.error_code, task.error_message) == ("FAILED", "no_address", "No such address.")
    assert task.attempts_left == 2


def test_a_retryable_error_waits_for_the_kinds_backoff() -> None:
    before = timezone.now()
    task = run(raising(RetryableError("Busy.", code="busy")), backoff=lambda used: 1000.0 * used)
    assert (task.status, task.error_code, task.error_message) == ("PENDING", "busy", "Busy.")
    assert came_to(task.run_at, 1000, since=before)


def test_the_backoff_is_asked_with_the_number_of_attempts_used() -> None:
    asked: list[int] = []

    def backoff(used: int) -> float:
        asked.append(used)
        return 0.0

    task = run(raising(RetryableError()), backoff=backoff)
    runner.run([task.pk])
    assert asked == [1, 2]


def test_retry_after_overrides_the_backoff() -> None:
    before = timezone.now()
    task = run(raising(RetryableError("Busy.", retry_after=500)), backoff=lambda used: 5.0)
    assert came_to(task.run_at, 500, since=before)


@pytest.mark.parametrize(
    "wait",
    [float("inf"), float("nan"), 1e300, "soon", object()],
    ids=["inf", "nan", "huge", "text", "object"],
)
def test_a_wait_that_makes_no_sense_is_no_reason_to_lose_the_attempt(wait: Any) -> None:
    assert run(raising(RetryableError("Busy.", retry_after=wait))).status == "PENDING"
    assert run(raising(RetryableError("Busy.")), backoff=lambda used: wait).status == "PENDING"


def test_a_wait_of_less_than_nothing_is_none() -> None:
    assert run(raising(RetryableError("Busy.", retry_after=-5))).run_at <= timezone.now()


def test_a_backoff_that_raises_is_no_reason_to_lose_the_attempt() -> None:
    assert run(raising(RetryableError("Busy.")), backoff=lambda used: 1 / 0).status == "PENDING"


def test_the_last_attempt_fails_for_good() -> None:
    task = run(raising(RetryableError("Busy.", retry_after=0)), attempts=2)
    runner.run([task.pk])
    assert (fresh(task).status, fresh(task).attempt) == ("FAILED", 2)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        SystemExit("leaving"),
        KeyboardInterrupt(),
        GeneratorExit(),
        MemoryError(),
        BaseException("odd"),
    ],
)
def test_anything_else_is_a_bug_that_is_retried_and_then_shown(error: BaseException) -> None:
    task = run(raising(error), attempts=2, backoff=lambda used: 0.0)
    assert (task.status, task.error_code) == ("PENDING", "handler_error")
    runner.run([task.pk])
    task = fresh(task)
    assert (task.status, task.error_code) == ("FAILED", "handler_error")
    assert type(error).__name__ in task.error_message
    assert "test_runner.py" in TaskEvent.objects.get(task=task, what="failed").data["traceback"]


class Unspeakable(BaseException):
    """Its text cannot be asked for."""

    def __str__(self) -> str:
        raise SystemExit("no words")


@pytest.mark.parametrize(
    "error",
    [Unspeakable(), ValueError("nul \0"), ValueError("half \ud800"), ValueError("x" * 5_000_000)],
    ids=["unspeakable", "nul", "surrogate", "long"],
)
def test_an_error_that_cannot_be_told_is_still_an_error(error: BaseException) -> None:
    task = run(raising(error), attempts=1)
    assert (task.status, task.error_code) == ("FAILED", "handler_error")
    assert type(error).__name__ in task.error_message
    assert len(task.error_message) <= 2000


@pytest.mark.parametrize("code", ["x" * 500, "nul\0", "\ud800", 17], ids=["long", "nul", "surrogate", "number"])
def test_an_odd_error_code_does_not_change_how_the_attempt_ends(code: Any) -> None:
    assert run(raising(RetryableError("Busy.", code=code))).status == "PENDING"
    task = run(raising(PermanentError("No.", code=code)))
    assert (task.status, task.error_message) == ("FAILED", "No.")
    assert 0 < len(task.error_code) <= 100


def test_a_kind_that_this_worker_does_not_know_waits_for_one_that_does() -> None:
    task = lifecycle.submit(NewTask(title="A task"), owner_id=None, who="me")
    Task.objects.filter(pk=task.pk).update(kind="elsewhere")
    runner.run([task.pk])
    assert (fresh(task).status, fresh(task).error_code) == ("PENDING", "unknown_kind")


# ---- Results that are none -------------------------------------------------------------------------------------------


def _deep(levels: int) -> Any:
    found: Any = 0
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    "result",
    [{1}, float("nan"), [float("inf")], {"a": "nul\0"}, {"\0": 1}, "\ud800", {1: 2}, object(), b"bytes", _deep(1000), 10**2000,
     types.MappingProxyType({"a": 1}), (n for n in range(3))],
    ids=lambda result: type(result).__name__,
)  # fmt: skip
def test_a_result_that_is_no_json_fails_the_task_and_says_why(result: Any) -> None:
    task = run(returning(result))
    assert (task.status, task.error_code) == ("FAILED", "bad_result")
    assert task.error_message.startswith("The handler's result")


def test_a_result_that_is_too_large_fails_the_task() -> None:
    assert run(returning("x" * 300_000)).error_code == "result_too_large"
    assert run(returning("x" * 200_000)).status == "DONE"


def test_logging_without_end_fails_the_task_and_keeps_what_fits() -> None:
    def function(payload: Any, context: TaskContext) -> None:
        while True:
            context.log("x" * 100_000)

    task = run(function)
    assert (task.status, task.error_code) == ("FAILED", "log_too_large")
    assert story(task).count("log") == 2


def test_even_empty_lines_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MAX_LOG_CHARACTERS", 100)

    def function(payload: Any, context: TaskContext) -> None:
        for _ in range(1000):
            context.log("")

    assert run(function).error_code == "log_too_large"


# ---- What is not ours ------------------------------------------------------------------------------------------------


def test_what_is_unknown_ended_or_not_due_is_left_alone() -> None:
    done = run(returning(1))
    later = lifecycle.submit(NewTask(title="Later", run_at=timezone.now() + timedelta(days=1)), owner_id=None, who="me")
    runner.run([done.pk, later.pk, uuid.uuid4()])
    assert (fresh(done).version, fresh(later).version) == (done.version, 1)


def test_a_message_that_comes_twice_has_one_effect() -> None:
    ran: list[int] = []

    def function(payload: Any, context: TaskContext) -> None:
        ran.append(1)

    task = run(function)
    runner.run([task.pk])
    assert (ran, fresh(task).attempt) == ([1], 1)
