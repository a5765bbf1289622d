"""How many connections to PostgreSQL each role takes at most, and how many there are."""

from django.conf import settings
from django.db import connection

from taskmanager import postgresql

BESIDE_WEB = 3
"""In each process: the thread that notes what it published, and two of a health check while it lasts."""
OF_A_WORKER = 3
"""In each process: the handler's, the watchdog's, and the thread that notes what it published."""

OF_A_NOTIFIER = 3
"""The dispatcher's, the sweep's, and one of whoever else looks; threads that make requests have none."""


def most() -> dict[str, int]:
    """For one of each role, by the settings of this process. Handlers that open connections of their own come on top."""
    pool = int(postgresql.POOL["max_size"])
    return {
        "web": settings.WEB_WORKERS * (settings.WEB_THREADS + BESIDE_WEB),
        "worker": settings.WORKER_CONCURRENCY * OF_A_WORKER,
        "notifier": OF_A_NOTIFIER,
        "live": pool,
    }


def available() -> int | None:
    """What server, database and user allow together; None behind a pooler, which has limits of its own."""
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        if cursor.fetchone()[0] != connection.connection.info.backend_pid:
            return None
        cursor.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int "
            "- coalesce(current_setting('reserved_connections', true)::int, 0), rolconnlimit, datconnlimit "
            "FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
        )
        return min(int(limit) for limit in cursor.fetchone() if limit >= 0)
