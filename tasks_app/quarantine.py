"""Messages that nobody could work on: they come from `tasks_failed` and wait here for an operator.

That one arrives says nothing about a task: a worker that dies takes innocent messages with it. So none fails a task; those
that it names and that still wait are published anew.
"""

import json
import logging
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from kombu import Producer
from kombu.message import Message

from tasks_app import broker, clock
from tasks_app.exceptions import TransitionRefused
from tasks_app.models import QuarantinedMessage, Task, TaskStatus

logger = logging.getLogger(__name__)

State = QuarantinedMessage.State
MOST_A_ROUND = 200
MOST_HELD = 10_000
"""Messages; more of them stay in the queue until some are decided on."""
MOST_BYTES = 65_536
"""Of a message's body; no worker accepts more either (taskmanager.incoming)."""
MAX_DEPTH = 20
MOST_TASKS = 1_000
KEPT = timedelta(days=30)
BATCH = 100
_REASONS = {
    "rejected": "Not readable, or none of ours: the worker refused it",
    "delivery_limit": "Delivered too often: its worker died each time",
    "expired": "Waited longer than the queue allows",
    "maxlen": "The queue was full",
}
_BROKERS_OWN = ("x-death", "x-first-death", "x-last-death", "x-delivery-count", "x-acquired-count")


def sweep(*, now: datetime | None = None) -> None:
    """One round: takes in what lies in `tasks_failed`. Only RabbitMQ has dead letters."""
    now = now or clock.now()
    old = QuarantinedMessage.objects.exclude(state=State.HELD).filter(decided_at__lt=now - KEPT).order_by("pk")
    QuarantinedMessage.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:BATCH])).delete()
    if broker.has_dead_letters():
        _collector.collect()


def held() -> int:
    """How many messages wait for a decision. Counts no further than MOST_HELD."""
    return QuarantinedMessage.objects.filter(state=State.HELD).order_by()[:MOST_HELD].count()


class Collector:
    """Owns a broker connection and empties `tasks_failed` into the table. Used by one thread only."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._broken = False

    def collect(self) -> int:
        """Takes in what is there, a bounded number. Returns how many. A broker that is away is for the next round."""
        room = min(MOST_A_ROUND, MOST_HELD - held())
        if room <= 0:
            return 0
        try:
            return self._collect(room)
        except broker.ERRORS as error:
            if not self._broken:
                logger.warning("Cannot read tasks_failed until the broker is back: %s", error)
            self._broken = True
            self._close()
            return 0

    def _collect(self, room: int) -> int:
        if self._connection is None:
            self._connection = broker.connect()
            broker.declare(self._connection)
            # The bytes as they are, whatever encoding they claim.
            self._connection.default_channel.auto_decode = False
        self._broken = False
        channel = self._connection.default_channel
        for taken in range(room):
            found = channel.basic_get(broker.FAILED.name, no_ack=False)
            if found is None:
                return taken
            # Not kombu's `get`, which raises what it finds wrong with a message and leaves it where it is.
            message = channel.message_to_python(found)
            take_in(message)
            message.ack()  # after the commit: one that is stored twice is better than one that is lost
        return room

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.collect()
        self._connection = None


def take_in(message: Message, *, now: datetime | None = None) -> QuarantinedMessage:
    """Stores a message with the reason it came, and has the waiting tasks that it names published anew."""
    now = now or clock.now()
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
    headers = _storable(message.headers or {})
    info = message.delivery_info or {}
    with transaction.atomic():
        tasks = dict(Task.objects.filter(pk__in=named_tasks(body)).values_list("pk", "status"))
        waiting = [key for key, status in tasks.items() if status == TaskStatus.PENDING]
        # Alone from now on: one of them may be what ended its worker.
        Task.objects.filter(pk__in=waiting, status=TaskStatus.PENDING).update(published_at=None, solo=True)
        found = QuarantinedMessage.objects.create(
            received_at=now, queue=str(headers.get("x-first-death-queue", ""))[:255], reason=_reason(headers),
            routing_key=_text(info.get("routing_key")), content_type=_text(message.content_type),
            content_encoding=_text(message.content_encoding), headers=headers, body=body[:MOST_BYTES], size=len(body),
            tasks={str(key): status for key, status in tasks.items()},
        )  # fmt: skip
    logger.error("Quarantined a message of %d bytes from %s: %s", len(body), found.queue or "nowhere", found.reason)
    return found


def named_tasks(body: bytes) -> list[uuid.UUID]:
    """Ids of tasks in a message of ours, `[[ids], …]`; nothing from any other. Each id may still be of no task."""
    if len(body) > MOST_BYTES:
        return []
    try:
        ids = json.loads(body)[0][0]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []
    found = []
    for key in ids[:MOST_TASKS] if isinstance(ids, list) else []:
        with suppress(ValueError):
            found.append(uuid.UUID(str(key)))
    return found


def release(message_id: uuid.UUID, *, who: str, why: str = "", now: datetime | None = None) -> QuarantinedMessage:
    """Sends a held message to its queue again, as it was. Raises TransitionRefused, and what kombu raises."""
    with transaction.atomic():
        message = _decided(message_id, State.RELEASED, who=who, why=why, now=now)
        if message.size > len(message.body):
            raise TransitionRefused(
                f"Only the first {MOST_BYTES:,} of its {message.size:,} bytes were kept: it can be discarded, not released."
            )
        if message.queue not in broker.work_queues():
            raise TransitionRefused(f"It came from {message.queue or 'nowhere'!r}, which is no queue of ours.")
        headers = {name: value for name, value in message.headers.items() if not name.startswith(_BROKERS_OWN)}
        with broker.connect() as connection:
            broker.declare(connection)
            queue = broker.work_queues()[message.queue]
            Producer(connection).publish(
                bytes(message.body), exchange=queue.exchange, routing_key=queue.routing_key, headers=headers,
                content_type=message.content_type or "application/octet-stream",
                content_encoding=message.content_encoding or "binary", mandatory=True, confirm_timeout=broker.TIMEOUT_SECONDS,
            )  # fmt: skip
    return message


def discard(message_id: uuid.UUID, *, who: str, why: str = "", now: datetime | None = None) -> QuarantinedMessage:
    """Marks a held message as of no use. Raises TransitionRefused."""
    with transaction.atomic():
        return _decided(message_id, State.DISCARDED, who=who, why=why, now=now)


def _decided(message_id: uuid.UUID, state: State, *, who: str, why: str, now: datetime | None) -> QuarantinedMessage:
    message = QuarantinedMessage.objects.select_for_update().filter(pk=message_id).first()
    if message is None or message.state != State.HELD:
        raise TransitionRefused(
            f"The message is {message.state if message else 'gone'}; only a held one can be decided on."
        )
    message.state, message.decided_at = state, now or clock.now()
    message.decided_by, message.decided_why = who[:255], why
    message.save(update_fields=["state", "decided_at", "decided_by", "decided_why"])
    return message


def _reason(headers: Mapping[str, Any]) -> str:
    if broker.UNREADABLE in headers:
        return "Its headers cannot be read"
    said = str(headers.get("x-first-death-reason", ""))
    return _REASONS.get(said, f"Dead-lettered: {said}"[:255] if said else "Sent here directly, by whom is not known")


def _storable(value: Any, *, depth: int = 0) -> Any:
    """What JSON and PostgreSQL can hold of headers that may be anything."""
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return {_text(key): _storable(item, depth=depth + 1) for key, item in value.items()}
    if depth < MAX_DEPTH and isinstance(value, list | tuple):
        return [_storable(item, depth=depth + 1) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    return _text(value, most=MOST_BYTES)


def _text(value: Any, *, most: int = 255) -> str:
    text = "" if value is None else value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")[:most]


_collector = Collector()
