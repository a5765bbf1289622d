"""One attempt at a task: what the handler did, and how that is written down.

Everything that a handler may raise is caught here and nowhere else: a failure is recorded state.
"""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from tasks_app import clock, handlers, lifecycle, tracebacks, validation
from tasks_app.exceptions import AttemptSuperseded, PermanentError, RetryableError
from tasks_app.handlers.base import TaskContext, storable
from tasks_app.isolation import Visit
from tasks_app.lifecycle import Outcome
from tasks_app.models import Task

logger = logging.getLogger(__name__)

MAX_RESULT_BYTES = 262_144
MAX_CODE_CHARACTERS = 100
DEFAULT_WAIT_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 366 * 86_400.0
STOPS = {"cancelled": "Cancelled", "timeout": "Its time is over", "shutdown": "The worker is to end"}


class Attempt:
    """One task being tried in this process."""

    def __init__(self, task: Task, *, flush: Callable[[TaskContext], None]) -> None:
        self.task = task
        self.context = TaskContext(
            task_id=task.pk, attempt=task.attempt, payload_given=task.payload is not None, flush=flush
        )
        self.begun_at: float | None = None
        self.stopped_at: float | None = None
        self.is_told = False
        self.reported_at = time.monotonic()
        self.visit = Visit()

    def stop(self, reason: str) -> None:
        """Asks the handler to stop: `cancelled`, `timeout`, `lost` or `shutdown`. The first reason stands."""
        if not self.context.stop_reason:
            self.stopped_at = time.monotonic()
            self.context.stop_reason = reason

    def tell_stop(self, reason: str) -> None:
        """Writes the stage "asked to stop" into the history, once, if it has begun."""
        if not self.is_told and self.begun_at and (why := STOPS.get(reason)):
            self.is_told = True
            lifecycle.report_stopping(self.task.pk, attempt=self.task.attempt, who=self.task.worker, why=why)


def unsettled(outcome: Outcome, error: BaseException) -> Outcome:
    """What is left to say when the settlement itself raised `error`."""
    return replace(outcome, verb="fail", result=None, message="", logs=(), on_success=(), error_code="settle_failed",
                   error_message=storable(tracebacks.text_of(error)), traceback=storable(tracebacks.trace_of(error)))  # fmt: skip


def tried(attempt: Attempt) -> Outcome:
    """Runs the handler. Whatever happens, it comes back as an outcome."""
    task, context = attempt.task, attempt.context
    try:
        context.check()  # it may have been cancelled while it waited behind its neighbours
        handler = handlers.get(task.kind)
        if handler is None:
            raise RetryableError(f"This worker has no handler for kind {task.kind!r}.", code="unknown_kind")
        result = handler.run(handler.parse(task.payload), context)
        return stopped(attempt) if context.noticed_stop else _succeeded(attempt, result)
    except AttemptSuperseded:
        return stopped(attempt)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: a handler must not end the worker
        tracebacks.let_go(error)
        return _failed(attempt, error)


def outcome_of(attempt: Attempt, **values: object) -> Outcome:
    report = attempt.context.take_report()
    base = Outcome(
        task_id=attempt.task.pk, attempt=attempt.task.attempt, verb="succeed", progress=report.progress,
        message=report.message, logs=report.logs,
    )  # fmt: skip
    return replace(base, **values)  # type: ignore[arg-type]


def _succeeded(attempt: Attempt, result: object) -> Outcome:
    for place, wrong in validation.json_errors("result", result).items():
        raise PermanentError(f"The handler's {place} {wrong}", code="bad_result")
    text = json.dumps(result, ensure_ascii=False)
    if len(text.encode()) > MAX_RESULT_BYTES:
        raise PermanentError(
            f"The handler's result is larger than {MAX_RESULT_BYTES:,} bytes.", code="result_too_large"
        )
    return outcome_of(
        attempt, verb="succeed", progress=100, result=None if result is None else text,
        on_success=tuple(attempt.context.on_success_functions),
    )  # fmt: skip


def stopped(attempt: Attempt, *, by_force: bool = False) -> Outcome:
    reason = attempt.context.stop_reason
    if reason == "shutdown":
        return outcome_of(attempt, verb="release", uncounted=True, message="Handed back: its worker is to end")
    if reason == "timeout":
        return _failed(attempt, RetryableError(f"Took longer than {attempt.task.timeout} seconds.", code="timeout"))
    # Cancelled: the row says so too and turns this into CANCELLED. Lost: there is nothing to settle.
    how = "Stopped by force: its handler did not heed" if by_force else "Stopped while running"
    return outcome_of(attempt, verb="fail", error_code=reason or "stopped", error_message=how)


def _failed(attempt: Attempt, error: BaseException) -> Outcome:
    """Retry or give up: the class of the error says it; what is neither is a bug in the handler, and worth a retry."""
    task = attempt.task
    known = isinstance(error, RetryableError | PermanentError)
    code = _code_of(error) if isinstance(error, RetryableError | PermanentError) else "handler_error"
    message = storable(tracebacks.text_of(error, name=not known)) or code
    trace = "" if known else tracebacks.trace_of(error)
    details = {"error_code": code, "error_message": message, "traceback": storable(trace)}
    if isinstance(error, PermanentError) or not task.attempts_left:
        return outcome_of(attempt, verb="fail", **details)
    retry_at = clock.now() + timedelta(seconds=_wait_after(task, error))
    return outcome_of(attempt, verb="retry_later", retry_at=retry_at, **details)


def _wait_after(task: Task, error: BaseException) -> float:
    """Seconds until the next attempt, whatever the error or the kind's backoff comes up with."""
    handler = handlers.get(task.kind)
    try:
        wait = error.retry_after if isinstance(error, RetryableError) else None
        if wait is None:
            wait = handler.backoff(task.attempts_used) if handler else DEFAULT_WAIT_SECONDS
        if not math.isfinite(wait):
            raise ValueError(f"{wait} is no number of seconds.")
        return max(0.0, min(LONGEST_WAIT_SECONDS, wait))
    except BaseException as wrong:
        logger.warning("Kind %s has no sensible backoff, waiting %g s: %s", task.kind, DEFAULT_WAIT_SECONDS,
                       tracebacks.text_of(wrong))  # fmt: skip
        return DEFAULT_WAIT_SECONDS


def _code_of(error: RetryableError | PermanentError) -> str:
    try:
        return storable(str(error.code)[:MAX_CODE_CHARACTERS]) or type(error).code
    except BaseException:
        return "permanent" if isinstance(error, PermanentError) else "retryable"
