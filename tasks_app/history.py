"""Writes TaskEvents and tells the world: `task_recorded` inside the transaction, `task_changed` after it."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from tasks_app import statements
from tasks_app.models import Task, TaskEvent
from tasks_app.signals import TaskChange, task_changed, task_recorded

What = TaskEvent.What
TERMINAL = frozenset({What.SUCCEEDED, What.FAILED, What.COMPLETED, What.CANCELLED})


def event(
    task: Task, what: TaskEvent.What, *, who: str, at: datetime, why: str = "", attempt: int | None = None,
    data: dict[str, Any] | None = None,
) -> TaskEvent:  # fmt: skip
    """An event, not saved yet, that says how `task` is now."""
    return TaskEvent(
        task=task, what=what, at=at, status=task.status, attempt=attempt, version=task.version, who=who, why=why,
        data=data or {}, is_terminal=what in TERMINAL,
    )  # fmt: skip


def logs(task: Task, lines: Sequence[str], *, attempt: int, at: datetime) -> list[TaskEvent]:
    """One event for each line a handler logged; they do not count as versions."""
    return [event(task, What.LOG, who=task.worker, why=line, at=at, attempt=attempt) for line in lines]


def record(events: Sequence[TaskEvent], *, tasks: Sequence[Task] = ()) -> None:
    """Saves events, and `tasks` where they are new, lets others write beside them, and announces them once committed.

    Call inside the transaction.
    """
    if not events:
        return
    announce(events, revision=statements.insert(events, tasks=tasks))


def announce(events: Sequence[TaskEvent], *, revision: uuid.UUID | None) -> None:
    """Lets others write beside saved events, and announces them once committed. Call inside the transaction."""
    if not events:
        return
    task_recorded.send(sender=TaskEvent, events=list(events), revision=revision)
    _announce([_change(item, what=item.what) for item in events])


def record_progress(task: Task, *, lines: Sequence[str] = (), at: datetime) -> None:
    """Saves a running attempt's log lines and announces its progress, which is shown but is no event."""
    saved = TaskEvent.objects.bulk_create(logs(task, lines, attempt=task.attempt, at=at))
    shown = event(task, What.LOG, who=task.worker, at=at, attempt=task.attempt)
    shown.id = saved[-1].id if saved else 0
    _announce([_change(shown, what="progress")])


def _change(item: TaskEvent, *, what: str) -> TaskChange:
    task = item.task
    return TaskChange(
        task_id=task.pk, owner_id=task.owner_id, what=what, status=item.status, version=item.version,
        attempt=task.attempt, updated_at=item.at, message=item.why or task.message, event_id=item.id,
        task=task if what in (What.SUBMITTED, What.UPDATED) else None,
    )  # fmt: skip


def _announce(changes: list[TaskChange]) -> None:
    transaction.on_commit(lambda: task_changed.send_robust(sender=Task, changes=changes), robust=True)
