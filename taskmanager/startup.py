"""What a role does before it serves: waits for its services instead of dying, declares every queue, raises its limits."""

import logging
import resource
import time
from collections.abc import Callable

from django.conf import settings
from django.db import connection

from notifications import topic
from tasks_app import broker

logger = logging.getLogger(__name__)

MAX_FILES = 65_536


class ServiceUnavailable(Exception):
    """A service did not answer within its attempts."""


def wait_for_database() -> None:
    """DB_CONNECT_ATTEMPTS tries, DB_CONNECT_BACKOFF seconds apart. Raises ServiceUnavailable."""

    def connect() -> None:
        connection.close()
        connection.ensure_connection()
        connection.close()

    _insist(connect, "DATABASE_URL", attempts=settings.DB_CONNECT_ATTEMPTS, backoff=settings.DB_CONNECT_BACKOFF)


def wait_for_broker() -> None:
    """RABBITMQ_CONNECT_ATTEMPTS tries, RABBITMQ_CONNECT_BACKOFF seconds apart; then declares. Raises ServiceUnavailable."""

    def declare() -> None:
        with broker.connect() as connection:
            broker.declare(connection)
            broker.declare(connection, topic.UPDATED)

    attempts, backoff = settings.RABBITMQ_CONNECT_ATTEMPTS, settings.RABBITMQ_CONNECT_BACKOFF
    _insist(declare, "RABBITMQ_URL", attempts=attempts, backoff=backoff)


def raise_file_limit() -> None:
    """As many open files as the system allows: each client's connection is one, and many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _insist(action: Callable[[], None], name: str, *, attempts: int, backoff: float) -> None:
    for attempt in range(1, attempts + 1):
        try:
            action()
            return
        except Exception as error:
            if attempt == attempts:
                raise ServiceUnavailable(f"{name}: no answer after {attempts} attempts: {error}") from error
            logger.info("Waiting for %s (%d of %d): %s", name, attempt, attempts, str(error).strip().split("\n")[0])
            time.sleep(backoff)
