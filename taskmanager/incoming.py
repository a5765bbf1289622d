"""What a message from RabbitMQ may say. Whoever can write there must not be able to do more than wake somebody up.

Of a Celery message four things are believed, and each only as a hint that the database decides on: which of our Celery
tasks, about which ids, when it was sent, and that the rest of the pipeline follows. All other headers (time limits, start
times, callbacks, chords, other tasks to run …) are dropped. A message of any other shape goes to `tasks_failed`.
"""

import uuid
from collections.abc import Collection
from typing import Any

from django.conf import settings
from kombu.message import Message

from tasks_app import broker

MAX_BYTES = 65_536
"""Ours have some 6,000 with 32 ids."""
MAX_TEXT = 4_096
_ABSENT: tuple[Any, ...] = (None, [], {})


class Refused(Exception):
    """Not a message of ours, for the reason that it carries."""


def check(message: Message, *, names: Collection[str]) -> None:
    """Leaves of a message what may be believed. Raises Refused, unless it is one of ours for the Celery tasks `names`."""
    headers = message.headers
    if broker.UNREADABLE in headers:
        raise Refused("its headers cannot be read")
    size = len(message.body or b"")
    if size > MAX_BYTES:
        raise Refused(f"it has {size:,} bytes, and ours have at most {MAX_BYTES:,}")
    name = headers.get("task")
    if not isinstance(name, str) or name not in names:
        raise Refused(f"{str(name)[:100]!r} is no Celery task of this queue")
    try:
        arguments, options, embedded = message.payload
        arguments, options = list(arguments), dict(options)
        _check_embedded(embedded, name, arguments)
    except Refused:
        raise
    except Exception as error:  # kombu's many, and whatever a body of another shape leads to
        raise Refused(f"its body cannot be read: {type(error).__name__}") from error
    message.headers = _ours(headers, name, arguments, options)


def _check_embedded(embedded: Any, name: str, arguments: list[Any]) -> None:
    """Celery publishes what a message embeds when the Celery task has ended: the rest of our pipeline, and nothing else."""
    chain = embedded.get("chain")
    if any(value not in _ABSENT for key, value in embedded.items() if key != "chain"):
        raise Refused("it wants other Celery tasks to follow")
    if chain in _ABSENT:
        return
    pipeline = settings.TASK_PIPELINE
    if name not in pipeline:
        raise Refused("it wants other Celery tasks to follow")
    following = pipeline[pipeline.index(name) + 1 :]
    links = [(link["task"], link["args"], link["kwargs"], link["options"]) for link in reversed(chain)]
    if links != [(task, arguments, {}, {}) for task in following]:
        raise Refused("it wants other Celery tasks to follow")


def _ours(headers: dict[str, Any], name: str, arguments: list[Any], options: dict[str, Any]) -> dict[str, Any]:
    """The headers that Celery needs, whatever came with them."""
    key = _id(headers.get("id"))
    return {
        "lang": "py",
        "task": name,
        "id": key,
        "root_id": _id(headers.get("root_id"), key),
        "parent_id": None,
        "retries": 0,
        "argsrepr": repr(arguments)[:MAX_TEXT],
        "kwargsrepr": repr(options)[:MAX_TEXT],
        "ignore_result": True,
        # Of the body, where Celery would look among the headers if it were silent.
        "callbacks": None,
        "errbacks": None,
        "chain": None,
        "chord": None,
    }


def _id(value: Any, default: str = "") -> str:
    try:
        return str(uuid.UUID(value))
    except (ValueError, TypeError, AttributeError):
        return default or str(uuid.uuid4())
