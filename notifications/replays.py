"""Sending many deliveries again: held or failed ones of one endpoint, in the background, at a bounded rate."""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from notifications import deliveries, endpoints
from notifications.endpoints import EndpointRefused, InvalidEndpoint
from notifications.models import Delivery, Endpoint, Replay
from tasks_app import clock

Status, Which, State = Delivery.Status, Replay.Which, Replay.State
STATUSES = {Which.HELD: [Status.HELD], Which.FAILED: [Status.FAILED, Status.BLOCKED]}
MOST = 50_000
MOST_AT_ONCE = 50
"""How many of one replay may be due and unsent: each round of the sweep fills up to it, so the endpoint sets the pace."""


def matching(endpoint_id: uuid.UUID, *, which: Collection[str], since: datetime, until: datetime) -> QuerySet[Delivery]:
    """What a replay would send again, oldest first."""
    statuses = [status for name in which for status in STATUSES[Which(name)]]
    found = Delivery.objects.filter(
        endpoint_id=endpoint_id, status__in=statuses, created_at__gte=since, created_at__lte=until
    )
    return found.order_by("pk")


def count(endpoint_id: uuid.UUID, *, which: Collection[str], since: datetime, now: datetime | None = None) -> int:
    """How many that would be now; 50,000 is the most. Raises InvalidEndpoint."""
    _check(which)
    return matching(endpoint_id, which=which, since=since, until=now or clock.now())[:MOST].count()


def start(
    endpoint_id: uuid.UUID, *, which: Collection[str], since: datetime, who: str, now: datetime | None = None
) -> Replay:
    """Begins one; the sweep carries it on. Raises InvalidEndpoint, and EndpointRefused where one runs already."""
    now = now or clock.now()
    total = count(endpoint_id, which=which, since=since, now=now)
    try:
        with transaction.atomic():
            endpoint = endpoints.locked(endpoint_id)
            if endpoint.state != Endpoint.State.ENABLED:
                raise EndpointRefused(f"The endpoint is {endpoint.state}. Enable it first.", code="not_enabled")
            replay = Replay.objects.create(
                endpoint=endpoint, which=sorted(set(which)), since=since, created_at=now, asked_by=who, total=total
            )
            endpoints.note(endpoint, f"Replay of {total} deliveries since {since:%Y-%m-%d %H:%M} UTC", who=who, now=now)
    except IntegrityError:
        raise EndpointRefused(
            "A replay of this endpoint is running. Wait for it, or cancel it.", code="replay_runs"
        ) from None
    return replay


def cancel(replay_id: uuid.UUID, *, now: datetime | None = None) -> bool:
    """Sets no more going. False: it has ended, or is gone."""
    running = Replay.objects.filter(pk=replay_id, state=State.RUNNING)
    return bool(running.update(state=State.CANCELLED, finished_at=now or clock.now()))


def carry_on(*, now: datetime) -> int:
    """One round of all that run. Returns how many deliveries were set going."""
    running = Replay.objects.filter(state=State.RUNNING, endpoint__state=Endpoint.State.ENABLED)
    return sum(_round(replay, now=now) for replay in running.order_by("pk")[:100])


def _round(replay: Replay, *, now: datetime) -> int:
    waiting = Delivery.objects.filter(endpoint_id=replay.endpoint_id, status__in=[Status.PENDING, Status.SENDING])
    under_way = waiting.filter(Q(trigger="replay", attempts=0) | Q(trigger="replay", next_attempt_at__lte=now)).count()
    room = min(MOST_AT_ONCE - under_way, replay.total - replay.sent)
    rows = matching(replay.endpoint_id, which=replay.which, since=replay.since, until=replay.created_at)
    if replay.reached:
        rows = rows.filter(pk__gt=replay.reached)
    ids = list(rows.values_list("pk", flat=True)[: max(0, room)])
    sent = [pk for pk in ids if deliveries.replay(pk, who=replay.asked_by, why="replay", trigger="replay", now=now)]
    changed: dict[str, Any] = {"sent": replay.sent + len(sent)}
    if ids:
        changed["reached"] = ids[-1]
    if room > len(ids) or replay.sent + len(ids) >= replay.total:
        changed |= {"state": State.DONE, "finished_at": now}
    Replay.objects.filter(pk=replay.pk, state=State.RUNNING).update(**changed)
    return len(sent)


def _check(which: Collection[str]) -> None:
    if not which or set(which) - set(Which.values):
        raise InvalidEndpoint({"which": f"Some of: {', '.join(Which.values)}."})
