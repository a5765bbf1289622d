"""Django's PostgreSQL backend, but no statement waits for ever for a server that fell silent.

A network that swallows packets raises no error: libpq waits for an answer that never comes, and its connection counts as
good. Here an answer takes OPTIONS["answer_seconds"] at most; then the connection is closed and OperationalError raised. The
server is told to end what such a client left behind, so that its locks hold nobody up.
"""

import time
import types
from functools import lru_cache
from typing import Any

import psycopg
from django.db.backends.postgresql import base

from tasks_app import clock

LIFE_SIGNS = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""Of libpq, seconds and milliseconds: notices a peer that is gone while nobody waits for it."""


class Connection(psycopg.Connection[Any]):
    """Ends itself when the server does not answer in time."""

    answer_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg's, with a limit where the caller sets none."""
        try:
            return super().wait(gen, interval, timeout or self.answer_seconds)
        except psycopg.errors._WaitTimeout as error:
            if timeout is None:
                self.pgconn.finish()  # its state is not known: an answer that comes late must not be taken for another
                raise psycopg.OperationalError(
                    f"The database did not answer within {self.answer_seconds:g} s."
                ) from error
            raise


@lru_cache
def bounded(seconds: float | None) -> type[Connection]:
    """The class of connections that wait so long at most; None or 0: for ever."""
    return type("BoundedConnection", (Connection,), {"answer_seconds": seconds or None})


class DatabaseWrapper(base.DatabaseWrapper):
    """Reads OPTIONS["answer_seconds"]; without it, it is Django's own."""

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        options = dict(settings_dict["OPTIONS"])
        self._answer_seconds: float | None = options.pop("answer_seconds", None)
        connections = bounded(self._answer_seconds)
        if options.get("pool"):
            options["pool"] = {**options["pool"], "connection_class": connections}
        super().__init__({**settings_dict, "OPTIONS": {**LIFE_SIGNS, **options}}, alias)
        # What Django calls the driver's module: psycopg, but for the class of its connections.
        self.Database: Any = types.SimpleNamespace(**{**vars(psycopg), "connect": connections.connect})

    def _configure_connection(self, connection: Any) -> bool:
        super()._configure_connection(connection)  # type: ignore[misc]  # its types do not know it
        milliseconds = str(round((self._answer_seconds or 0) * 1000))
        limit = "set_config('idle_in_transaction_session_timeout', %s, false)"
        _look(connection, f"SELECT clock_timestamp(), {limit}", [milliseconds])
        return True

    def is_usable(self) -> bool:
        """As Django's, and takes the time from the answer: whoever keeps a connection keeps the right time."""
        if self.connection is None:
            return False
        try:
            _look(self.connection, "SELECT clock_timestamp()")
        except psycopg.Error:
            return False
        return True


def _look(connection: Any, question: str, parameters: Any = None) -> None:
    asked_at = time.monotonic()
    clock.look(connection.execute(question, parameters).fetchone()[0], asked_at=asked_at)
