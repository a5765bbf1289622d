"""The timer that runs settings.SWEEPS every few seconds, in one process at a time."""

import logging
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)


class Sweeper:
    """A daemon thread. Errors are logged, and the next round comes all the same."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begins with a round at once."""
        self._thread.start()

    def stop(self) -> None:
        """No further round; does not wait for the one that runs."""
        self._stop.set()

    def _work(self) -> None:
        away = False
        while not self._stop.is_set():
            try:
                close_old_connections()
                sweep_once()
                away = False
            except (OperationalError, InterfaceError) as error:
                if not away:
                    logger.warning("Cannot sweep, the database is away: %s", error)
                away = True
            except Exception:
                logger.exception("The sweep stumbled")
            self._stop.wait(settings.SWEEP_SECONDS)
        connection.close()


def sweep_once() -> None:
    """Each sweep that no other process is at just now. One that stumbles does not keep the others from their work.

    Raises OperationalError and InterfaceError: without the database none of them can work.
    """
    for path in settings.SWEEPS:
        try:
            with _alone(path) as mine:
                if mine:
                    import_string(path)()
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            logger.exception("%s stumbled", path)


@contextmanager
def _alone(name: str) -> Iterator[bool]:
    """An advisory lock of PostgreSQL's. SQLite has one process only, by the lock on its data directory."""
    if connection.vendor != "postgresql":
        yield True
        return
    key = zlib.crc32(name.encode())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
