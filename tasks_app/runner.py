"""One batch of attempts: start → handler → settle. The only place that catches everything a handler may raise.

A failure is recorded state, never an exception out of here: one would drop the rest of the Celery chain. The batch is
settled at the latest every 100 ms; once it has run for a second, what has not begun is handed back.
"""

import json
import logging
import math
import os
import secrets
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db import Error

from tasks_app import clock, database, handlers, lifecycle, shutdown, validation
from tasks_app.exceptions import AttemptSuperseded, PermanentError, RetryableError
from tasks_app.handlers.base import TaskContext, storable
from tasks_app.lifecycle import Outcome
from tasks_app.models import Task
from tasks_app.watchdog import watchdog

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 0.1
BATCH_SECONDS = 1.0
REPORT_SECONDS = 0.5
MAX_RESULT_BYTES = 262_144
MAX_ERROR_CHARACTERS = 2_000
MAX_TRACEBACK_CHARACTERS = 20_000
MAX_CODE_CHARACTERS = 100
DEFAULT_WAIT_SECONDS = 10.0
STOPS = {"cancelled": "Cancelled", "timeout": "Its time is over", "shutdown": "The worker is to end"}
LONGEST_WAIT_SECONDS = 366 * 86_400.0


def run(ids: Sequence[uuid.UUID], *, sent_at: datetime | None = None) -> None:
    """Does what is due of `ids`. Returns, however the tasks end; raises what the database does if it stays away."""
    worker = worker_name(os.getpid())
    tasks = database.patiently(lambda: lifecycle.start(ids, worker=worker, sent_at=sent_at))
    if not tasks:
        return
    batch = Batch(tasks, worker=worker)
    watchdog.watch(batch)
    try:
        batch.run()
    finally:
        watchdog.forget(batch)


@lru_cache(maxsize=1)
def worker_name(pid: int) -> str:
    """Names this process, and no other that ever was: host, process id, a random part."""
    return f"{socket.gethostname()}/{pid}/{secrets.token_hex(2)}"


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


class Batch:
    """The attempts of one message, one after the other. The watchdog's thread looks in from the side."""

    def __init__(self, tasks: Sequence[Task], *, worker: str) -> None:
        self.worker = worker
        self.ids = [task.pk for task in tasks]
        self.timeout = max(task.timeout for task in tasks)
        self._lock = threading.Lock()
        self._waiting = [Attempt(task, flush=self._flush) for task in tasks]
        self._current: Attempt | None = None
        self._outcomes: list[Outcome] = []
        self._settled_at = time.monotonic()

    def run(self) -> None:
        """Tries each task, until all are done or a second is over."""
        started = time.monotonic()
        while (attempt := self._next()) is not None:
            logger.info("Received task_id=%s title=%r kind=%s attempt=%d", attempt.task.pk, attempt.task.title,
                        attempt.task.kind, attempt.task.attempt)  # fmt: skip
            outcome = self._try(attempt)
            with self._lock:
                if self._current is not attempt:  # abandoned: settled by the watchdog meanwhile
                    return
                self._current = None
                self._outcomes.append(outcome)
            self.settle_waiting()
            if time.monotonic() - started > BATCH_SECONDS:
                self._release_waiting("Handed back: the batch took long")
        self._settle()

    # ---- for the watchdog ----

    def open_attempts(self) -> list[Attempt]:
        """Those still to be settled that have not been tried to the end."""
        with self._lock:
            return [*self._waiting, *([self._current] if self._current else [])]

    def settle_waiting(self, *, seconds: float = database.AWAY_SECONDS) -> None:
        """Settles what is finished, if the last time was over 100 ms ago."""
        if self._outcomes and time.monotonic() - self._settled_at >= SETTLE_SECONDS:
            self._settle(seconds=seconds)

    def check_deadline(self) -> None:
        """Asks a handler to stop whose time is over."""
        attempt = self._current
        if attempt and attempt.begun_at and time.monotonic() - attempt.begun_at > attempt.task.timeout:
            attempt.stop("timeout")

    def wind_up(self) -> None:
        """The process is to end: what has not begun is handed back at once, what runs is asked to stop when time is short."""
        self._release_waiting("Handed back: its worker is to end")
        limit = settings.SHUTDOWN_SECONDS
        attempt = self._current
        if attempt and shutdown.seconds() >= limit - min(settings.GRACE_SECONDS, limit / 2):
            attempt.stop("shutdown")

    def overdue(self) -> bool:
        """True if a handler was asked to stop and the grace time is over."""
        attempt = self._current
        if attempt and shutdown.asked_for() and shutdown.seconds() >= settings.SHUTDOWN_SECONDS:
            return True
        stopped_at = attempt.stopped_at if attempt else None
        return stopped_at is not None and time.monotonic() - stopped_at > settings.GRACE_SECONDS

    def abandon(self) -> None:
        """Settles everything without waiting for the running handler."""
        with self._lock:
            attempt, self._current = self._current, None
            if attempt is not None:
                logger.error("Stopped by force task_id=%s kind=%s: its handler does not heed a stop", attempt.task.pk,
                             attempt.task.kind)  # fmt: skip
                self._outcomes.append(_stopped(attempt, by_force=True))
        self._release_waiting("Handed back: its neighbour had to be stopped")
        self._settle()

    def flush_progress(self) -> None:
        """Writes down what the running handler reported, if that is due."""
        if attempt := self._current:
            self._report(attempt)

    # ---- inside ----

    def _next(self) -> Attempt | None:
        with self._lock:
            self._current = self._waiting.pop(0) if self._waiting else None
            return self._current

    def _try(self, attempt: Attempt) -> Outcome:
        task, context = attempt.task, attempt.context
        attempt.begun_at = started = time.monotonic()
        try:
            context.check()  # it may have been cancelled while it waited behind its neighbours
            handler = handlers.get(task.kind)
            if handler is None:
                raise RetryableError(f"This worker has no handler for kind {task.kind!r}.", code="unknown_kind")
            result = handler.run(handler.parse(task.payload), context)
            outcome = _stopped(attempt) if context.noticed_stop else _succeeded(attempt, result)
        except AttemptSuperseded:
            outcome = _stopped(attempt)
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: a handler must not end the worker
            outcome = _failed(attempt, error)
        logger.info("Processed task_id=%s title=%r outcome=%s duration=%.3fs%s", task.pk, task.title, outcome.verb,
                    time.monotonic() - started, f" error={outcome.error_message!r}" if outcome.error_code else "")  # fmt: skip
        return outcome

    def _release_waiting(self, why: str) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._outcomes += [_outcome(item, verb="release", uncounted=True, message=why) for item in waiting]

    def _flush(self, context: TaskContext) -> None:
        attempt = self._current
        if attempt is not None and attempt.context is context:
            self._report(attempt)
        context.check()

    def _report(self, attempt: Attempt) -> None:
        if time.monotonic() - attempt.reported_at < REPORT_SECONDS:
            return
        attempt.reported_at = time.monotonic()
        report = attempt.context.take_report()
        if not report.changed:
            return
        try:
            mine = lifecycle.report_progress(
                attempt.task.pk, attempt=attempt.task.attempt, progress=report.progress, message=report.message,
                logs=report.logs,
            )  # fmt: skip
        except Error as error:  # progress is for looking at: the work goes on
            logger.warning("Cannot report progress task_id=%s: %s", attempt.task.pk, error)
            return
        if not mine:
            attempt.stop("lost")

    def _settle(self, *, seconds: float = database.AWAY_SECONDS) -> None:
        """Waits so long for a database that is away. Raises what it does then, and keeps what it could not settle."""
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
            self._settled_at = time.monotonic()
        together = [outcome for outcome in outcomes if not outcome.on_success]
        alone = [outcome for outcome in outcomes if outcome.on_success]
        try:
            if together and not self._settle_together(together, seconds=seconds):
                alone += together
            together = []
            while alone:
                self._settle_one(alone[0], seconds=seconds)
                del alone[0]
        except database.AWAY:
            with self._lock:
                self._outcomes = [*together, *alone, *self._outcomes]
            raise

    def _settle_together(self, outcomes: Sequence[Outcome], *, seconds: float) -> bool:
        try:
            database.patiently(lambda: lifecycle.settle(outcomes, who=self.worker), seconds=seconds)
        except database.AWAY:
            raise
        except Exception:
            logger.exception("Cannot settle %d tasks together, going one by one", len(outcomes))
            return False
        return True

    def _settle_one(self, outcome: Outcome, *, seconds: float) -> None:
        try:
            database.patiently(lambda: lifecycle.settle([outcome], who=self.worker), seconds=seconds)
        except BaseException as error:  # its on_success function, or a value that the database refuses
            if isinstance(error, database.AWAY) and not (outcome.on_success and seconds):
                raise
            logger.exception("Cannot settle task_id=%s", outcome.task_id)
            failed = replace(outcome, verb="fail", result=None, message="", logs=(), on_success=(),
                             error_code="settle_failed", error_message=_text_of(error))  # fmt: skip
            database.patiently(lambda: lifecycle.settle([failed], who=self.worker), seconds=seconds)


def _outcome(attempt: Attempt, **values: object) -> Outcome:
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
    return _outcome(
        attempt, verb="succeed", progress=100, result=None if result is None else text,
        on_success=tuple(attempt.context.on_success_functions),
    )  # fmt: skip


def _stopped(attempt: Attempt, *, by_force: bool = False) -> Outcome:
    reason = attempt.context.stop_reason
    if reason == "shutdown":
        return _outcome(attempt, verb="release", uncounted=True, message="Handed back: its worker is to end")
    if reason == "timeout":
        return _failed(attempt, RetryableError(f"Took longer than {attempt.task.timeout} seconds.", code="timeout"))
    # Cancelled: the row says so too and turns this into CANCELLED. Lost: there is nothing to settle.
    how = "Stopped by force: its handler did not heed" if by_force else "Stopped while running"
    return _outcome(attempt, verb="fail", error_code=reason or "stopped", error_message=how)


def _failed(attempt: Attempt, error: BaseException) -> Outcome:
    """Retry or give up: the class of the error says it; what is neither is a bug in the handler, and worth a retry."""
    task = attempt.task
    known = isinstance(error, RetryableError | PermanentError)
    code = _code_of(error) if isinstance(error, RetryableError | PermanentError) else "handler_error"
    message = (_text_of(error, name=not known) or code)[:MAX_ERROR_CHARACTERS]
    trace = "" if known else "".join(traceback.format_exception(error))[-MAX_TRACEBACK_CHARACTERS:]
    details = {"error_code": code, "error_message": message, "traceback": storable(trace)}
    if isinstance(error, PermanentError) or not task.attempts_left:
        return _outcome(attempt, verb="fail", **details)
    retry_at = clock.now() + timedelta(seconds=_wait_after(task, error))
    return _outcome(attempt, verb="retry_later", retry_at=retry_at, **details)


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
    except Exception:
        logger.exception("Kind %s has no sensible backoff, waiting %g s", task.kind, DEFAULT_WAIT_SECONDS)
        return DEFAULT_WAIT_SECONDS


def _code_of(error: RetryableError | PermanentError) -> str:
    try:
        return storable(str(error.code))[:MAX_CODE_CHARACTERS] or type(error).code
    except Exception:
        return type(error).code


def _text_of(error: BaseException, *, name: bool = True) -> str:
    try:
        text = str(error)
    except BaseException:
        text = "(its message cannot be printed)"
    return storable(f"{type(error).__name__}: {text}" if name else text)
