"""Fixtures of the domain's tests. They run on PostgreSQL with the plugin and on SQLite without."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tasks_app.handlers import registry
from tasks_app.models import TaskEvent
from tasks_app.signals import TaskChange, task_changed, task_recorded
from tests.database import committed, django_db_setup, transactional_db  # noqa: F401
from tests.tasks_app.making import person


@pytest.fixture
def anna(db: None) -> User:
    """A member."""
    return person("anna", "member")


@pytest.fixture
def page(client: Client, anna: User) -> Client:
    """A browser in which Anna is logged in."""
    client.force_login(anna)
    return client


@pytest.fixture
def own_kinds() -> Iterator[None]:
    """Kinds registered during this test are forgotten after it."""
    before = dict(registry._handlers)
    yield
    registry._handlers.clear()
    registry._handlers.update(before)


@pytest.fixture
def recorded() -> Iterator[list[TaskEvent]]:
    """Events of which `task_recorded` told."""
    found: list[TaskEvent] = []

    def listen(events: list[TaskEvent], **_: object) -> None:
        found.extend(events)

    task_recorded.connect(listen)
    yield found
    task_recorded.disconnect(listen)


@pytest.fixture
def changed() -> Iterator[list[TaskChange]]:
    """Changes of which `task_changed` told, after the commit."""
    found: list[TaskChange] = []

    def listen(changes: list[TaskChange], **_: object) -> None:
        found.extend(changes)

    task_changed.connect(listen)
    yield found
    task_changed.disconnect(listen)
