"""The sweep for deliveries: whatever is due and was not sent, attempts whose sender was lost, retention."""

import logging
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db.models import Q

from notifications import deliveries, endpoints, replays
from notifications.models import Delivery, Event
from notifications.tasks import send_to_endpoint
from tasks_app import broker, clock, leases

logger = logging.getLogger(__name__)

MOST, BATCH = 500, 100
CHAIN_FIRST = timedelta(seconds=3)
WOKEN_AGAIN = timedelta(seconds=60)


def sweep(*, now: datetime | None = None) -> None:
    """One round. A bounded amount of work."""
    now = now or clock.now()
    if leases.are_telling(now=now):
        deliveries.interrupted(now=now)
    deliveries.expire(now=now)
    replays.carry_on(now=now)
    wake(now=now)
    forget_old(now=now)


def wake(*, now: datetime) -> int:
    """Sends messages for the endpoints of deliveries that are due and have none under way. Returns how many deliveries."""
    # A first attempt is the chain's; it gets a moment. A wake-up that led nowhere is repeated.
    forgotten = Q(woken_at=None, attempts__gt=0) | Q(woken_at=None, next_attempt_at__lt=now - CHAIN_FIRST)
    lost = Q(woken_at__lt=now - WOKEN_AGAIN)
    rows = deliveries.due(now).filter(forgotten | lost).order_by("next_attempt_at")
    waiting: dict[Any, list[Any]] = {}
    for delivery_id, endpoint_id in rows.values_list("pk", "endpoint_id")[:MOST]:
        waiting.setdefault(endpoint_id, []).append(delivery_id)
    if not waiting:
        return 0
    sent = []
    try:
        # Not over Celery's own connections: those wait for ever for a broker under an alarm, and the sweep with them.
        with broker.connect() as connection:
            broker.declare(connection)
            producer = current_app.amqp.Producer(connection)
            for endpoint_id, delivery_ids in waiting.items():
                send_to_endpoint.apply_async((str(endpoint_id),), producer=producer)
                sent += delivery_ids
    except Exception as error:  # the broker is away: the next round tries again
        logger.warning("Cannot wake the notifier for %d endpoints: %s", len(waiting), error)
    # Only what still waits for this: one that was tried meanwhile waits for its next time, and a wake-up of its own.
    deliveries.due(now).filter(pk__in=sent).update(woken_at=now)
    return len(sent)


def forget_woken() -> None:
    """For a start whose broker's queues died with the last process: no wake-up is under way."""
    Delivery.objects.filter(status=Delivery.Status.PENDING).update(woken_at=None)


def expire_leases(*, now: datetime) -> None:
    """For a start that knows itself alone: whoever was sending is gone."""
    Delivery.objects.filter(status=Delivery.Status.SENDING).update(lease_expires_at=now - timedelta(seconds=1))
    while deliveries.interrupted(now=now):
        pass


def forget_old(*, now: datetime) -> int:
    """Deletes events past their retention with their deliveries, and the bodies of older ones. Returns how many events."""
    old = Event.objects.filter(created_at__lt=now - timedelta(days=settings.WEBHOOK_RETENTION_DAYS))
    ids = list(old.order_by("created_at").values_list("pk", flat=True)[:BATCH])
    Event.objects.filter(pk__in=ids).delete()
    unkept = now - timedelta(days=settings.WEBHOOK_PAYLOAD_DAYS)
    if settings.WEBHOOK_PAYLOAD_DAYS < settings.WEBHOOK_RETENTION_DAYS:
        bare = Event.objects.filter(created_at__lt=unkept).exclude(body="").values_list("pk", flat=True)[:BATCH]
        Event.objects.filter(pk__in=list(bare)).update(body="", flat_body="", result_body="")
    endpoints.sweep_deleted(now=now)
    return len(ids)
