"""What a database that is away comes as, and how to wait for it."""

import logging
import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from tasks_app import shutdown

logger = logging.getLogger(__name__)
T = TypeVar("T")

AWAY = (OperationalError, InterfaceError)
"""The one name for: nothing was changed, the same may work later. A server that is there and cannot write (a standby,
`default_transaction_read_only`) or has no connection free counts as away; the PostgreSQL backend sees to that."""

UNAVAILABLE = "The database does not answer right now, or cannot write. Nothing was changed; try again in a moment."
FULL = "The database has no connection free right now. Nothing was changed; try again in a moment."
_FULL = ("too many", "connection slots", "no more connections", "couldn't get a connection")
"""What PostgreSQL, PgBouncer and psycopg's pool say; libpq tells no code of an error while it connects."""
RETRY_AFTER = "2"
AWAY_SECONDS = 300.0
"""How long work is held while the database is away: nobody else could do it meanwhile."""


def repeated_cursor() -> Any:
    """A cursor for statements that every task needs. PostgreSQL's plans them once for a connection (taskmanager/postgresql)."""
    return getattr(connection, "prepared_cursor", connection.cursor)()


SAY_SECONDS = 2.0
_said = {"at": -math.inf}


def sentence(error: BaseException) -> str:
    """For whoever asked."""
    text = str(error)
    return FULL if any(words in text for words in _FULL) else UNAVAILABLE


def patiently(action: Callable[[], T], *, seconds: float = AWAY_SECONDS) -> T:
    """Repeats a database action while the database is away, for so long at most or as long as the process may."""
    deadline, wait = time.monotonic() + seconds, 0.1
    while True:
        try:
            return action()
        except AWAY as error:
            if time.monotonic() > deadline or shutdown.seconds() > settings.SHUTDOWN_SECONDS:
                raise
            _say(error)
            close_old_connections()
            time.sleep(wait)
            wait = min(wait * 2, 2.0)


def _say(error: Exception) -> None:
    """Every few seconds, however many threads wait."""
    if time.monotonic() - _said["at"] >= SAY_SECONDS:
        _said["at"] = time.monotonic()
        logger.warning("Waiting for the database: %s", str(error).strip())
