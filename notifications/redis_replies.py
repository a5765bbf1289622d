"""What Redis may answer with: a bounded number of bytes, in a bounded time. Reaches into redis-py's parsers.

They believe the length that a reply begins with, and each byte that arrives in time buys time for the next: something
else that listens where Redis should could hold a thread of `web` for ever and fill its memory.
"""

import time
from typing import Any

from redis._parsers.resp3 import _AsyncRESP3Parser, _RESP3Parser
from redis._parsers.socket import SocketBuffer
from redis.exceptions import InvalidResponse, TimeoutError
from redis.utils import SENTINEL

MAX_REPLY = 65_536
"""To what we ask of Redis: numbers, and how it is."""
MAX_ANNOUNCEMENT = 16_777_216
REPLY_SECONDS = 2.0


class _Buffer(SocketBuffer):
    deadline = float("inf")

    def read(self, length: int, timeout: Any = SENTINEL) -> bytes:
        if not 0 <= length <= MAX_REPLY:
            raise InvalidResponse(f"A reply of {length} bytes.")
        return super().read(length, timeout)

    def _read_from_socket(
        self, length: int | None = None, timeout: Any = SENTINEL, raise_on_timeout: bool | None = True
    ) -> bool:
        before = self.unread_bytes()
        while True:
            if time.monotonic() > self.deadline:
                raise TimeoutError("A reply without an end.")
            there = super()._read_from_socket(None, timeout, raise_on_timeout)
            found = self.unread_bytes()
            if found > 2 * MAX_REPLY:
                raise InvalidResponse("A reply without an end.")
            if not there or length is None or found - before >= length:
                return there


class Parser(_RESP3Parser):
    """Of replies to commands."""

    def on_connect(self, connection: Any) -> None:
        """As redis-py's, with a buffer that has bounds."""
        super().on_connect(connection)  # type: ignore[no-untyped-call]
        self._buffer = _Buffer(connection._sock, self.socket_read_size, connection.socket_timeout)

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        """The next reply. Raises redis.RedisError."""
        if self._buffer:
            self._buffer.deadline = time.monotonic() + REPLY_SECONDS
        return super().read_response(*arguments, **options)


class ListeningParser(_AsyncRESP3Parser):
    """Of what is published: it may be long in coming, and is not longer than an announcement."""

    async def _read(self, length: int) -> bytes:
        if not 0 <= length <= MAX_ANNOUNCEMENT:
            raise InvalidResponse(f"A reply of {length} bytes.")
        return await super()._read(length)
