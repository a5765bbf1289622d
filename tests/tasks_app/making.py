"""Tasks in any status, made by the verbs as the product makes them, at a time that the test chooses."""

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from django.contrib.auth.models import Group, User

from tasks_app import lifecycle
from tasks_app.lifecycle import Outcome
from tasks_app.models import Task, TaskEvent, TaskStatus
from tasks_app.validation import NewTask

NOW = datetime(2020, 1, 1, 12, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)


def came_to(moment: datetime | None, least: float, most: float | None = None, *, since: datetime) -> bool:
    """Whether `moment` lies so many seconds after some instant between `since` and now, however long that was.

    As what was planned meanwhile does; a second to either side is left to the database's clock.
    """
    assert moment is not None
    until = datetime.now(timezone.utc)
    return since + (least - 1) * SECOND <= moment <= until + ((least if most is None else most) + 1) * SECOND


def person(name: str, *roles: str) -> User:
    """Somebody in these roles."""
    user = User.objects.create(username=name)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def submitted(title: str = "A task", *, now: datetime = NOW, **fields: Any) -> Task:
    return lifecycle.submit(NewTask(title=title, **fields), owner_id=None, who="somebody", now=now)


def started(*, now: datetime = NOW, **fields: Any) -> Task:
    """PROCESSING, claimed alone (and therefore solo)."""
    (task,) = lifecycle.start([submitted(now=now, **fields).pk], worker="w1", now=now)
    return task


def started_together(count: int, *, now: datetime = NOW, **fields: Any) -> list[Task]:
    """PROCESSING, claimed in one batch."""
    return lifecycle.start([submitted(now=now, **fields).pk for _ in range(count)], worker="w1", now=now)


def end(task: Task, verb: Any = "succeed", *, now: datetime = NOW, **values: Any) -> list[Task]:
    """Settles the attempt that `task` was when it was loaded."""
    return lifecycle.settle([Outcome(task_id=task.pk, attempt=task.attempt, verb=verb, **values)], who="w1", now=now)


def in_status(status: TaskStatus, **fields: Any) -> Task:
    """A task that came to `status` by the shortest way."""
    if status == TaskStatus.PENDING:
        return submitted(**fields)
    task = started(**fields)
    if status == TaskStatus.DONE:
        end(task, "succeed", result='"made"')
    elif status == TaskStatus.FAILED:
        end(task, "fail", error_code="made", error_message="Made to fail")
    elif status == TaskStatus.CANCELLED:
        lifecycle.cancel(task.pk, who="somebody", now=NOW)
        end(task, "fail")
    return fresh(task)


def fresh(task: Task | uuid.UUID) -> Task:
    """The row as it is now."""
    return Task.objects.get(pk=task.pk if isinstance(task, Task) else task)


def row(task: Task) -> dict[str, Any] | None:
    """Every column, or None if the task is gone."""
    found: Any = Task.objects.filter(pk=task.pk).values().first()
    return found  # type: ignore[no-any-return]


def story(task: Task) -> list[str]:
    """What happened, in order."""
    return list(TaskEvent.objects.filter(task_id=task.pk).order_by("pk").values_list("what", flat=True))
