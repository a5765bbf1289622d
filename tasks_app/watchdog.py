"""One thread in each process that runs handlers. It renews leases, passes on cancellations and deadlines, settles what is
finished in a batch whose next item takes long, and ends attempts that do not heed a stop.

A handler is asked first (`context.cancelled`). After the grace time its task is settled without it; in a prefork child the
process then ends, which stops the handler for good, while a thread can only be fenced: it is counted in `stuck`.
"""

import faulthandler
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import Error, close_old_connections, connection

from tasks_app import clock, shutdown, surroundings
from tasks_app.background import IDLE_SECONDS, flush_all
from tasks_app.lifecycle import lease_end
from tasks_app.models import Task, TaskStatus

if TYPE_CHECKING:
    from tasks_app.runner import Batch

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
LOOK_SECONDS = 1.0
EXIT_CODE = 70
"""Of a prefork child that had to be ended (EX_SOFTWARE, sysexits.h)."""
BACKSTOP_SECONDS = 60
"""Between a task's own limits and the end of a prefork child in which no Python runs any more, this thread included."""


class Watchdog:
    """Watches the batches that this process is working on."""

    def __init__(self) -> None:
        self.stuck = 0
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._batches: set[Batch] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._renewed_at = self._looked_at = 0.0

    def watch(self, batch: "Batch") -> None:
        """From now on this batch's leases are renewed."""
        with self._lock:
            self._batches.add(batch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)
                self._thread.start()
        self._wake.set()
        if surroundings.is_prefork_child():
            # A thread of C's, which waits for no lock of Python's. Celery's own limit would be the message's to say.
            seconds = batch.timeout + settings.GRACE_SECONDS + BACKSTOP_SECONDS
            faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or 2)

    def forget(self, batch: "Batch") -> None:
        """The batch is over."""
        if surroundings.is_prefork_child():
            faulthandler.cancel_dump_traceback_later()
        with self._lock:
            self._batches.discard(batch)

    def _work(self) -> None:
        while True:
            with self._lock:
                batches = list(self._batches)
                if not batches:
                    self._wake.clear()
            if not batches:
                if not self._wake.wait(IDLE_SECONDS):
                    connection.close()
                    continue
                self._renewed_at = self._looked_at = time.monotonic()
                continue
            try:
                self._tick(batches)
            except Error as error:  # the database is away: leases run on, the runner waits for it too
                logger.warning("Cannot renew leases: %s", str(error).strip())
                time.sleep(LOOK_SECONDS)
            except Exception:
                logger.exception("The watchdog stumbled")
            time.sleep(TICK_SECONDS)

    def _tick(self, batches: "list[Batch]") -> None:
        now = time.monotonic()
        for batch in batches:
            batch.check_deadline()
            if shutdown.asked_for():
                batch.wind_up()
            if batch.overdue():
                self._end(batch)
        if now - self._looked_at < LOOK_SECONDS:
            for batch in batches:
                batch.settle_waiting(seconds=0)
            return
        close_old_connections()
        self._looked_at = now
        self._look(batches)
        if now - self._renewed_at >= settings.LEASE_SECONDS / 3:
            self._renew(batches)
            self._renewed_at = now
        for batch in batches:
            batch.settle_waiting(seconds=0)
            for attempt in batch.open_attempts():
                attempt.tell_stop(attempt.context.stop_reason)
            batch.flush_progress()

    def _look(self, batches: "list[Batch]") -> None:
        """Notices cancellations, and attempts that are no longer ours."""
        mine = {attempt.task.pk: attempt for batch in batches for attempt in batch.open_attempts()}
        rows = Task.objects.filter(pk__in=mine, status=TaskStatus.PROCESSING)
        seen = {row[0]: row[1:] for row in rows.values_list("pk", "attempt", "cancel_requested_at")}
        for key, attempt in mine.items():
            number, cancel_requested_at = seen.get(key, (None, None))
            if number != attempt.task.attempt:
                attempt.stop("lost")
            elif cancel_requested_at is not None:
                attempt.tell_stop("cancelled")  # first: its handler may heed at once
                attempt.stop("cancelled")

    def _renew(self, batches: "list[Batch]") -> None:
        for batch in batches:
            # All of it: what has ended and cannot be settled yet is no less ours.
            leased = Task.objects.filter(pk__in=batch.ids, worker=batch.worker, status=TaskStatus.PROCESSING)
            leased.update(lease_expires_at=lease_end(clock.now()))

    def _end(self, batch: "Batch") -> None:
        batch.abandon()
        if surroundings.is_prefork_child():  # ending it stops the handler for good
            surroundings.end_processes("stopped by force")
            logger.error("Ending this worker process: its handler does not heed a stop")
            flush_all(timeout=1.0)  # the end of these tasks is still to be announced
            logging.shutdown()
            os._exit(EXIT_CODE)
        self.stuck += 1
        logger.error("A handler does not heed a stop; its thread goes on without effect (%d so far)", self.stuck)
        self.forget(batch)


watchdog = Watchdog()
