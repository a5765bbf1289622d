"""What the code of a kind does to this thread's database connections and context variables stays with it.

While such code runs, the worker's own connections are set aside. Code that asks for one gets a new one, which is closed when
it returns, and with it whatever was left there: a transaction, a setting, a lock, a temporary table. Nothing is asked of the
database for that, and code that never uses it costs nothing.
"""

import contextvars
import decimal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

T = TypeVar("T")
_local = threading.local()


class Visit:
    """One call of a kind's code, on one thread."""

    def __init__(self) -> None:
        self._opened: list[BaseDatabaseWrapper] = []
        self._thread = 0
        self._ours: dict[str, BaseDatabaseWrapper] = {}

    def run(self, function: Callable[[], T]) -> T:
        """Calls `function` apart from the connections and context variables of this thread."""
        self._opened = []
        self._thread = threading.get_ident()
        self._set_aside()
        _local.visit = self
        try:
            with decimal.localcontext():  # what its variable holds can be changed itself
                return contextvars.copy_context().run(function)
        finally:
            _local.visit = None
            self._clear()
            self._bring_back()

    @contextmanager
    def interrupted(self) -> Iterator[bool]:
        """The worker's own connections, while the code waits. False: it holds the one write lock of SQLite.

        On another thread than the code's, there is nothing to set aside.
        """
        if any(_holds_sqlite(wrapper) for wrapper in self._opened):
            yield False
            return
        if threading.get_ident() != self._thread or getattr(_local, "visit", None) is not self:
            yield True
            return
        theirs = _initialized()
        self._bring_back()
        _local.visit = None
        try:
            yield True
        finally:
            self._set_aside()
            for alias, wrapper in theirs.items():
                connections[alias] = wrapper
            _local.visit = self

    def is_unfinished(self) -> bool:
        """True if a transaction was left open: nothing that it wrote counts."""
        return any(wrapper.in_atomic_block or _is_in_transaction(wrapper) for wrapper in self._opened)

    def take_away(self) -> None:
        """From another thread, when the code is given up: ends its transactions, so that nobody waits for its locks."""
        for wrapper in self._opened:
            with suppress(Exception):
                _cut(wrapper)

    def _set_aside(self) -> None:
        self._ours = _initialized()
        for alias in self._ours:
            del connections[alias]

    def _bring_back(self) -> None:
        for alias in _initialized():
            del connections[alias]
        for alias, wrapper in self._ours.items():
            connections[alias] = wrapper

    def _clear(self) -> None:
        for wrapper in [*self._opened, *_initialized().values()]:
            with suppress(Exception):  # first, so that a pool does not keep it
                wrapper.connection.close()
            with suppress(Exception):
                wrapper.close()


def _initialized() -> dict[str, BaseDatabaseWrapper]:
    return {wrapper.alias: wrapper for wrapper in connections.all(initialized_only=True)}


def _remember(connection: BaseDatabaseWrapper, **_: Any) -> None:
    visit: Visit | None = getattr(_local, "visit", None)
    if visit is not None:
        visit._opened.append(connection)


connection_created.connect(_remember, dispatch_uid=__name__)


def _holds_sqlite(wrapper: BaseDatabaseWrapper) -> bool:
    return wrapper.vendor == "sqlite" and _is_in_transaction(wrapper)


def _is_in_transaction(wrapper: BaseDatabaseWrapper) -> bool:
    """As the driver knows it, without a round trip."""
    raw: Any = wrapper.connection
    if raw is None:
        return False
    if wrapper.vendor == "sqlite":
        return bool(raw.in_transaction)
    return raw.info.transaction_status.name in ("ACTIVE", "INTRANS", "INERROR")


def _cut(wrapper: BaseDatabaseWrapper) -> None:
    raw: Any = wrapper.connection
    if raw is None:
        return
    if wrapper.vendor == "sqlite":
        raw.interrupt()
        raw.rollback()
        raw.close()
    else:  # libpq's calls are for one thread: the server is left to notice that nobody is there any more
        with socket.socket(fileno=socket.dup(raw.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
