"""The sweep for deliveries: whatever is due and was not sent, attempts whose sender was lost, retention."""

import logging
from datetime import datetime, timedelta

from celery import current_app
from django.conf import settings
from django.db.models import Q

from notifications import deliveries
from notifications.models import Delivery, Event
from notifications.tasks import send_delivery
from tasks_app import broker, clock

logger = logging.getLogger(__name__)

MOST, BATCH = 500, 100
CHAIN_FIRST = timedelta(seconds=3)
WOKEN_AGAIN = timedelta(seconds=60)


def sweep(*, now: datetime | None = None) -> None:
    """One round. A bounded amount of work."""
    now = now or clock.now()
    deliveries.interrupted(now=now)
    wake(now=now)
    forget_old(now=now)


def wake(*, now: datetime) -> int:
    """Sends a message for each delivery that is due and has none under way. Returns how many."""
    # A first attempt is the chain's; it gets a moment. A wake-up that led nowhere is repeated.
    forgotten = Q(woken_at=None, attempts__gt=0) | Q(woken_at=None, next_attempt_at__lt=now - CHAIN_FIRST)
    lost = Q(woken_at__lt=now - WOKEN_AGAIN)
    ids = list(
        deliveries.due(now).filter(forgotten | lost).order_by("next_attempt_at").values_list("pk", flat=True)[:MOST]
    )
    if not ids:
        return 0
    sent = []
    try:
        # Not over Celery's own connections: those wait for ever for a broker under an alarm, and the sweep with them.
        with broker.connect() as connection:
            broker.declare(connection)
            producer = current_app.amqp.Producer(connection)
            for delivery_id in ids:
                send_delivery.apply_async((str(delivery_id),), producer=producer)
                sent.append(delivery_id)
    except Exception as error:  # the broker is away: the next round tries again
        logger.warning("Cannot wake the notifier for %d deliveries: %s", len(ids) - len(sent), error)
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
    """Deletes events past their retention with their deliveries. Returns how many."""
    old = Event.objects.filter(created_at__lt=now - timedelta(days=settings.WEBHOOK_RETENTION_DAYS))
    ids = list(old.order_by("created_at").values_list("pk", flat=True)[:BATCH])
    Event.objects.filter(pk__in=ids).delete()
    return len(ids)
