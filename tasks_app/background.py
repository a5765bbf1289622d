"""A thread that works off what others put down: the caller never waits and never sees an error."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from django.db import close_old_connections

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Drain(Generic[T]):
    """One daemon thread per process, started at first use, that hands all that gathered to `handle` at once.

    While `handle` works, more gathers: under load it is called with larger batches instead of more often. Above
    `capacity` items the newest are dropped and counted; so use it only for what can be found again elsewhere.
    After a fork the child starts with an empty queue and a thread of its own.
    """

    def __init__(self, name: str, handle: Callable[[list[T]], object], *, capacity: int = 100_000) -> None:
        self.name, self.handle, self.capacity = name, handle, capacity
        self.dropped = 0
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False

    def put(self, items: Iterable[T]) -> None:
        """Returns at once."""
        with self._changed:
            for item in items:
                if len(self._items) < self.capacity:
                    self._items.append(item)
                else:
                    self.dropped += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, *, timeout: float) -> bool:
        """Waits until everything put so far was handled; False if `timeout` (seconds) was over first."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._items or self._busy:
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    return False
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._items:
                    self._changed.wait()
                items = list(self._items)
                self._items.clear()
                self._busy = True
            try:
                close_old_connections()
                self.handle(items)
            except Exception:
                logger.exception("%s could not handle %d items", self.name, len(items))
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
