"""The way of a delivery: claim → send → record → decide on the next try. The database is the clock.

PENDING → SENDING (leased, the attempt written down) → DELIVERED, or PENDING again with the next time and the reason, or
FAILED once the schedule is used up, or BLOCKED where the address may not be reached. At-least-once: a lease that expires
is an attempt whose end nobody saw, and it is made again.
"""

import json
import logging
import random
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from notifications import sender, signing
from notifications.models import Delivery, DeliveryAttempt
from notifications.sender import Exchange
from notifications.targets import EgressPolicy
from tasks_app import clock

logger = logging.getLogger(__name__)

SCHEDULE = (5, 30, 120, 600, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds from one failed attempt to the next: 12 attempts in 75 h 42 min."""
JITTER = 0.2
LIFETIME = timedelta(hours=80)
"""From the event to giving up; the retries of the schedule end before."""
LEASE_MARGIN = timedelta(seconds=15)
BUSY_WAIT = 60
MOST_ASKED = 600
CALL_SECONDS = 1.0
Status = Delivery.Status


def due(now: datetime) -> QuerySet[Delivery]:
    """Deliveries whose time has come."""
    return Delivery.objects.filter(status=Status.PENDING, next_attempt_at__lte=now)


def send_for_tasks(task_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Sends what is due for these tasks. Begins none after a second; returns the ids of what is left."""
    started = time.monotonic()
    waiting = list(
        due(clock.now() + clock.APART).filter(event__task_id__in=task_ids).order_by("pk").values_list("pk", flat=True)
    )
    while waiting and time.monotonic() - started < CALL_SECONDS:
        send(waiting.pop(0))
    return waiting


def send(delivery_id: uuid.UUID, *, now: datetime | None = None) -> None:
    """Makes one attempt if the delivery is due and nobody else is at it."""
    claimed = _claim(delivery_id, now=now or clock.now())
    if claimed is None:
        return
    delivery, attempt = claimed
    if not connection.in_atomic_block:
        connection.close()  # held across the request it would starve the others of the pool
    try:
        exchange = _exchange(delivery, attempt)
    except ValueError as error:  # a key that is gone or malformed: said in the log of attempts, and replayable
        message = "This server's settings do not allow it to be signed and sent."
        exchange = Exchange(error_code="blocked", error_message=message, error_detail=str(error))
    _record(delivery, attempt, exchange, now=clock.now())
    if exchange.succeeded:
        logger.info("Notified task_id=%s type=%s title=%r status=%s", delivery.event.task_id, delivery.event.type,
                    _title(delivery), exchange.status)  # fmt: skip
    else:
        logger.warning("Not notified task_id=%s type=%s attempt=%d: %s", delivery.event.task_id, delivery.event.type,
                       delivery.attempts, delivery.reason)  # fmt: skip


def replay(delivery_id: uuid.UUID, *, who: str, why: str = "", now: datetime | None = None) -> bool:
    """Sends a delivery again from the start of its schedule; a pending one is only brought forward.

    The sweep picks it up. False: it is being sent right now, or is gone.
    """
    now = now or clock.now()
    with transaction.atomic():
        delivery = Delivery.objects.select_for_update().filter(pk=delivery_id).exclude(status=Status.SENDING).first()
        if delivery is None:
            return False
        if delivery.status != Status.PENDING:
            delivery.attempts_uncounted = delivery.attempts
            delivery.expires_at = now + LIFETIME
        delivery.status, delivery.finished_at, delivery.next_attempt_at = Status.PENDING, None, now
        delivery.trigger, delivery.woken_at = "manual", None
        delivery.asked_by = (who + (f": {why}" if why else ""))[:MOST_ASKED]
        delivery.reason = f"Sent again by {delivery.asked_by}"
        delivery.save(update_fields=[
            "status", "finished_at", "next_attempt_at", "trigger", "woken_at", "reason", "attempts_uncounted", "expires_at",
            "asked_by",
        ])  # fmt: skip
    return True


def interrupted(*, now: datetime, limit: int = 100) -> int:
    """Gives deliveries whose sender was lost another try. Returns how many."""
    with transaction.atomic():
        lost = Delivery.objects.select_for_update(skip_locked=True).filter(
            status=Status.SENDING, lease_expires_at__lt=now
        )
        rows = list(lost.order_by("pk")[:limit])
        for delivery in rows:
            open_attempt = DeliveryAttempt.objects.filter(delivery=delivery, number=delivery.attempts)
            open_attempt.update(finished_at=now, error_code="interrupted")
            # By the schedule and counted, like any failure: what ends its sender must not do so for ever.
            lost_sender = Exchange(error_message="the sender was lost during the request")
            wait, why = next_wait(delivery.attempts - delivery.attempts_uncounted, lost_sender, now=now)
            _retry(delivery, now=now, wait=wait, why=why)
    return len(rows)


def _claim(delivery_id: uuid.UUID, *, now: datetime) -> tuple[Delivery, DeliveryAttempt] | None:
    with transaction.atomic():
        # Whoever planned it may have a clock that is a little ahead of this one.
        rows = due(now + clock.APART).select_for_update(of=("self",)).select_related("event")
        delivery = rows.filter(pk=delivery_id).first()
        if delivery is None:
            return None
        delivery.status, delivery.next_attempt_at = Status.SENDING, None
        delivery.attempts += 1
        trigger, delivery.trigger = delivery.trigger, "auto"
        delivery.lease_expires_at = now + timedelta(seconds=settings.WEBHOOK_DEADLINE_SECONDS) + LEASE_MARGIN
        asked_by, delivery.asked_by = delivery.asked_by, ""
        delivery.save(
            update_fields=["status", "next_attempt_at", "attempts", "lease_expires_at", "trigger", "asked_by"]
        )
        attempt = DeliveryAttempt(
            delivery=delivery, number=delivery.attempts, trigger=trigger, asked_by=asked_by, started_at=now
        )
        attempt.save(force_insert=True)
        return delivery, attempt


def _exchange(delivery: Delivery, attempt: DeliveryAttempt) -> Exchange:
    event = delivery.event
    default = delivery.receiver == Delivery.Receiver.DEFAULT
    body = (event.flat_body if default else event.body).encode()
    at = int(clock.now().timestamp())
    headers = {
        "content-type": "application/json",
        "user-agent": f"Taskmanager-Webhooks/{settings.VERSION}",
        "webhook-id": event.webhook_id,
        "webhook-timestamp": str(at),
        "x-taskmanager-event": event.type,
        "x-taskmanager-delivery": str(delivery.pk),
        "x-taskmanager-attempt": str(attempt.number),
    }
    if secret := _secret(delivery):
        headers["webhook-signature"] = signing.sign([secret], event.webhook_id, at, body)
    # The operator's own address is read anew: mending a wrong WEBHOOK_URL mends what waits.
    url = settings.WEBHOOK_URL or delivery.url if default else delivery.url
    return sender.send(
        url, body=body, headers=headers, policy=EgressPolicy.from_settings(),
        deadline_seconds=settings.WEBHOOK_DEADLINE_SECONDS, ca_bundle=settings.WEBHOOK_CA_BUNDLE,
    )  # fmt: skip


def _secret(delivery: Delivery) -> str:
    if delivery.receiver == Delivery.Receiver.DEFAULT:
        return str(settings.WEBHOOK_URL_SECRET)
    return signing.derive_secret(settings.WEBHOOK_SIGNING_KEY, str(delivery.event.owner_id or "nobody"))


def _record(delivery: Delivery, attempt: DeliveryAttempt, exchange: Exchange, *, now: datetime) -> None:
    attempt.finished_at, attempt.status_code = now, exchange.status
    attempt.error_code, attempt.error_detail = exchange.error_code, exchange.error_detail
    phases = {"dns": exchange.dns_ms, "connect": exchange.connect_ms, "tls": exchange.tls_ms,
              "first_byte": exchange.first_byte_ms, "total": exchange.total_ms}  # fmt: skip
    attempt.timings = {name: round(value, 1) for name, value in phases.items() if value is not None}
    attempt.peer, attempt.response_headers = exchange.peer_ip, exchange.response_headers
    attempt.response_excerpt = exchange.response_excerpt.replace("\0", "")
    with transaction.atomic():
        attempt.save()
        mine = Delivery.objects.select_for_update().filter(status=Status.SENDING, attempts=attempt.number)
        if mine.filter(pk=delivery.pk).first() is None:  # locked: exists() would not
            return  # the lease expired meanwhile: whoever has it now decides
        if exchange.succeeded:
            _finish(delivery, Status.DELIVERED, now=now, why=f"Answered {exchange.status}")
        elif exchange.error_code in ("blocked", "invalid_url"):
            _finish(delivery, Status.BLOCKED, now=now, why=exchange.error_message)
        else:
            wait, why = next_wait(delivery.attempts - delivery.attempts_uncounted, exchange, now=now)
            _retry(delivery, now=now, wait=wait, why=why)


def next_wait(
    attempts: int,
    exchange: Exchange,
    *,
    now: datetime,
    uniform: Callable[[float, float], float] = random.uniform,
) -> tuple[float | None, str]:
    """Seconds until the next attempt (None: there is none) and the reason in words."""
    what = f"answered {exchange.status}" if exchange.status else exchange.error_message or exchange.error_code
    if attempts > len(SCHEDULE):
        return None, f"Given up after {attempts} attempts: {what}"
    wait = SCHEDULE[attempts - 1] * uniform(1 - JITTER, 1 + JITTER)
    if exchange.status in (429, 502, 504) or exchange.error_code == "timeout":
        wait = max(wait, BUSY_WAIT)
    if exchange.status in (429, 503):
        wait = max(wait, sender.seconds_until_retry(exchange.response_headers.get("retry-after", ""), now=now))
    return wait, f"Waits {wait:.0f} s: {what}"


def _retry(delivery: Delivery, *, now: datetime, wait: float | None, why: str) -> None:
    again = None if wait is None else now + timedelta(seconds=wait)
    if again is None or again > delivery.expires_at:
        _finish(delivery, Status.FAILED, now=now, why=why if again is None else f"Expired. {why}")
        return
    delivery.status, delivery.next_attempt_at, delivery.lease_expires_at = Status.PENDING, again, None
    delivery.reason, delivery.woken_at = why, None
    delivery.save(update_fields=["status", "next_attempt_at", "lease_expires_at", "reason", "woken_at"])


def _finish(delivery: Delivery, status: Delivery.Status, *, now: datetime, why: str) -> None:
    delivery.status, delivery.finished_at, delivery.reason = status, now, why
    delivery.next_attempt_at = delivery.lease_expires_at = None
    delivery.save(update_fields=["status", "finished_at", "reason", "next_attempt_at", "lease_expires_at"])


def _title(delivery: Delivery) -> str:
    return str(json.loads(delivery.event.body)["data"]["title"])
