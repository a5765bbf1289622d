"""Promises webhooks in the same transaction that records the fact: either both are committed, or neither."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from django.conf import settings

from notifications import payloads
from notifications.deliveries import LIFETIME
from notifications.models import Delivery, Event
from tasks_app.models import TaskEvent


def plan(events: Sequence[TaskEvent], **_: Any) -> None:
    """Receiver of `task_recorded`: writes an Event and its Deliveries for whatever somebody wants to hear."""
    planned: list[Event] = []
    deliveries: list[Delivery] = []
    for event in events:
        receivers = _receivers(event)
        if not receivers:
            continue
        body, flat_body = payloads.webhook_bodies(event)
        row = Event(
            type=payloads.event_type(event.what), task_id=event.task.pk, owner_id=event.task.owner_id,
            sequence=event.version, created_at=event.at, body=body,
            flat_body=flat_body if Delivery.Receiver.DEFAULT in receivers else "",
        )  # fmt: skip
        planned.append(row)
        deliveries += [
            Delivery(event=row, receiver=receiver, url=url, created_at=event.at, next_attempt_at=event.at,
                     expires_at=event.at + LIFETIME)
            for receiver, url in receivers.items()
        ]  # fmt: skip
    if planned:
        Event.objects.bulk_create(planned)
        Delivery.objects.bulk_create(deliveries)


def _receivers(event: TaskEvent) -> dict[str, str]:
    """Receiver → URL for one event."""
    kind = payloads.event_type(event.what)
    found: dict[str, str] = {}
    if kind and settings.WEBHOOK_URL and any(fnmatchcase(kind, pattern) for pattern in settings.WEBHOOK_EVENTS):
        found[Delivery.Receiver.DEFAULT] = settings.WEBHOOK_URL
    if kind in payloads.FINAL_TYPES and event.task.callback_url:
        found[Delivery.Receiver.CALLBACK] = event.task.callback_url
    return found
