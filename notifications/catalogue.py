"""The types of events: what each means, an example, and the JSON Schema (2020-12) of the body."""

from typing import Any

from notifications import payloads

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
TASK_ID = "0199e2b4-7f6e-7c31-9a5d-3f1f1d2c4b5a"
MEANINGS = {
    "task.created": "A task was accepted.",
    "task.started": "A worker began an attempt.",
    "task.updated": "Somebody changed a task, or reopened it.",
    "task.completed": "A task is done.",
    "task.failed": "A task was given up; `data.error` says why.",
    "task.cancelled": "A task was cancelled.",
    "task.deleted": "A task was deleted. It can no longer be read.",
    payloads.PING: "A test of an endpoint.",
    payloads.DISABLED: "Another endpoint of yours was disabled; `data.reason` says why.",
}
STATUSES = {
    "task.created": "PENDING", "task.started": "PROCESSING", "task.updated": "PENDING", "task.completed": "DONE",
    "task.failed": "FAILED", "task.cancelled": "CANCELLED", "task.deleted": "DONE",
}  # fmt: skip
_EXAMPLE_TASK: dict[str, Any] = {
    "id": TASK_ID, "title": "Nightly import", "description": "", "kind": "message", "status": "DONE", "message": "",
    "attempt": 1, "created_at": "2026-01-31T12:00:00.000000+00:00", "updated_at": "2026-01-31T12:00:02.500000+00:00",
    "started_at": "2026-01-31T12:00:00.100000+00:00", "finished_at": "2026-01-31T12:00:02.500000+00:00",
    "duration_seconds": 2.4, "tags": ["import"], "metadata": {"shop": 7},
}  # fmt: skip
_TASK: Schema = {
    "type": "object",
    "properties": {
        "id": {**TEXT, "format": "uuid"}, "title": TEXT, "description": TEXT, "kind": TEXT,
        "status": {"enum": ["PENDING", "PROCESSING", "DONE", "FAILED", "CANCELLED"]}, "message": TEXT,
        "attempt": {"type": "integer", "minimum": 0}, "created_at": MOMENT, "updated_at": MOMENT,
        "started_at": {"type": ["string", "null"], "format": "date-time"},
        "finished_at": {"type": ["string", "null"], "format": "date-time"},
        "duration_seconds": {"type": ["number", "null"]}, "tags": {"type": "array", "items": TEXT},
        "metadata": {"type": "object"}, "link": {**TEXT, "format": "uri"},
        "error": {"type": "object", "properties": {"code": TEXT, "message": TEXT}, "required": ["code", "message"]},
        "result": {"description": "Only for endpoints that include results, and if it is small"},
        "result_omitted": {"const": True}, "result_url": {**TEXT, "format": "uri"},
        "omitted": {"type": "array", "items": TEXT, "description": "Fields left out, for the body would be too large"},
    },
    "required": ["id", "title", "kind", "status", "attempt", "created_at", "updated_at", "started_at", "finished_at",
                 "duration_seconds", "tags"],
}  # fmt: skip
_OWN: dict[str, tuple[Schema, dict[str, Any]]] = {
    payloads.PING: (
        {"type": "object", "properties": {"endpoint_id": TEXT, "message": TEXT}, "required": ["endpoint_id", "message"]},
        {"endpoint_id": TASK_ID, "message": "It works."},
    ),
    payloads.DISABLED: (
        {
            "type": "object", "properties": {"endpoint_id": TEXT, "url": TEXT, "reason": TEXT},
            "required": ["endpoint_id", "url", "reason"],
        },
        {"endpoint_id": TASK_ID, "url": "https://example.org:443", "reason": "It answered 410 (gone)."},
    ),
}  # fmt: skip


def entries() -> list[dict[str, Any]]:
    """All types: `type`, `description`, `example` and `schema`."""
    return [
        {"type": name, "description": meaning, "example": example(name), "schema": schema(name)}
        for name, meaning in MEANINGS.items()
    ]


def example(name: str) -> dict[str, Any]:
    """A body of this type."""
    data = _OWN[name][1] if name in _OWN else _example_task(name)
    sequence = 0 if name in _OWN else 3
    return {"type": name, "timestamp": "2026-01-31T12:00:02.500000+00:00", "sequence": sequence, "data": data}


def schema(name: str) -> Schema:
    """The schema of bodies of this type. Other fields may come: receivers ignore what they do not know."""
    data = _OWN[name][0] if name in _OWN else _TASK
    if name == "task.failed":
        data = {**data, "required": [*data["required"], "error"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, "type": "object",
        "properties": {
            "type": {"const": name}, "timestamp": MOMENT,
            "sequence": {"type": "integer", "minimum": 0, "description": "The task's version: without gaps for each task"},
            "data": data,
        },
        "required": ["type", "timestamp", "sequence", "data"],
    }  # fmt: skip


def _example_task(name: str) -> dict[str, Any]:
    status = STATUSES[name]
    ended = {} if status in ("DONE", "FAILED", "CANCELLED") else {"finished_at": None, "duration_seconds": None}
    error = {"error": {"code": "handler_error", "message": "ValueError: no such file"}} if status == "FAILED" else {}
    begun = {"started_at": None, "attempt": 0} if status == "PENDING" else {}
    return {**_EXAMPLE_TASK, "status": status, **ended, **error, **begun}
