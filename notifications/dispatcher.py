"""Sends deliveries side by side: one thread that owns the database, and threads that only make requests.

The coordinator claims what is due, hands each endpoint's share to a lane, and records what has ended by the batch. A lane
sends one after the other over a kept-alive connection. What a lane has not begun after SPILL_SECONDS gets further lanes:
a fast receiver costs one thread, and a slow one delays nothing that may be in flight beside it.
"""

import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from django.conf import settings
from django.db import close_old_connections, connection

from notifications import deliveries, wire
from notifications.connections import MAX_IDLE_SECONDS, Connections
from notifications.sender import Exchange
from notifications.wire import Sending
from tasks_app import clock, database, shutdown

logger = logging.getLogger(__name__)

SPILL_SECONDS = 0.05
RECORD_SECONDS = 0.03
"""How long what has ended waits for more to be recorded with it, while requests are under way."""
RECORD_MOST = 64
AWAY_SECONDS = 1.0
MAX_WAITING = 100_000
"""Ids that wait to be looked at. Messages may name as many as they like, and need not be true."""
Ended = tuple[Sending, Exchange]


class Lane:
    """What one endpoint may be sent now, in its order. Several threads may work on it."""

    def __init__(self, sendings: Iterable[Sending]) -> None:
        self.waiting = deque(sendings)
        self.spilled_at = time.monotonic()


class Dispatcher:
    """Starts its threads at first use. After a fork the child starts anew."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._tasks: set[uuid.UUID] = set()
        self._endpoints: set[uuid.UUID] = set()
        self._ended: list[Ended] = []
        self._ended_at = 0.0
        self._under_way = 0
        self._lanes: list[Lane] = []
        self._full: set[uuid.UUID] = set()
        self._is_ending = False
        self._thread: threading.Thread | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._connections = Connections()

    # ---- From any thread ----

    def wake(self, *, tasks: Collection[uuid.UUID] = (), endpoints: Collection[uuid.UUID] = ()) -> None:
        """Something may be due for these. Returns at once. In a flood some are left to the sweep."""
        with self._changed:
            if len(self._tasks) < MAX_WAITING:
                self._tasks.update(tasks)
            if len(self._endpoints) < MAX_WAITING:
                self._endpoints.update(endpoints)
            if self._thread is None:
                self._threads = ThreadPoolExecutor(settings.NOTIFIER_CONCURRENCY, thread_name_prefix="webhook")
                self._thread = threading.Thread(target=self._work, name="dispatcher", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def finish(self, *, timeout: float) -> bool:
        """Claims nothing more, and ends once all that is under way is recorded; False if `timeout` (seconds) was over
        first."""
        with self._changed:
            thread, self._is_ending = self._thread, True
            self._changed.notify_all()
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    # ---- The coordinator ----

    def _work(self) -> None:
        while (gathered := self._gathered()) is not None:
            tasks, endpoints, ended = gathered
            try:
                close_old_connections()
                if ended:
                    deliveries.record(ended, now=clock.now())
                    endpoints |= self._made_room(ended)
                    ended = []
                if tasks:
                    endpoints.update(deliveries.waiting_endpoints(tasks))
                    tasks = set()
                if endpoints and not (self._is_ending or shutdown.asked_for()):
                    self._claim(endpoints)
            except database.AWAY as error:
                logger.warning("Cannot send webhooks, the database is away: %s", error)
                self._put_back(tasks, endpoints, ended)
                connection.close()
                time.sleep(AWAY_SECONDS)
            except Exception:  # what was claimed is made again once its lease is over
                logger.exception("The dispatcher stumbled")
        connection.close()

    def _gathered(self) -> tuple[set[uuid.UUID], set[uuid.UUID], list[Ended]] | None:
        """What there is to do; waits for it. None: all is done, and no more is wanted."""
        with self._changed:
            while not self._is_due():
                if self._is_ending and not self._under_way:
                    self._close()
                    return None
                self._changed.wait(self._patience())
                self._spill()
            room = settings.NOTIFIER_CONCURRENCY - self._under_way
            tasks, self._tasks = self._tasks, set()
            endpoints, self._endpoints = (self._endpoints, set()) if room > 0 else (set(), self._endpoints)
            ended, self._ended = self._ended, []
            return tasks, endpoints, ended

    def _close(self) -> None:
        assert self._threads is not None
        self._threads.shutdown(wait=False)
        self._connections.close()
        self._reset()

    def _is_due(self) -> bool:
        if self._is_ending:
            return bool(self._ended)
        if self._tasks or (self._endpoints and self._under_way < settings.NOTIFIER_CONCURRENCY):
            return True
        if not self._ended:
            return False
        waited = time.monotonic() - self._ended_at
        return not self._under_way or waited >= RECORD_SECONDS or len(self._ended) >= RECORD_MOST

    def _patience(self) -> float | None:
        if self._ended:
            return RECORD_SECONDS
        if self._lanes:
            return SPILL_SECONDS
        return MAX_IDLE_SECONDS if self._connections.close_old() else None

    def _put_back(
        self, tasks: Collection[uuid.UUID], endpoints: Collection[uuid.UUID], ended: Sequence[Ended] = ()
    ) -> None:
        with self._changed:
            self._tasks.update(tasks)
            self._endpoints.update(endpoints)
            self._ended[:0] = ended

    def _made_room(self, ended: Sequence[Ended]) -> set[uuid.UUID]:
        """Endpoints where more was due than could be sent, and where something has ended now."""
        found = {sending.endpoint.pk for sending, _exchange in ended} & self._full
        self._full -= found
        return found

    def _claim(self, endpoints: set[uuid.UUID]) -> None:
        room = settings.NOTIFIER_CONCURRENCY - self._under_way
        if room <= 0:
            self._put_back((), endpoints)
            return
        claim = deliveries.claim(endpoints, now=clock.now(), batch=room)
        self._full |= claim.full
        if len(claim.sendings) == room:  # some may have got nothing, and nothing of theirs will end
            self._put_back((), claim.full - {sending.endpoint.pk for sending in claim.sendings})
        by_endpoint = sorted(claim.sendings, key=lambda sending: sending.endpoint.pk)
        with self._changed:
            self._under_way += len(claim.sendings)
            for _endpoint_id, sendings in groupby(by_endpoint, key=lambda sending: sending.endpoint.pk):
                lane = Lane(sendings)
                self._start(lane)
                if lane.waiting:
                    self._lanes.append(lane)

    def _spill(self) -> None:
        """Another thread for each lane whose next one waits."""
        now = time.monotonic()
        self._lanes = [lane for lane in self._lanes if lane.waiting]
        for lane in self._lanes:
            if now - lane.spilled_at >= SPILL_SECONDS:
                lane.spilled_at = now
                self._start(lane)

    def _start(self, lane: Lane) -> None:
        assert self._threads is not None
        self._threads.submit(self._drive, lane)

    # ---- A thread that makes requests ----

    def _drive(self, lane: Lane) -> None:
        while True:
            try:
                sending = lane.waiting.popleft()
            except IndexError:
                return
            exchange = self._exchange(sending)
            with self._changed:
                if not self._ended:
                    self._ended_at = time.monotonic()
                self._ended.append((sending, exchange))
                self._under_way -= 1
                if len(self._ended) == 1 or not self._under_way or len(self._ended) >= RECORD_MOST:
                    self._changed.notify_all()

    def _exchange(self, sending: Sending) -> Exchange:
        try:
            with self._connections.borrow(sending) as keep:
                return wire.exchange(sending, keep=keep)
        except Exception as error:
            logger.exception("The request of delivery %s stumbled", sending.delivery_id)
            return Exchange(error_code="reset", error_message="The request could not be made.", error_detail=str(error))


dispatcher = Dispatcher()
