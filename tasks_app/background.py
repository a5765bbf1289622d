"""A thread that works off what others put down: the caller never waits and never sees an error."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from django.db import close_old_connections, connection

logger = logging.getLogger(__name__)
IDLE_SECONDS = 30.0
"""A thread that has had nothing to do for so long leaves its database connection to others."""
_drains: "list[Drain[Any]]" = []
T = TypeVar("T")


class Drain(Generic[T]):
    """One daemon thread per process, started at first use, that hands all that gathered to `handle` at once.

    While `handle` works, more gathers: under load it is called with larger batches instead of more often. Above
    `capacity` items the newest are dropped and counted; so use it only for what can be found again elsewhere.
    One that `announces` goes first: see flush_announcements.
    After a fork the child starts with an empty queue and a thread of its own.
    """

    def __init__(
        self, name: str, handle: Callable[[list[T]], object], *, capacity: int = 100_000, announces: bool = False
    ) -> None:
        self.name, self.handle, self.capacity, self.announces = name, handle, capacity, announces
        _drains.append(self)
        self.dropped = 0
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._put = self._handled = 0

    def put(self, items: Iterable[T]) -> None:
        """Returns at once."""
        with self._changed:
            for item in items:
                if len(self._items) < self.capacity:
                    self._items.append(item)
                    self._put += 1
                else:
                    self.dropped += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, *, timeout: float) -> bool:
        """Waits until everything put so far was handled; False if `timeout` (seconds) was over first."""
        with self._changed:
            wanted = self._put
            return self._changed.wait_for(lambda: self._handled >= wanted, timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items, IDLE_SECONDS)
                items = list(self._items)
                self._items.clear()
            if not items:
                connection.close()
                continue
            try:
                close_old_connections()
                self.handle(items)
            except Exception:
                logger.exception("%s could not handle %d items", self.name, len(items))
            finally:
                with self._changed:
                    self._handled += len(items)
                    self._changed.notify_all()


def flush_announcements(*, timeout: float) -> None:
    """Waits until what was announced so far is out, `timeout` seconds at most.

    The publisher asks for it before it wakes a worker: otherwise another process might tell of a later change first.
    """
    _flush([drain for drain in _drains if drain.announces], timeout=timeout)


def flush_all(*, timeout: float) -> None:
    """For a process that is about to end: whatever is still held goes out, `timeout` seconds at most."""
    _flush(_drains, timeout=timeout)


def _flush(drains: "list[Drain[Any]]", *, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    for drain in drains:
        drain.flush(timeout=max(0.0, deadline - time.monotonic()))
