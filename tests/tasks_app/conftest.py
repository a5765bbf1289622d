"""Fixtures of the domain's tests. They run on PostgreSQL with the plugin and on SQLite without."""

from collections.abc import Iterator
from typing import Any

import pytest

from notifications import live, topic
from notifications.models import Event
from tasks_app import pipeline
from tasks_app.handlers import registry
from tasks_app.models import Task, TaskEvent
from tasks_app.signals import TaskChange, task_changed, task_recorded
from tests.database import django_db_setup  # noqa: F401


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


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:  # noqa: F811
    """Real commits, which other threads see. Much quicker than pytest-django's transaction=True, which empties every table.

    What our threads were given is done with before the rows go.
    """
    with django_db_blocker.unblock():
        yield
        for drain in (pipeline.publisher, live.announcer, topic.publisher):
            assert drain.flush(timeout=20)
        Event.objects.all().delete()
        Task.objects.all().delete()
