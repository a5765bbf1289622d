"""Rows of webhooks that tests begin with."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from notifications import endpoints
from notifications.models import Delivery, Endpoint, Event

EXAMPLE = "https://example.org/hook"


def callback(url: str = "https://example.org/", **fields: Any) -> Endpoint:
    """The row under which callbacks to one place are kept."""
    now = timezone.now()
    times = {"state_changed_at": now, "created_at": now, "updated_at": now}
    row, _made = Endpoint.objects.get_or_create(
        key=f"test {url}", defaults={"source": "callback", "url": url, **times, **fields}
    )
    return row


def made(owner: Any, url: str = EXAMPLE, *, now: datetime | None = None, **fields: Any) -> Endpoint:
    """An endpoint as its owner makes it. Without an owner it would be nobody's."""
    given = {"url": url, "event_types": ["task.completed"], **fields}
    endpoint, _secret = endpoints.create(owner.pk, given, who=f"test:{owner}", now=now)
    return endpoint


def delivery_to(endpoint: Endpoint, *, now: datetime | None = None, **fields: Any) -> Delivery:
    """A delivery of an event that happened to no task in particular."""
    now = now or timezone.now()
    event = Event.objects.create(type="task.completed", created_at=now, owner_id=endpoint.owner_id, body='{"data":{}}')
    values: dict[str, Any] = {"url": endpoint.url, "created_at": now, "expires_at": now + Delivery.LIFETIME, **fields}
    if values.get("status", "PENDING") == "PENDING":
        values.setdefault("next_attempt_at", now)
    return Delivery.objects.create(event=event, endpoint=endpoint, **values)
