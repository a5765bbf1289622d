"""Django's PostgreSQL backend, but no connection is kept that has become useless.

A network that swallows packets raises no error: libpq waits for an answer that never comes, and its connection counts as
good. Here an answer takes OPTIONS["answer_seconds"] at most; then the connection is closed and OperationalError raised. The
server is told to end what such a client left behind, so that its locks hold nobody up.

A server that answers and cannot write, because another took its place or it is a standby, is as good as away: what needs a
write is an OperationalError too, and the connection is given up, so that the next one may lead to the server that can.

Nothing depends on the state of a session, and none is left on a connection that a pooler shares with others.
"""

import math
import select
import time
import types
from contextlib import suppress
from functools import lru_cache
from typing import Any

import psycopg
from django.db.backends.postgresql import base

from tasks_app import clock

LIFE_SIGNS = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
"""Of libpq, seconds and milliseconds: notices a peer that is gone while nobody waits for it."""
POOL = {"reconnect_timeout": 5.0}
"""Of psycopg_pool: its waits between two tries double; whoever asks for a connection begins with short ones again."""
TRUST_SECONDS = 5.0
"""A connection that was looked at so recently is used without another look, unless the server has sent something since."""
GIVEN_UP = (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.IdleInTransactionSessionTimeout)
"""Come as InternalError, and the session is of no more use."""


class Connection(psycopg.Connection[Any]):
    """Ends itself when the server does not answer in time, or cannot write."""

    answer_seconds: float | None = None
    is_new = True
    is_direct = False
    """Whether it is known that no pooler stands in between: a session is ours, and what is prepared in it stays there."""

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
        except GIVEN_UP as error:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"The database gave up on this connection: {error}") from error
        except psycopg.errors.InsufficientPrivilege as error:  # cannot write either, and it is not the client's fault
            raise psycopg.OperationalError(str(error)) from error


class _PreparedCursor(psycopg.Cursor[Any]):
    """Prepares at first use, instead of binding the parameters here."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        return super().execute(query, params, **{**options, "prepare": True})


@lru_cache
def bounded(seconds: float | None) -> type[Connection]:
    """The class of connections that wait so long at most; None or 0: for ever."""
    return type("BoundedConnection", (Connection,), {"answer_seconds": seconds or None})


class DatabaseWrapper(base.DatabaseWrapper):
    """Reads OPTIONS["answer_seconds"] and OPTIONS["idle_seconds"]; without them, it is Django's own.

    What is idle for longer, the server ends: only for roles that check a connection before they use it again.
    """

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        options = dict(settings_dict["OPTIONS"])
        self._answer_seconds: float | None = options.pop("answer_seconds", None)
        self._idle_seconds: float = options.pop("idle_seconds", 0)
        connections = bounded(self._answer_seconds)
        if options.get("pool"):
            options["pool"] = {**POOL, **options["pool"], "connection_class": connections}
            settings_dict = {**settings_dict, "CONN_HEALTH_CHECKS": False}  # get_new_connection checks, and better
        super().__init__({**settings_dict, "OPTIONS": {**LIFE_SIGNS, **options}}, alias)
        self._looked_at = -math.inf
        # What Django calls the driver's module: psycopg, but for the class of its connections.
        self.Database: Any = types.SimpleNamespace(**{**vars(psycopg), "connect": connections.connect})

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """As Django's; from the pool only what can be used: the rest is given up, and the pool makes new ones."""
        while True:
            connection = super().get_new_connection(conn_params)
            if not self.pool or connection.is_new:
                connection.is_new = False
                return connection
            with suppress(psycopg.Error):
                connection.autocommit = True  # it may have come back out of a transaction
            if _is_good(connection):
                return connection
            connection.close()
            self.pool.putconn(connection)

    def _configure_connection(self, connection: Any) -> bool:
        super()._configure_connection(connection)  # type: ignore[misc]  # its types do not know it
        # Behind a pooler the process that answers is not the one that greeted us, and the next client would inherit this.
        limits = {"idle_in_transaction_session_timeout": self._answer_seconds or 0}
        if self._idle_seconds and connection.info.server_version >= 140_000:
            limits["idle_session_timeout"] = self._idle_seconds
        question, parameters = "SELECT clock_timestamp(), pg_backend_pid() = %s", [connection.info.backend_pid]
        for name, seconds in limits.items():
            question += ", CASE WHEN pg_backend_pid() = %s THEN set_config(%s, %s, false) END"
            parameters += [connection.info.backend_pid, name, str(round(seconds * 1000))]
        connection.is_direct = _look(connection, question, parameters)[1]
        return True

    def prepared_cursor(self) -> Any:
        """A cursor for statements that are used again and again: planned once for a connection, where it is direct."""
        cursor = self.cursor()
        if not self.connection.is_direct:
            return cursor
        cursor.close()
        return self._prepare_cursor(_PreparedCursor(self.connection))  # type: ignore[attr-defined]

    def close_if_health_check_failed(self) -> None:
        """As Django's, but without a round trip for a connection that was good a moment ago.

        A server that ends sends word of it, or closes: either makes the socket readable, and asking that is local.
        """
        is_trusted = time.monotonic() - self._looked_at < TRUST_SECONDS and not self.errors_occurred
        if is_trusted and self.connection is not None and not _has_news(self.connection):
            self.health_check_done = True
            return
        super().close_if_health_check_failed()

    def is_usable(self) -> bool:
        """As Django's, and takes the time from the answer: whoever keeps a connection keeps the right time."""
        is_good = self.connection is not None and _is_good(self.connection)
        self._looked_at = time.monotonic() if is_good else -math.inf
        return is_good


def _has_news(connection: Any) -> bool:
    """Whether something has arrived that nobody asked for."""
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError, psycopg.Error):
        return True


def _is_good(connection: Any) -> bool:
    """It answers, and leads to a server that can write."""
    try:
        _, read_only = _look(connection, "SELECT clock_timestamp(), current_setting('transaction_read_only')")
    except psycopg.Error:
        return False
    return bool(read_only == "off")


def _look(connection: Any, question: str, parameters: Any = None) -> Any:
    asked_at = time.monotonic()
    answer = connection.execute(question, parameters).fetchone()
    clock.look(answer[0], asked_at=asked_at)
    return answer
