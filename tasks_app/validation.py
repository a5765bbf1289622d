"""Whether a task may come in as it is. Every door (API, pages, Python callers) passes here, through the lifecycle."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from tasks_app import handlers, strict_json
from tasks_app.exceptions import InvalidTask

DEFAULT_KIND = "message"
MAX_TITLE, MAX_DESCRIPTION, MAX_DEPTH = 255, 65_536, 64
MAX_TAGS, MAX_TAG = 20, 50
MAX_METADATA_KEYS, MAX_ATTEMPTS, MAX_TIMEOUT = 50, 1000, 86_400
MAX_PATH = 200
FARTHEST_START = timedelta(days=366)

Errors = dict[str, str]
Validator = Callable[[Mapping[str, Any]], Errors]
"""Named in settings.TASK_VALIDATORS: from the fields of a task to what is wrong with them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewTask:
    """A task as it is submitted. None means: the kind's own value."""

    title: str
    description: str = ""
    kind: str = DEFAULT_KIND
    payload: Mapping[str, Any] | None = None
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    callback_url: str = ""
    priority: int = 0
    max_attempts: int | None = None
    timeout: int | None = None
    run_at: datetime | None = None
    rerun_of: uuid.UUID | None = None


def check_new(task: NewTask, *, now: datetime) -> handlers.Handler:
    """The handler for this task. Raises InvalidTask with a sentence for each field that is wrong."""
    fields = {name: getattr(task, name) for name in NewTask.__slots__ if getattr(task, name) is not None}
    handler = handlers.get(task.kind)
    errors = field_errors(fields, now=now)
    if handler is None:
        errors["kind"] = f"There is no kind {task.kind[:100]!r} here. Known: {', '.join(handlers.kinds())}."
    elif task.payload is not None and is_sound(errors, "payload"):
        errors |= handler.problems(task.payload)
    elif task.payload is None and task.kind != DEFAULT_KIND:
        errors |= handler.problems(None)
    if errors or handler is None:
        raise InvalidTask(errors)
    return handler


def field_errors(fields: Mapping[str, Any], *, now: datetime) -> Errors:
    """What is wrong with the given fields, each by itself; the payload's schema is not asked here."""
    errors = {name: text for name, value in fields.items() if name in _RULES and (text := _RULES[name](value))}
    for name in _JSON_FIELDS & fields.keys() - errors.keys():
        errors |= json_errors(name, fields[name])
    run_at = fields.get("run_at")
    if run_at is not None and run_at > now + FARTHEST_START:
        errors["run_at"] = f"At most {FARTHEST_START.days} days ahead."
    for path in settings.TASK_VALIDATORS:
        validator: Validator = import_string(path)
        errors |= {name: text for name, text in validator(fields).items() if name not in errors}
    return errors


def is_sound(errors: Errors, name: str) -> bool:
    """Whether nothing in this field is wrong."""
    return not any(path.partition(".")[0] == name for path in errors)


def json_errors(name: str, value: Any) -> Errors:
    """Where a value cannot be kept as JSON in PostgreSQL, and why: `NAME.key.0` → sentence. It may come from a handler."""
    if not json_error(value):
        return {}
    path, depth = [name], MAX_DEPTH
    while depth and isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        found = next(((key, item) for key, item in items if json_error(item, depth=depth - 1)), None)
        if found is None:
            break  # one of its keys is wrong
        path.append(str(found[0]))
        value, depth = found[1], depth - 1
    return {".".join(path)[:MAX_PATH]: json_error(value, depth=depth)}


def json_error(value: Any, *, depth: int = MAX_DEPTH) -> str:
    """Why a value cannot be kept, without the place, or an empty string."""
    if isinstance(value, str):
        return text_error(value)
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int | float | strict_json.UnkeptNumber):
        return strict_json.number_error(value)
    if depth == 0:
        return f"is nested deeper than {MAX_DEPTH} levels."
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                return f"has a key that is no text: {type(key).__name__}."
            if error := text_error(key) or json_error(item, depth=depth - 1):
                return error
        return ""
    if isinstance(value, list | tuple):
        return next((error for item in value if (error := json_error(item, depth=depth - 1))), "")
    return f"holds a {type(value).__name__}, which JSON has not."


def text_error(value: str) -> str:
    """Why a text cannot be kept in PostgreSQL, or an empty string."""
    if "\0" in value:
        return "holds a NUL character, which cannot be stored."
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no character."
    return ""


def _title(value: str) -> str:
    if not value.strip():
        return "A title is required."
    return text_error(value) or _too_long(value, MAX_TITLE)


def _too_long(value: str, limit: int) -> str:
    return "" if len(value) <= limit else f"At most {limit:,} characters; this has {len(value):,}."


def _tags(value: Sequence[str]) -> str:
    if len(value) > MAX_TAGS:
        return f"At most {MAX_TAGS} tags."
    if not all(isinstance(tag, str) and tag.strip() and len(tag) <= MAX_TAG for tag in value):
        return f"Each tag is a text of 1 to {MAX_TAG} characters."
    return next((error for tag in value if (error := text_error(tag))), "")


def _metadata(value: Mapping[str, Any]) -> str:
    return f"At most {MAX_METADATA_KEYS} keys." if len(value) > MAX_METADATA_KEYS else ""


def _between(low: int, high: int) -> Callable[[int], str]:
    return lambda value: "" if low <= value <= high else f"From {low:,} to {high:,}."


_JSON_FIELDS = {"payload", "metadata"}
_RULES: dict[str, Callable[[Any], str]] = {
    "title": _title,
    "description": lambda value: text_error(value) or _too_long(value, MAX_DESCRIPTION),
    "kind": text_error,
    "tags": _tags,
    "metadata": _metadata,
    "callback_url": text_error,
    "priority": _between(-100, 100),
    "max_attempts": _between(1, MAX_ATTEMPTS),
    "timeout": _between(1, MAX_TIMEOUT),
}
