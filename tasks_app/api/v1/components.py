"""JSON Schemas (2020-12) of what /api/v1 and the root paths take and give, with the limits that validation.py keeps."""

from typing import Any

from tasks_app import validation
from tasks_app.access import SCOPES
from tasks_app.api.codes import CODES
from tasks_app.api.v1.shapes import MAX_REASON
from tasks_app.lifecycle import MAX_BATCH
from tasks_app.models import TaskEvent, TaskStatus

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
UUID: Schema = {"type": "string", "format": "uuid"}
OBJECT: Schema = {"type": "object", "additionalProperties": True}
COUNT: Schema = {"type": "integer", "minimum": 0}
SWITCH: Schema = {"type": "boolean"}


def ref(name: str) -> Schema:
    """A component by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def texts(shortest: int, longest: int, **more: Any) -> Schema:
    return {"type": "string", "minLength": shortest, "maxLength": longest, **more}


def whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    kind = schema.get("type")
    return {**schema, "type": [kind, "null"]} if kind else {"anyOf": [schema, {"type": "null"}]}


def closed(properties: Schema, *, required: list[str] | None = None, **more: Any) -> Schema:
    """An object without other fields. All are required unless said otherwise."""
    names = list(properties) if required is None else required
    found = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    return {**found, "required": names} if names else found


# A text that PostgreSQL can keep: no NUL. A title or tag also has something to see.
_VISIBLE = r"^[^\u0000]*\S[^\u0000]*$"
_STORED = r"^[^\u0000]*$"

_FIELDS: Schema = {
    "title": texts(1, validation.MAX_TITLE, pattern=_VISIBLE),
    "description": maybe(texts(0, validation.MAX_DESCRIPTION, pattern=_STORED)),
    "payload": maybe({**OBJECT, "description": "For the handler: see the schema of the kind"}),
    "tags": array(texts(1, validation.MAX_TAG, pattern=_VISIBLE), maxItems=validation.MAX_TAGS),
    "metadata": {**OBJECT, "maxProperties": validation.MAX_METADATA_KEYS, "description": "Your own; kept as it is"},
    "callback_url": texts(0, 2048, description="Told how the task ends, by a signed webhook; empty: nobody"),
    "priority": whole(-100, 100),
    "max_attempts": whole(1, validation.MAX_ATTEMPTS),
    "timeout": {**whole(1, validation.MAX_TIMEOUT), "description": "Seconds that one attempt may take"},
    "run_at": {**MOMENT, "description": "Not before; at most 366 days ahead"},
}
_KIND: Schema = {**texts(1, 100), "default": validation.DEFAULT_KIND, "description": "See GET /api/v1/kinds"}
_STATUS = {"type": "string", "enum": TaskStatus.values}
_TASK: Schema = {
    "id": UUID, "task_id": {**UUID, "description": "The same as id"}, "title": TEXT, "description": TEXT,
    "done": {**SWITCH, "description": "Whether the status is DONE"}, "kind": TEXT, "payload": maybe(OBJECT),
    "status": ref("Status"), "progress": whole(0, 100), "message": TEXT,
    "result": {"description": "Any JSON that the handler returned"}, "error_code": TEXT, "error_message": TEXT,
    "attempt": COUNT, "attempts_used": COUNT, "max_attempts": COUNT, "timeout": COUNT, "priority": whole(-100, 100),
    "tags": array(TEXT), "metadata": OBJECT, "callback_url": TEXT, "rerun_of": maybe(UUID),
    "version": {"type": "integer", "minimum": 1, "description": "Counts changes without gaps; also the ETag"},
    "run_at": MOMENT, "created_at": MOMENT, "updated_at": MOMENT, "started_at": maybe(MOMENT),
    "finished_at": maybe(MOMENT), "cancel_requested_at": maybe(MOMENT),
}  # fmt: skip
NEXT: Schema = {**maybe({"type": "string", "format": "uri"}), "description": "The next page; null at the end"}
_PROBLEM: Schema = {
    "type": {"type": "string", "format": "uri"}, "title": TEXT, "status": whole(400, 599),
    "code": {"type": "string", "enum": list(CODES), "description": "Stable; docs/errors.md"}, "detail": TEXT,
    "error": {**TEXT, "description": "The same as detail, for clients of the earlier systems"}, "request_id": TEXT,
    "errors": {"type": "object", "additionalProperties": TEXT, "description": "Path of a field → what is wrong"},
}  # fmt: skip
_TOKEN: Schema = {
    "id": whole(1, 2**63 - 1), "name": TEXT, "prefix": TEXT, "scopes": array(TEXT), "created_at": MOMENT,
    "expires_at": maybe(MOMENT), "revoked_at": maybe(MOMENT), "last_used_at": maybe(MOMENT),
}  # fmt: skip
_OWNED: Schema = {**_TASK, "owner": {**maybe(TEXT), "description": "User name; null once that user is gone"}}

COMPONENTS: dict[str, Schema] = {
    "Status": _STATUS,
    "Task": closed(_OWNED),
    "NewTask": closed({**_FIELDS, "kind": _KIND}, required=["title"]),
    "TaskChanges": closed(_FIELDS, required=[]),
    "TaskPage": closed({"tasks": array(ref("Task")), "next": NEXT}),
    "NewBatch": closed({"tasks": array(ref("NewTask"), minItems=1, maxItems=MAX_BATCH)}),
    "Batch": closed({"tasks": array(ref("Task"))}),
    "Nothing": closed({}),
    "Reason": closed({"reason": texts(0, MAX_REASON, pattern=_STORED)}, required=[]),
    "Rerun": closed({"payload": {**_FIELDS["payload"], "description": "Instead of the old one"}}, required=[]),
    "Event": closed({
        "id": {**COUNT, "description": "The cursor that /ws?since= takes"},
        "what": {"type": "string", "enum": TaskEvent.What.values}, "at": MOMENT, "status": ref("Status"),
        "attempt": maybe(COUNT), "version": COUNT, "who": TEXT, "why": TEXT, "data": OBJECT,
    }),
    "EventPage": closed({"events": array(ref("Event")), "next": NEXT}),
    "Kind": closed({
        "kind": TEXT, "description": TEXT, "schema": {**OBJECT, "description": "JSON Schema of the payload"},
        "example": OBJECT, "defaults": closed({"max_attempts": COUNT, "timeout": COUNT}),
    }),
    "Kinds": closed({"kinds": array(ref("Kind"))}),
    "Scope": {"type": "string", "enum": list(SCOPES), "description": "; ".join(f"`{s}`: {t}" for s, t in SCOPES.items())},
    "Token": closed(_TOKEN),
    "MadeToken": closed({**_TOKEN, "token": {**TEXT, "description": "The text, shown this once"}}),
    "Tokens": closed({"tokens": array(ref("Token"))}),
    "NewToken": closed({
        "name": texts(1, 100, pattern=_STORED), "scopes": array(ref("Scope"), minItems=1, maxItems=20),
        "expires_at": {**maybe(MOMENT), "description": "In the future; null or absent: never"},
    }, required=["name", "scopes"]),
    "Me": closed({
        "user": TEXT, "is_staff": SWITCH, "roles": array(TEXT), "scopes": array(ref("Scope")), "may_create": SWITCH,
        "may_any": closed({"view": SWITCH, "change": SWITCH, "delete": SWITCH}),
    }),
    "Problem": closed(_PROBLEM, required=[name for name in _PROBLEM if name not in ("errors", "request_id")]),
    "Alive": closed({"status": {"const": "ok"}}),
    "Health": closed({
        "status": {"enum": ["ok", "unavailable"]}, "version": TEXT,
        "checks": {"type": "object", "additionalProperties": closed(
            {"ok": SWITCH, "name": TEXT, "error": TEXT, "ms": {"type": "number"}}, required=["ok"]
        )},
        "unaccounted": {**maybe(COUNT), "description": "Tasks overdue for being set moving: 0; null if unknown"},
        "quarantined": {**maybe(COUNT), "description": "Messages that wait for an operator. Null if unknown"},
    }, required=["status", "checks"]),
    # ---- The root paths, as clients of the earlier systems know them: other fields are ignored ---------------------
    "RootTask": closed(_TASK),
    "RootNewTask": {**closed({**_FIELDS, "kind": _KIND}, required=["title"]), "additionalProperties": True},
    "RootChanges": {**closed({**_FIELDS, "done": SWITCH}, required=[]), "additionalProperties": True},
    "RootCreated": closed({**_TASK, "task": ref("RootTask")}),
    "RootEnvelope": closed({"task": ref("RootTask")}),
    "RootPage": closed({"tasks": array(ref("RootTask")), "next": NEXT}),
    "RootMessage": closed({"message": TEXT}),
}  # fmt: skip
