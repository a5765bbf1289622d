"""How endpoints and their figures read on a page. States borrow the colours of tasks, and have words and icons of their own."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone

from notifications import access, breaker, statistics
from notifications.models import Delivery, DeliveryAttempt, Endpoint
from notifications.templatetags.task_deliveries import host
from tasks_app.access import Access

register = template.Library()

State = Endpoint.State
ERRORS = {
    "dns": "No address found", "connect": "Could not connect", "tls": "TLS failed", "timeout": "Timed out",
    "reset": "Connection broken off", "interim": "No final answer", "blocked": "Blocked", "invalid_url": "Not a usable address",
    "too_large": "Answer too large", "interrupted": "Interrupted",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A state as word, colour (the task status that has it) and icon."""

    word: str
    status: str
    icon: str


@register.filter
def chip(endpoint: Endpoint) -> Chip:
    """Enabled, Failing, Paused or Disabled. A failure or two are not worth a colour."""
    if endpoint.state == State.DISABLED:
        return Chip(word="Disabled", status="FAILED", icon="CANCELLED")
    if endpoint.state == State.PAUSED:
        return Chip(word="Paused", status="CANCELLED", icon="pause")
    if endpoint.failing_since and endpoint.failed_attempts >= breaker.DOUBTFUL:
        return Chip(word="Failing", status="FAILED", icon="FAILED")
    return Chip(word="Enabled", status="DONE", icon="DONE")


@register.filter
def name(endpoint: Endpoint) -> str:
    """The description, else the host. Paths and queries of receivers hold secrets."""
    return endpoint.description or host(endpoint.url)


@register.filter
def percent(share: float | None) -> str:
    """`99.5 %`; never rounded up to all."""
    if share is None:
        return "–"
    text = f"{int(share * 1000) / 10:g}"
    return f"{text} %"


@register.filter
def milliseconds(value: float | None) -> str:
    """`8 ms`, `1.2 s`, or a dash."""
    if value is None:
        return "–"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"


@register.filter
def countdown(moment: datetime) -> str:
    """`2 d 4 h`, `3 h 10 min`, `5 min`: the time left."""
    minutes = max(0, int((moment - timezone.now()).total_seconds())) // 60
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min"


@register.filter
def breaker_state(endpoint: Endpoint) -> str:
    """`closed`, `open` or `half-open`, now."""
    return endpoint.breaker(timezone.now())


@register.filter
def ended(attempt: DeliveryAttempt) -> str:
    """The task status whose colour and icon fit an attempt."""
    if attempt.finished_at is None:
        return "PROCESSING"
    return "DONE" if attempt.status_code and 200 <= attempt.status_code < 300 else "FAILED"


@register.filter
def opens_for(delivery: Delivery, viewer: Access) -> bool:
    """Whether the delivery has a page for this viewer, by access.deliveries_of; asks nothing of the database."""
    if delivery.endpoint.deleted_at is not None:
        return False
    own = viewer.user.pk is not None and viewer.user.pk in (delivery.endpoint.owner_id, delivery.event.owner_id)
    return own or access.may_any(viewer, "view")


@register.filter
def names_place(delivery: Delivery, viewer: Access) -> bool:
    """Whether the viewer may read where it goes."""
    return access.sees_url(viewer, delivery)


@register.filter
def outcome(attempt: DeliveryAttempt) -> str:
    """`Answered 503`, `Timed out`, `Under way`."""
    if attempt.status_code:
        return f"Answered {attempt.status_code}"
    if attempt.error_code:
        return ERRORS.get(attempt.error_code, attempt.error_code)
    return "Under way"


@register.simple_tag
def troubled(viewer: Access) -> list[dict[str, Any]]:
    """The viewer's own endpoints that need an eye, with why. One query, two where there are any."""
    found = dict(statistics.failing([viewer.user.pk]))
    rows = Endpoint.objects.in_bulk(list(found)) if found else {}
    return [{"endpoint": rows[key], "why": why} for key, why in found.items() if key in rows]
