"""The way of a delivery: claim → send → record → decide on the next try. The database is the clock.

PENDING → SENDING (leased, the attempt written down) → DELIVERED, or PENDING again with the next time and the reason, or
FAILED once the schedule is used up, or BLOCKED where the address may not be reached. HELD while its endpoint is paused or
disabled; CANCELLED by a person. At-least-once: a lease that expires is an attempt whose end nobody saw, and it is made
again.

Whoever has ended one request to an endpoint takes the next that is due there. So a claim that finds the endpoint busy
needs no queue: it leaves its delivery to those who are at it.
"""

import json
import logging
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Min, QuerySet

from notifications import breaker, endpoints, sender, wire
from notifications.models import Delivery, DeliveryAttempt, Endpoint
from notifications.outbox import HEAD_START, TEST, held
from notifications.payloads import PING
from notifications.sender import Exchange
from tasks_app import clock, database

logger = logging.getLogger(__name__)

JITTER = 0.2
LEASE_MARGIN = timedelta(seconds=15)
SLOW = timedelta(seconds=5)
BUSY_WAIT = 60
MOST_ASKED = 600
CALL_SECONDS = 1.0
ENDED = (
    "finished_at",
    "status_code",
    "error_code",
    "error_detail",
    "timings",
    "peer",
    "response_headers",
    "response_excerpt",
)
Status = Delivery.Status


def due(now: datetime) -> QuerySet[Delivery]:
    """Deliveries whose time has come."""
    return Delivery.objects.filter(status=Status.PENDING, next_attempt_at__lte=now)


def waiting_endpoints(task_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """The endpoints that something is due for, of what is to be told of these tasks; each once."""
    rows = due(clock.now() + clock.APART).filter(event__task_id__in=task_ids).order_by("pk")
    return list(dict.fromkeys(rows.values_list("endpoint_id", flat=True)))


def drain(endpoint_id: uuid.UUID) -> bool:
    """Sends what is due for an endpoint, one after the other. Begins none after a second; True: more is due."""
    started = time.monotonic()
    while time.monotonic() - started < CALL_SECONDS:
        if not _send(endpoint_id):
            return False
    return database.patiently(lambda: due(clock.now()).filter(endpoint_id=endpoint_id).exists())


def send(delivery_id: uuid.UUID, *, now: datetime | None = None) -> None:
    """Makes one attempt if the delivery is due, its endpoint may be told, and nobody else is at it."""
    endpoint_id = Delivery.objects.filter(pk=delivery_id).values_list("endpoint_id", flat=True).first()
    if endpoint_id is not None:
        _send(endpoint_id, delivery_id, now=now)


def _send(endpoint_id: uuid.UUID, delivery_id: uuid.UUID | None = None, *, now: datetime | None = None) -> bool:
    claimed = database.patiently(lambda: _claim(endpoint_id, delivery_id, now=now or clock.now()))
    if claimed is None:
        return False
    delivery, attempt = claimed
    if not connection.in_atomic_block:
        connection.close()  # held across the request it would starve the others of the pool
    exchange = wire.exchange(delivery, attempt)
    # It was told: that must not be forgotten, lest it be told again.
    database.patiently(lambda: _record(delivery, attempt, exchange, now=clock.now()))
    if exchange.succeeded:
        logger.info("Notified task_id=%s type=%s title=%r status=%s", delivery.event.task_id, delivery.event.type,
                    _title(delivery), exchange.status)  # fmt: skip
    else:
        logger.warning("Not notified task_id=%s type=%s attempt=%d: %s", delivery.event.task_id, delivery.event.type,
                       delivery.attempts, delivery.reason)  # fmt: skip
    return True


def replay(
    delivery_id: uuid.UUID, *, who: str, why: str = "", trigger: str = "manual", now: datetime | None = None
) -> bool:
    """Sends a delivery again from the start of its schedule; a pending one is only brought forward.

    The sweep picks it up. False: it is being sent right now, or is gone.
    """
    now = now or clock.now()
    with transaction.atomic():
        rows = Delivery.objects.select_for_update(of=("self",)).select_related("event")
        delivery = rows.filter(pk=delivery_id).exclude(status=Status.SENDING).first()
        if delivery is None:
            return False
        if delivery.status != Status.PENDING:
            delivery.attempts_uncounted = delivery.attempts
            delivery.expires_at = now + Delivery.LIFETIME
        delivery.status, delivery.finished_at = Status.PENDING, None
        delivery.next_attempt_at = now - HEAD_START  # no chain comes by for it: the next sweep takes it
        delivery.trigger, delivery.woken_at = TEST if delivery.event.type == PING else trigger, None
        delivery.asked_by = (who + (f": {why}" if why else ""))[:MOST_ASKED]
        delivery.reason = f"Sent again by {delivery.asked_by}"
        delivery.save(update_fields=[
            "status", "finished_at", "next_attempt_at", "trigger", "woken_at", "reason", "attempts_uncounted", "expires_at",
            "asked_by",
        ])  # fmt: skip
    return True


def cancel(delivery_id: uuid.UUID, *, who: str, now: datetime | None = None) -> bool:
    """Gives up one that waits or is held. False: it is being sent, has ended, or is gone."""
    waits = Delivery.objects.filter(pk=delivery_id, status__in=[Status.PENDING, Status.HELD])
    fields = {"status": Status.CANCELLED, "next_attempt_at": None, "finished_at": now or clock.now()}
    return bool(waits.update(**fields, reason=f"Cancelled by {who}"))


def expire(*, now: datetime, limit: int = 500) -> int:
    """Gives up what could not be sent in time, since its endpoint had to wait too long. Returns how many."""
    late = due(now).filter(expires_at__lt=now).values_list("pk", flat=True)[:limit]
    rows = due(now).filter(pk__in=list(late))
    return rows.update(
        status=Status.FAILED, next_attempt_at=None, finished_at=now, reason="Expired before it was sent."
    )


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


def _claim(
    endpoint_id: uuid.UUID, delivery_id: uuid.UUID | None, *, now: datetime
) -> tuple[Delivery, DeliveryAttempt] | None:
    with transaction.atomic():
        # Locked, so that two senders count those in flight one after the other. Plans, which refer to it, go on.
        endpoint = Endpoint.objects.select_for_update(no_key=True).filter(pk=endpoint_id).first()
        if endpoint is None:
            return None
        # Whoever planned it may have a clock that is a little ahead of this one.
        rows = due(now + clock.APART).filter(endpoint=endpoint)
        if delivery_id is not None:
            rows = rows.filter(pk=delivery_id)
        locked = rows.select_for_update(of=("self",), skip_locked=True)
        locked = locked.select_related("event").order_by("next_attempt_at", "pk")
        delivery = locked.first()
        if delivery is not None and delivery.trigger != TEST and not _may_send(endpoint, now=now):
            delivery = locked.filter(trigger=TEST).first()  # goes in any state
        if delivery is None:
            return None
        delivery.endpoint = endpoint
        delivery.url = wire.url_of(delivery)
        delivery.status, delivery.next_attempt_at = Status.SENDING, None
        delivery.attempts += 1
        trigger, delivery.trigger = delivery.trigger, "auto"
        delivery.lease_expires_at = now + _lease()
        asked_by, delivery.asked_by = delivery.asked_by, ""
        delivery.save(
            update_fields=["status", "next_attempt_at", "attempts", "lease_expires_at", "trigger", "asked_by", "url"]
        )
        attempt = DeliveryAttempt(
            delivery=delivery, endpoint=endpoint, number=delivery.attempts, trigger=trigger, asked_by=asked_by, started_at=now
        )  # fmt: skip
        attempt.save(force_insert=True)
        return delivery, attempt


def _may_send(endpoint: Endpoint, *, now: datetime) -> bool:
    """Whether one more may go there now. If not, what is due is held, or waits as long as the endpoint must."""
    waits = due(now + clock.APART).filter(endpoint=endpoint).exclude(trigger=TEST)
    if endpoint.state != Endpoint.State.ENABLED:
        waits.update(**held(endpoint))
        return False
    if endpoint.not_before and endpoint.not_before > now + clock.APART:
        waits.update(next_attempt_at=endpoint.not_before, woken_at=None, reason=endpoint.not_before_reason)
        return False
    in_flight = Delivery.objects.filter(endpoint=endpoint, status=Status.SENDING, lease_expires_at__gt=now)
    out = in_flight.aggregate(count=Count("pk"), oldest=Min("lease_expires_at"))
    # One that is out for long makes room for no other: a receiver that hangs must not hold thread after thread.
    slow = out["count"] and out["oldest"] < now + _lease() - SLOW
    return not slow and out["count"] < breaker.most_in_flight(endpoint)


def _lease() -> timedelta:
    return timedelta(seconds=settings.WEBHOOK_DEADLINE_SECONDS) + LEASE_MARGIN


def _record(delivery: Delivery, attempt: DeliveryAttempt, exchange: Exchange, *, now: datetime) -> None:
    attempt.finished_at, attempt.status_code = now, exchange.status
    attempt.error_code, attempt.error_detail = exchange.error_code, exchange.error_detail
    phases = {"dns": exchange.dns_ms, "connect": exchange.connect_ms, "tls": exchange.tls_ms,
              "first_byte": exchange.first_byte_ms, "total": exchange.total_ms}  # fmt: skip
    attempt.timings = {name: round(value, 1) for name, value in phases.items() if value is not None}
    attempt.peer, attempt.response_headers = exchange.peer_ip, exchange.response_headers
    attempt.response_excerpt = exchange.response_excerpt.replace("\0", "")
    with transaction.atomic():
        fares = _fares(delivery, attempt, exchange, now=now)
        # A lease that expired, or a row that is gone, is somebody else's by now. The lock of an update lasts.
        sending = Delivery.objects.filter(pk=delivery.pk, status=Status.SENDING, attempts=attempt.number)
        is_mine = sending.update(woken_at=None)
        DeliveryAttempt.objects.filter(pk=attempt.pk).update(**{name: getattr(attempt, name) for name in ENDED})
        if not is_mine:
            return
        if exchange.succeeded:
            _finish(delivery, Status.DELIVERED, now=now, why=f"Answered {exchange.status}")
        elif exchange.error_code in ("blocked", "invalid_url"):
            _finish(delivery, Status.BLOCKED, now=now, why=exchange.error_message)
        elif attempt.trigger == TEST:
            _finish(delivery, Status.FAILED, now=now, why=f"The test failed: {_what(exchange)}")
        elif exchange.status == 410 and fares.source != Endpoint.Source.DEFAULT:
            _finish(delivery, Status.FAILED, now=now, why="Given up: answered 410 (gone)")
            if fares.source == Endpoint.Source.ENDPOINT:
                endpoints.disable(fares, "It answered 410 (gone).", who="", now=now)
        else:
            if fares.source == Endpoint.Source.DEFAULT:  # where the operator's receiver sends one is not for everybody
                exchange = replace(
                    exchange,
                    response_headers={
                        name: value for name, value in exchange.response_headers.items() if name != "location-host"
                    },
                )
            wait, why = next_wait(delivery.attempts - delivery.attempts_uncounted, exchange, now=now)
            _retry(delivery, now=now, wait=wait, why=why)


def _fares(delivery: Delivery, attempt: DeliveryAttempt, exchange: Exchange, *, now: datetime) -> Endpoint:
    """Writes down how the endpoint fares, where that is news. Locks it before the delivery, as a claim does."""
    endpoint = delivery.endpoint
    if exchange.succeeded and not breaker.is_news(endpoint, now):
        return endpoint
    if exchange.error_code in ("blocked", "invalid_url") or (attempt.trigger == TEST and not exchange.succeeded):
        return endpoint
    locked = Endpoint.objects.select_for_update(no_key=True).filter(pk=endpoint.pk).first()
    if locked is None:
        return endpoint
    if exchange.succeeded:
        breaker.succeeded(locked, now=now)
    else:
        breaker.failed(locked, exchange, now=now)
        endpoints.tell_of_failing(locked, now=now)
    locked.save(update_fields=breaker.FIELDS)
    return locked


def next_wait(
    attempts: int,
    exchange: Exchange,
    *,
    now: datetime,
    uniform: Callable[[float, float], float] = random.uniform,
) -> tuple[float | None, str]:
    """Seconds until the next attempt (None: there is none) and the reason in words."""
    what, schedule = _what(exchange), settings.WEBHOOK_RETRY_SECONDS
    if attempts > len(schedule):
        return None, f"Given up after {attempts} attempts: {what}"
    wait = schedule[attempts - 1] * uniform(1 - JITTER, 1 + JITTER)
    if exchange.status in (429, 502, 504) or exchange.error_code == "timeout":
        wait = max(wait, BUSY_WAIT)
    if exchange.status in (429, 503):
        wait = max(wait, sender.seconds_until_retry(exchange.response_headers.get("retry-after", ""), now=now))
    return wait, f"Waits {wait:.0f} s: {what}"


def _what(exchange: Exchange) -> str:
    if exchange.status:
        moved = exchange.response_headers.get("location-host", "")
        return f"answered {exchange.status}" + (f", which is not followed, to {moved}" if moved else "")
    return exchange.error_message or exchange.error_code


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
    return str(json.loads(delivery.event.body)["data"].get("title", ""))
