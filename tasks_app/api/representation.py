"""A task as clients read it: one shape that serves both earlier systems and the product's own API."""

from datetime import datetime, timezone
from typing import Any, TypedDict

from tasks_app.models import Task


class TaskJSON(TypedDict):
    """Times are ISO 8601 in UTC; `id` and `task_id` are one UUID; `error_code` is empty unless the last attempt failed."""

    id: str
    task_id: str
    title: str
    description: str
    done: bool
    kind: str
    payload: Any
    status: str
    progress: int
    message: str
    result: Any
    error_code: str
    error_message: str
    attempt: int
    attempts_used: int
    max_attempts: int
    timeout: int
    priority: int
    tags: list[str]
    metadata: dict[str, Any]
    callback_url: str
    rerun_of: str | None
    version: int
    run_at: str
    created_at: str
    updated_at: str
    started_at: str | None
    finished_at: str | None
    cancel_requested_at: str | None


def task_json(task: Task) -> TaskJSON:
    """All that its owner may know of a task."""
    return {
        "id": str(task.pk), "task_id": str(task.pk), "title": task.title, "description": task.description,
        "done": task.done, "kind": task.kind, "payload": task.payload, "status": str(task.status),
        "progress": task.progress, "message": task.message, "result": task.result, "error_code": task.error_code,
        "error_message": task.error_message, "attempt": task.attempt, "attempts_used": task.attempts_used,
        "max_attempts": task.max_attempts, "timeout": task.timeout, "priority": task.priority, "tags": task.tags,
        "metadata": task.metadata, "callback_url": task.callback_url,
        "rerun_of": str(task.rerun_of_id) if task.rerun_of_id else None, "version": task.version,
        "run_at": moment(task.run_at), "created_at": moment(task.created_at), "updated_at": moment(task.updated_at),
        "started_at": maybe_moment(task.started_at), "finished_at": maybe_moment(task.finished_at),
        "cancel_requested_at": maybe_moment(task.cancel_requested_at),
    }  # fmt: skip


def moment(value: datetime) -> str:
    """ISO 8601 in UTC, with microseconds and a Z."""
    # Not strftime: it writes the year 188 with three digits.
    return value.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def maybe_moment(value: datetime | None) -> str | None:
    """The same where there may be none."""
    return moment(value) if value else None
