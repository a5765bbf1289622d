"""One batch of attempts: start → handler → settle. The only place that catches everything a handler may raise.

A failure is recorded state, never an exception out of here: one would drop the rest of the Celery chain. The batch is
settled at the latest every 100 ms; once it has run for a second, what has not begun is handed back.
"""

import logging
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import lru_cache

from django.conf import settings
from django.db import DatabaseError, Error

from tasks_app import database, lifecycle, shutdown, surroundings
from tasks_app.attempts import Attempt, outcome_of, stopped, tried, unsettled
from tasks_app.exceptions import AttemptSuperseded
from tasks_app.handlers.base import Report, TaskContext
from tasks_app.lifecycle import Outcome
from tasks_app.models import Task
from tasks_app.watchdog import watchdog

logger = logging.getLogger(__name__)

SETTLE_SECONDS = 0.1
BATCH_SECONDS = 1.0
REPORT_SECONDS = 0.5
MAX_EFFECT_TRIES = 3
"""Of `on_success` functions that lose the connection they run on."""


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
                if not outcome.on_success:
                    self._outcomes.append(outcome)
            if outcome.on_success:
                self._settle_with_effects(attempt, outcome)
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
                attempt.visit.take_away()
                self._outcomes.append(stopped(attempt, by_force=True))
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
        task = attempt.task
        attempt.begun_at = started = time.monotonic()
        with surroundings.restored(task.kind):
            outcome = attempt.visit.run(lambda: tried(attempt))
        logger.info("Processed task_id=%s title=%r outcome=%s duration=%.3fs%s", task.pk, task.title, outcome.verb,
                    time.monotonic() - started, f" error={outcome.error_message!r}" if outcome.error_code else "")  # fmt: skip
        return outcome

    def _release_waiting(self, why: str) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._outcomes += [outcome_of(item, verb="release", uncounted=True, message=why) for item in waiting]

    def _flush(self, context: TaskContext) -> None:
        attempt = self._current
        if attempt is not None and attempt.context is context:
            self._report(attempt)
        context.check()

    def _report(self, attempt: Attempt) -> None:
        if time.monotonic() - attempt.reported_at < REPORT_SECONDS:
            return
        attempt.reported_at = time.monotonic()
        with attempt.visit.interrupted() as free:
            if free and (report := attempt.context.take_report()).changed:
                self._write(attempt, report)

    def _write(self, attempt: Attempt, report: Report) -> None:
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
        alone: list[Outcome] = []
        try:
            if outcomes and not self._settle_together(outcomes, seconds=seconds):
                alone, outcomes = outcomes, []
            outcomes = []
            while alone:
                self._settle_one(alone[0], seconds=seconds)
                del alone[0]
        except database.AWAY:
            with self._lock:
                self._outcomes = [*outcomes, *alone, *self._outcomes]
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
        except database.AWAY:
            raise
        except Exception as error:  # a value that the database refuses
            failed = unsettled(outcome, error)
            logger.exception("Cannot settle task_id=%s", outcome.task_id)
            database.patiently(lambda: lifecycle.settle([failed], who=self.worker), seconds=seconds)

    def _settle_with_effects(self, attempt: Attempt, outcome: Outcome) -> None:
        """Settles what has `on_success` functions: apart from others, over a connection that is thrown away after it.

        While they run, the attempt counts as running: deadline and cancellation hold.
        """
        tries = 0

        def effects() -> None:
            nonlocal tries
            tries += 1
            with self._running(attempt):
                for function in outcome.on_success:
                    function()

        def settle() -> None:
            try:
                lifecycle.settle([replace(outcome, on_success=[effects])], who=self.worker)
            except database.AWAY as error:
                if tries >= MAX_EFFECT_TRIES:  # it is not the database that is away
                    raise _EffectFailed from error
                raise
            if attempt.visit.is_unfinished():
                raise DatabaseError("The function left the transaction open that it ran in.")

        try:
            with surroundings.restored(attempt.task.kind):
                database.patiently(lambda: attempt.visit.run(settle))
        except AttemptSuperseded:  # abandoned: settled by the watchdog meanwhile
            return
        except database.AWAY:
            raise
        except BaseException as error:
            with self._running(attempt):
                known = error.__cause__ if isinstance(error, _EffectFailed) and error.__cause__ else error
                failed = unsettled(outcome, known)
            logger.error("Cannot settle task_id=%s: %s", outcome.task_id, failed.error_message)
            with self._lock:
                self._outcomes.append(failed)

    @contextmanager
    def _running(self, attempt: Attempt) -> Iterator[None]:
        """For the watchdog. Raises AttemptSuperseded if that gave the attempt up meanwhile."""
        with self._lock:
            self._current = attempt
            attempt.begun_at = time.monotonic()
            attempt.is_told = True  # its row is locked
        try:
            yield
        finally:
            with self._lock:
                mine = self._current is attempt
                self._current = None
        if not mine:
            raise AttemptSuperseded


class _EffectFailed(Exception):
    """Its cause came out of an `on_success` function."""
