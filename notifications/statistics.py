"""How endpoints fare, in numbers for people: success rate, times, what waits and since when."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q

from notifications import breaker, endpoints
from notifications.models import Delivery, DeliveryAttempt, Endpoint
from tasks_app import clock

LOOKED_AT = 200
DAY = timedelta(hours=24)
Status = Delivery.Status
UNFINISHED = Q(status=Status.PENDING) | Q(status=Status.SENDING) | Q(status__in=["HELD", "FAILED", "BLOCKED"])
"""All that is counted here. Said one by one: each has a small index of its own, and what was delivered is not read."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of the last day, at most 200 attempts: `success_rate` 0 to 1, times in milliseconds; None without attempts.

    `waiting_since` is the age of the queue: when the oldest delivery that waits was made.
    """

    attempts: int
    success_rate: float | None
    p50_ms: float | None
    p95_ms: float | None
    waiting: int
    waiting_since: datetime | None
    in_flight: int
    held: int
    failed: int
    next_attempt_at: datetime | None
    breaker: str
    disabled_at: datetime | None
    """When it will be disabled if it goes on failing; None while it does not."""


def of(endpoint: Endpoint, *, now: datetime | None = None) -> Figures:
    """Two queries."""
    now = now or clock.now()
    since = DeliveryAttempt.objects.filter(endpoint=endpoint, started_at__gt=now - DAY, finished_at__isnull=False)
    ends = list(since.order_by("-started_at").values_list("status_code", "timings")[:LOOKED_AT])
    taken = [status for status, _ in ends if status and 200 <= status < 300]
    times = sorted(timings["total"] for status, timings in ends if status and "total" in timings)
    counts: dict[str, Any] = Delivery.objects.filter(UNFINISHED, endpoint=endpoint).aggregate(
        waiting=Count("pk", filter=Q(status=Status.PENDING)),
        waiting_since=Min("created_at", filter=Q(status=Status.PENDING)),
        in_flight=Count("pk", filter=Q(status=Status.SENDING)),
        held=Count("pk", filter=Q(status=Status.HELD)),
        failed=Count("pk", filter=Q(status__in=[Status.FAILED, Status.BLOCKED])),
        next_attempt_at=Min("next_attempt_at"),
    )
    return Figures(
        attempts=len(ends), success_rate=len(taken) / len(ends) if ends else None, p50_ms=quantile(times, 0.5),
        p95_ms=quantile(times, 0.95), breaker=endpoint.breaker(now), disabled_at=_disabled_at(endpoint), **counts,
    )  # fmt: skip


def failing(owner_ids: Collection[int]) -> list[tuple[uuid.UUID, str]]:
    """Endpoints that need somebody's eye: disabled by itself, or failing for a day. Id and why."""
    rows = endpoints.own().filter(owner_id__in=owner_ids)
    troubled = rows.filter(Q(state=Endpoint.State.DISABLED) | Q(notices__gt=0)).order_by("-state_changed_at")[:10]
    return [(row.pk, row.state_reason or f"Failing since {row.failing_since:%Y-%m-%d %H:%M} UTC.") for row in troubled]


def _disabled_at(endpoint: Endpoint) -> datetime | None:
    if endpoint.failing_since is None or endpoint.source != Endpoint.Source.ENDPOINT:
        return None
    return endpoint.failing_since + breaker.DISABLED_AFTER if endpoint.state != Endpoint.State.DISABLED else None


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value that this share of them does not exceed, of values in order; None of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None
