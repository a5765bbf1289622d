"""The JSON that receivers read: webhook bodies, and the plain events of `task.topic`, `task.status` and `/ws`."""

import json
import logging
from datetime import datetime
from typing import Any

from django.conf import settings

from tasks_app.models import FINISHED, TaskEvent
from tasks_app.signals import TaskChange

What = TaskEvent.What
EVENT_TYPES = {
    What.SUBMITTED: "task.created",
    What.STARTED: "task.started",
    What.UPDATED: "task.updated",
    What.REOPENED: "task.updated",
    What.SUCCEEDED: "task.completed",
    What.COMPLETED: "task.completed",
    What.FAILED: "task.failed",
    What.CANCELLED: "task.cancelled",
    What.DELETED: "task.deleted",
}
_TYPES = {str(what): kind for what, kind in EVENT_TYPES.items()}
FINAL_TYPES = frozenset({"task.completed", "task.failed", "task.cancelled"})
PING, DISABLED = "ping", "webhook.endpoint.disabled"
MAX_BODY_BYTES, LARGE_BODY_BYTES, MAX_RESULT_BYTES = 262_144, 20_480, 8192

logger = logging.getLogger(__name__)


def event_type(what: str) -> str:
    """The webhook's word for a line of history, or an empty string where receivers are told nothing."""
    return _TYPES.get(str(what), "")


def webhook_bodies(event: TaskEvent, *, flat: bool = False, result: bool = False) -> dict[str, str]:
    """Compact JSON texts for one event: `body`, the standard envelope, and where asked for `flat_body`, the same with
    the task at the top level, and `result_body`, the same with the task's result if it is small.

    All stay below 256 KiB: a larger one goes without description and metadata, and says so in `omitted`.
    """
    task, data = event.task, _data(event)
    head = {"type": event_type(event.what), "timestamp": event.at, "sequence": event.version}
    for omitted in ([], ["description", "metadata"]):
        kept = {name: value for name, value in data.items() if name not in omitted}
        if omitted:
            kept["omitted"] = omitted
        bodies = {"body": _compact({**head, "data": kept})}
        if flat:
            bodies["flat_body"] = _compact({**head, **kept, "task_id": task.pk, "done": task.done})
        if result and "result_omitted" in kept and len(_compact(task.result).encode()) <= MAX_RESULT_BYTES:
            given = {name: value for name, value in kept.items() if name not in ("result_omitted", "result_url")}
            bodies["result_body"] = _compact({**head, "data": {**given, "result": task.result}})
        largest = max(len(body.encode()) for body in bodies.values())
        if largest <= MAX_BODY_BYTES:
            break
    if largest > LARGE_BODY_BYTES:
        logger.warning("The webhook body of task %s (%s) has %d bytes.", task.pk, head["type"], largest)
    return bodies


def plain_body(kind: str, at: datetime, data: dict[str, Any]) -> str:
    """The body of an event that is of no task."""
    return _compact({"type": kind, "timestamp": at, "sequence": 0, "data": data})


def _compact(value: Any) -> str:
    # Not orjson: it refuses whole numbers over 64 bits, which metadata may hold (PostgreSQL makes one of 1e30); an
    # exception here would undo the end of the task, again and again.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_text)


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _data(event: TaskEvent) -> dict[str, Any]:
    task = event.task
    duration = (task.finished_at - task.started_at).total_seconds() if task.finished_at and task.started_at else None
    data = {
        "id": task.pk, "title": task.title, "description": task.description, "kind": task.kind, "status": event.status,
        "message": task.message, "attempt": task.attempt, "created_at": task.created_at, "updated_at": event.at,
        "started_at": task.started_at, "finished_at": task.finished_at, "duration_seconds": duration, "tags": task.tags,
        "metadata": task.metadata,
    }  # fmt: skip
    if settings.PUBLIC_URL:
        data["link"] = f"{settings.PUBLIC_URL}/dashboard/tasks/{task.pk}/"
    if event.status == "FAILED":
        data["error"] = {"code": task.error_code, "message": task.error_message[:2048]}
    if event.status in FINISHED and task.result is not None:
        data["result_omitted"] = True
        if settings.PUBLIC_URL:
            data["result_url"] = f"{settings.PUBLIC_URL}/tasks/{task.pk}"
    return data


def event_frame(event: TaskEvent) -> dict[str, Any]:
    """The same frame, from the history."""
    frame = {
        "task_id": str(event.task_id), "status": event.status, "updated_at": timestamp(event.at),
        "version": event.version, "cursor": event.pk,
    }  # fmt: skip
    return {**frame, "message": event.why} if event.why else frame


def status_frame(change: TaskChange) -> dict[str, Any]:
    """What `/ws` and the Redis channel `task.status` carry: one status change."""
    frame = {
        "task_id": str(change.task_id), "status": change.status, "updated_at": timestamp(change.updated_at),
        "version": change.version, "cursor": change.event_id,
    }  # fmt: skip
    if change.message:
        frame["message"] = change.message
    return frame


def timestamp(moment: Any) -> str:
    """ISO 8601 in UTC with a Z."""
    return str(moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


def topic_event(change: TaskChange) -> dict[str, Any]:
    """The body of a `task.topic` message."""
    task = change.task
    if change.what == What.SUBMITTED:
        return {
            "task_id": str(change.task_id),
            "payload": task.payload if task else None,
            "requested_at": timestamp(change.updated_at),
        }
    body: dict[str, Any] = {"event": event_type(change.what), **status_frame(change)}
    if task is not None:
        body |= {"id": str(task.pk), "title": task.title, "description": task.description, "done": task.done}
    return body
