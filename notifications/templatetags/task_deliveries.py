"""What a task's page says of its webhooks. The seam is the template: tasks_app itself knows nothing of this room."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.utils import timezone

from notifications.models import Delivery

register = template.Library()

MOST = 50
PHASES = {"dns": "DNS", "connect": "connect", "tls": "TLS", "first_byte": "first byte", "total": "total"}
Status = Delivery.Status
# Deliveries borrow the colours and icons of tasks.
TONES = {
    Status.PENDING: "PENDING", Status.SENDING: "PROCESSING", Status.DELIVERED: "DONE", Status.FAILED: "FAILED",
    Status.BLOCKED: "FAILED", Status.HELD: "CANCELLED", Status.CANCELLED: "CANCELLED",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A line for the task's timeline; it has the fields of tasks_app's own."""

    at: datetime
    status: str
    title: str
    text: str
    who: str
    attempt: int | None = None
    release: str = ""
    traceback: str = ""


@register.simple_tag
def deliveries_of(task_id: uuid.UUID) -> list[Delivery]:
    """The task's deliveries, oldest first, with their attempts. Two queries."""
    found = (
        Delivery.objects.filter(event__task_id=task_id)
        .select_related("event", "endpoint")
        .defer("event__body", "event__flat_body", "event__result_body")
    )
    return list(found.prefetch_related("attempt_log").order_by("pk")[:MOST])


@register.filter
def with_receipts(steps: Iterable[Any], deliveries: Iterable[Delivery]) -> list[Any]:
    """The steps, and one for each delivery that came to its end."""
    return [*steps, *(_receipt(delivery) for delivery in deliveries if delivery.finished_at)]


@register.filter
def unsettled(deliveries: Iterable[Delivery]) -> bool:
    """Something is still to be sent."""
    return any(delivery.finished_at is None for delivery in deliveries)


@register.filter
def host(url: str) -> str:
    """Where it goes. Paths and queries of receivers hold secrets."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or "nowhere"
    except ValueError:
        return "nowhere"


@register.filter
def tone(delivery: Delivery) -> str:
    """The task status whose colours fit."""
    return TONES[Status(delivery.status)]


@register.filter
def may_replay(delivery: Delivery) -> bool:
    """As deliveries.replay() allows it; one that is due anyway needs no button."""
    if delivery.next_attempt_at is not None:
        return delivery.next_attempt_at > timezone.now()
    return delivery.status != Status.SENDING


@register.filter
def phases(timings: dict[str, float]) -> str:
    """`DNS 1 ms · connect 0.4 ms · total 13 ms`."""
    return " · ".join(f"{label} {timings[name]:g} ms" for name, label in PHASES.items() if name in timings)


def _receipt(delivery: Delivery) -> Receipt:
    words = {Status.DELIVERED: "Webhook received", Status.BLOCKED: "Webhook blocked"}
    return Receipt(
        at=delivery.finished_at or delivery.created_at, status=tone(delivery),
        title=words.get(Status(delivery.status), "Webhook given up"), text=f"{delivery.event.type}: {delivery.reason}",
        who="the server’s receiver" if delivery.receiver == "default" else host(delivery.url),
    )  # fmt: skip
