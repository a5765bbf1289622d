"""The timer that runs settings.SWEEPS every few seconds, in one process at a time."""

import logging
import threading
from contextlib import AbstractContextManager, nullcontext

from django.conf import settings
from django.db import close_old_connections, connection
from django.utils.module_loading import import_string

from tasks_app import clock, database, leases

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
        resumes, away = True, False
        while not self._stop.is_set():
            try:
                close_old_connections()
                if resumes:
                    leases.resume(now=clock.now())
                sweep_once()
                resumes = away = False
            except database.AWAY as error:
                if not away:
                    logger.warning("Cannot sweep, the database is away: %s", str(error).strip())
                resumes = away = True
            except Exception:
                logger.exception("The sweep stumbled")
            self._stop.wait(settings.SWEEP_SECONDS)
        connection.close()


def sweep_once() -> None:
    """Each sweep that no other process is at just now. One that stumbles does not keep the others from their work.

    Raises database.AWAY: without the database none of them can work.
    """
    for path in settings.SWEEPS:
        try:
            with _alone(path) as mine:
                if mine:
                    import_string(path)()
        except database.AWAY:
            raise
        except Exception:
            logger.exception("%s stumbled", path)


def _alone(name: str) -> AbstractContextManager[bool]:
    """SQLite has one process only, by the lock on its data directory."""
    return leases.alone(name) if connection.vendor == "postgresql" else nullcontext(True)
