"""The test database and the threads of ours that use it. A conftest imports these fixtures to have them."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from notifications import live, topic
from notifications.models import Endpoint, Event
from tasks_app import identity, pipeline
from tasks_app.models import Heartbeat, QuarantinedMessage, Task
from tests.services.processes import PATIENCE


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Ends the sessions of daemon threads (the publisher's) before the test database is dropped: they outlive it."""
    yield
    if connection.vendor != "postgresql":
        return
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Real commits, which other threads see. pytest-django's own empties and refills every table, a second per test.

    What our threads were given is done with before the rows go.
    """
    with django_db_blocker.unblock():
        yield
        for drain in (pipeline.publisher, live.announcer, topic.publisher):
            assert drain.flush(timeout=PATIENCE)
        Event.objects.all().delete()
        for model in (Task, QuarantinedMessage, Heartbeat, Endpoint):
            model.objects.all().delete()
        User.objects.exclude(username=identity.LOCAL).delete()


@pytest.fixture
def committed(transactional_db: None) -> None:
    """Says that a test commits. (pytest-django prepares a database only for tests whose fixtures have a name it knows.)"""
