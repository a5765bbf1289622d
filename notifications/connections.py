"""Kept-alive connections between requests: of one endpoint to one origin, never shared with another endpoint."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from notifications.connection import Keep
from notifications.wire import Sending

MAX_IDLE = 64
MAX_IDLE_SECONDS = 30.0


class Connections:
    """A connection is in use by one thread, or idle here. The oldest idle ones are closed first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: deque[tuple[Any, Keep, float]] = deque()

    @contextmanager
    def borrow(self, sending: Sending) -> Iterator[Keep]:
        """A connection for one request of this endpoint: an open one, or one that is made at first use."""
        key = (sending.endpoint.pk, sending.url.split("?")[0])
        keep = self._take(key) or Keep()
        try:
            yield keep
        finally:
            if keep.is_open and not keep.is_worn:
                self._give_back(key, keep)
            else:
                keep.close()

    def close_old(self) -> bool:
        """Closes what has been idle for long. True: some are idle still."""
        with self._lock:
            oldest = time.monotonic() - MAX_IDLE_SECONDS
            old = []
            while self._idle and (self._idle[0][2] < oldest or len(self._idle) > MAX_IDLE):
                old.append(self._idle.popleft()[1])
            has_more = bool(self._idle)
        for keep in old:
            keep.close()
        return has_more

    def close(self) -> None:
        """Closes all that are idle."""
        with self._lock:
            idle, self._idle = self._idle, deque()
        for _key, keep, _since in idle:
            keep.close()

    def _take(self, key: Any) -> Keep | None:
        with self._lock:
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index][0] == key:
                    keep = self._idle[index][1]
                    del self._idle[index]
                    return keep
        return None

    def _give_back(self, key: Any, keep: Keep) -> None:
        with self._lock:
            self._idle.append((key, keep, time.monotonic()))
        self.close_old()
