"""Which of a host's addresses is used: the first that answers (RFC 8305, "Happy Eyeballs", without its own lookups)."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from collections.abc import Sequence
from itertools import zip_longest
from time import monotonic

from notifications.addresses import Address

MAX_ADDRESSES = 6
STAGGER_SECONDS = 0.25
"""Between the beginnings of two tries, while none has failed or answered (RFC 8305, 5)."""


class NoneAnswered(Exception):
    """`str()` says of each address that was tried what became of it."""


def first_to_answer(addresses: Sequence[Address], port: int, *, seconds: float) -> tuple[Address, socket.socket]:
    """A connection, and the address it was made to. Raises NoneAnswered.

    The next address is tried when one fails, or does not answer at once; those tried before go on meanwhile. The socket
    does not block.
    """
    waiting, next_at, errors = mixed(addresses)[:MAX_ADDRESSES], 0.0, []
    give_up = monotonic() + seconds
    with _Tries() as tries:
        while (now := monotonic()) < give_up and (waiting or tries.under_way):
            if waiting and (now >= next_at or not tries.under_way):
                tries.begin(waiting.pop(0), port)
                next_at = now + STAGGER_SECONDS
            until = min(next_at, give_up) if waiting else give_up
            found, failed = tries.wait(max(until - monotonic(), 0))
            if found is not None:
                return found
            if failed:
                errors += failed
                next_at = 0.0
        errors += [f"{address}: timed out" for address in tries.under_way]
    raise NoneAnswered("; ".join(errors))


def mixed(addresses: Sequence[Address]) -> list[Address]:
    """In their order, but of both families in turn (RFC 8305, 4): where one has no route the other is tried soon."""
    first = [address for address in addresses if address.version == addresses[0].version]
    other = [address for address in addresses if address.version != addresses[0].version]
    return [address for pair in zip_longest(first, other) for address in pair if address is not None]


class _Tries:
    """Connections that are being made at once. What is left at the end is closed."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._failed: list[str] = []

    def __enter__(self) -> _Tries:
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._selector.get_map().values()):
            self._close(key)
        self._selector.close()

    @property
    def under_way(self) -> list[Address]:
        return [key.data for key in self._selector.get_map().values()]

    def begin(self, address: Address, port: int) -> None:
        try:
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            connection = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self._failed.append(f"{address}: {error}")
            return
        connection.setblocking(False)
        number = connection.connect_ex((str(address), port))
        if number not in (0, errno.EINPROGRESS):
            connection.close()
            self._failed.append(f"{address}: {os.strerror(number)}")
            return
        self._selector.register(connection, selectors.EVENT_WRITE, address)

    def wait(self, seconds: float) -> tuple[tuple[Address, socket.socket] | None, list[str]]:
        """A connection that was made, if there is one, and what went wrong with those that were not."""
        for key, _ in self._selector.select(0 if self._failed else seconds):
            connection: socket.socket = key.fileobj  # type: ignore[assignment]
            number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not number:
                self._selector.unregister(connection)
                return (key.data, connection), []
            self._close(key)
            self._failed.append(f"{key.data}: {os.strerror(number)}")
        failed, self._failed = self._failed, []
        return None, failed

    def _close(self, key: selectors.SelectorKey) -> None:
        connection: socket.socket = key.fileobj  # type: ignore[assignment]
        self._selector.unregister(connection)
        connection.close()
