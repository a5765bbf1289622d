"""The way of a delivery: claim → send → record → decide on the next try. The database is the clock.

PENDING → SENDING (leased, the attempt written down) → DELIVERED, or PENDING again with the next time and the reason, or
FAILED once the schedule is used up, or BLOCKED where the address may not be reached. HELD while its endpoint is paused or
disabled; CANCELLED by a person. At-least-once: a lease that expires is an attempt whose end nobody saw, and it is made
again.

Claims and records are made by the batch (statements.py). Whoever has ended a request to an endpoint claims what is due
there next. So a claim that finds the endpoint busy needs no queue: it leaves its delivery to those who are at it.
"""

import logging
import random
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from notifications import breaker, endpoints, sender, statements, wire
from notifications.models import Delivery, DeliveryAttempt, Endpoint
from notifications.outbox import HEAD_START, TEST, held
from notifications.payloads import PING
from notifications.sender import Exchange
from notifications.statements import Decision, Room
from notifications.wire import Sending
from tasks_app import clock, database

logger = logging.getLogger(__name__)

JITTER = 0.2
LEASE_MARGIN = timedelta(seconds=15)
SLOW = timedelta(seconds=5)
BUSY_WAIT = 60
MOST_ASKED = 600
CALL_SECONDS = 1.0
MAX_BATCH = 64
"""Deliveries of one claim."""
Status = Delivery.Status
Source = Endpoint.Source


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Attempts to be made now. `full` are the endpoints where more may be due once some of them have ended."""

    sendings: Sequence[Sending]
    full: frozenset[uuid.UUID]


def due(now: datetime) -> QuerySet[Delivery]:
    """Deliveries whose time has come."""
    return Delivery.objects.filter(status=Status.PENDING, next_attempt_at__lte=now)


def waiting_endpoints(task_ids: Collection[uuid.UUID]) -> list[uuid.UUID]:
    """The endpoints that something is due for, of what is to be told of these tasks; each once."""
    rows = due(clock.now() + clock.APART).filter(event__task_id__in=task_ids).order_by()
    return list(rows.values_list("endpoint_id", flat=True).distinct())


def drain(endpoint_id: uuid.UUID) -> bool:
    """Sends what is due for an endpoint, one after the other. Begins none after a second; True: more is due."""
    started = time.monotonic()
    while time.monotonic() - started < CALL_SECONDS:
        if not _send([endpoint_id]):
            return False
    return database.patiently(lambda: due(clock.now()).filter(endpoint_id=endpoint_id).exists())


def send(delivery_id: uuid.UUID, *, now: datetime | None = None) -> None:
    """Makes one attempt if the delivery is due, its endpoint may be told, and nobody else is at it."""
    endpoint_id = Delivery.objects.filter(pk=delivery_id).values_list("endpoint_id", flat=True).first()
    if endpoint_id is not None:
        _send([endpoint_id], only=delivery_id, now=now)


def _send(endpoint_ids: Collection[uuid.UUID], *, only: uuid.UUID | None = None, now: datetime | None = None) -> bool:
    claimed = database.patiently(lambda: claim(endpoint_ids, only=only, now=now or clock.now()))
    if not connection.in_atomic_block:
        connection.close()  # held across the requests it would starve others
    endings = [(sending, wire.exchange(sending)) for sending in claimed.sendings]
    # It was delivered: that must not be forgotten, lest it be delivered again.
    database.patiently(lambda: record(endings, now=clock.now()))
    return bool(endings)


def claim(
    endpoint_ids: Collection[uuid.UUID], *, now: datetime, batch: int = MAX_BATCH, only: uuid.UUID | None = None
) -> Claim:
    """Takes what is due of these endpoints, as much as each may be sent now. What must wait longer is told so."""
    with transaction.atomic():
        # Locked, so that two senders count those in flight one after the other. Plans, which refer to it, go on.
        locked = Endpoint.objects.select_for_update(no_key=True).filter(pk__in=endpoint_ids).order_by("pk")
        by_id = {endpoint.pk: endpoint for endpoint in locked}
        # Whoever planned them may have a clock that is a little ahead of this one.
        soon = now + clock.APART
        if not by_id:
            return Claim(sendings=(), full=frozenset())
        claimed, full = statements.claim(
            [_room(endpoint, soon=soon) for endpoint in by_id.values()],
            now=now,
            due=soon,
            lease_expires_at=now + _lease(),
            slow_lease=now + _lease() - SLOW,
            batch=batch,
            only=only,
        )
        for endpoint in by_id.values():
            _put_off(endpoint, soon=soon)
    sendings = [Sending(**vars(item), endpoint=by_id[item.endpoint_id]) for item in claimed]
    return Claim(sendings=sendings, full=frozenset(full))


def record(endings: Sequence[tuple[Sending, Exchange]], *, now: datetime) -> None:
    """Writes down how attempts ended, and what follows for their deliveries and endpoints."""
    if not endings:
        return
    verdicts = [_verdict(sending, exchange, now=now) for sending, exchange in endings]
    if all(_is_no_news(sending, exchange, now=now) for sending, exchange in endings):
        statements.record(verdicts, now=now)  # one statement is a transaction of its own
    else:
        with transaction.atomic():
            locked = _note_health(endings, now=now)
            mine = statements.record(verdicts, now=now)
            for sending, exchange in endings:
                endpoint = locked.get(sending.endpoint.pk)
                if sending.delivery_id in mine and endpoint and _is_gone(sending, exchange):
                    endpoints.disable(endpoint, "It answered 410 (gone).", who="", now=now)
    for (sending, exchange), verdict in zip(endings, verdicts, strict=True):
        _log(sending, exchange, verdict["reason"])


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
            again = _again(wait, why, expires_at=delivery.expires_at, now=now)
            Delivery.objects.filter(pk=delivery.pk).update(**again, lease_expires_at=None, woken_at=None)
    return len(rows)


def _room(endpoint: Endpoint, *, soon: datetime) -> Room:
    may_send = endpoint.state == Endpoint.State.ENABLED and not _must_wait(endpoint, soon=soon)
    return Room(
        endpoint_id=endpoint.pk,
        most=breaker.most_in_flight(endpoint) if may_send else 0,
        url=wire.url_of_endpoint(endpoint),
        body=wire.body_column(endpoint),
    )


def _must_wait(endpoint: Endpoint, *, soon: datetime) -> bool:
    return bool(endpoint.not_before and endpoint.not_before > soon)


def _put_off(endpoint: Endpoint, *, soon: datetime) -> None:
    """What is due of an endpoint that may not be told now is held, or waits as long as the endpoint must."""
    waits = due(soon).filter(endpoint=endpoint).exclude(trigger=TEST)
    if endpoint.state != Endpoint.State.ENABLED:
        waits.update(**held(endpoint))
    elif _must_wait(endpoint, soon=soon):
        waits.update(next_attempt_at=endpoint.not_before, woken_at=None, reason=endpoint.not_before_reason)


def _lease() -> timedelta:
    return timedelta(seconds=settings.WEBHOOK_DEADLINE_SECONDS) + LEASE_MARGIN


def _is_no_news(sending: Sending, exchange: Exchange, *, now: datetime) -> bool:
    """Whether the endpoint's health stays as it is."""
    if exchange.succeeded:
        return not breaker.is_news(sending.endpoint, now)
    return exchange.error_code in ("blocked", "invalid_url") or sending.trigger == TEST


def _is_gone(sending: Sending, exchange: Exchange) -> bool:
    return exchange.status == 410 and sending.trigger != TEST and sending.endpoint.source == Source.ENDPOINT


def _note_health(endings: Sequence[tuple[Sending, Exchange]], *, now: datetime) -> dict[uuid.UUID, Endpoint]:
    """Writes down how the endpoints fare. Locks them, in one order and before the deliveries, as a claim does."""
    ids = {sending.endpoint.pk for sending, exchange in endings if not _is_no_news(sending, exchange, now=now)}
    locked = Endpoint.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    by_id = {endpoint.pk: endpoint for endpoint in locked}
    for sending, exchange in endings:
        endpoint = by_id.get(sending.endpoint.pk)
        if endpoint is None:
            continue
        if exchange.succeeded:  # all of them: one before it in this batch may have failed
            breaker.succeeded(endpoint, now=now)
        elif not _is_no_news(sending, exchange, now=now):
            breaker.failed(endpoint, exchange, now=now)
            endpoints.tell_of_failing(endpoint, now=now)
    for endpoint in by_id.values():
        endpoint.save(update_fields=breaker.FIELDS)
    return by_id


def _verdict(sending: Sending, exchange: Exchange, *, now: datetime) -> statements.Ending:
    """What an answer means for the delivery, and what is kept of it."""
    return {
        "id": sending.delivery_id,
        "number": sending.number,
        **_decision(sending, exchange, now=now),
        "status_code": exchange.status,
        "error_code": exchange.error_code,
        "error_detail": exchange.error_detail,
        "timings": exchange.timings,
        "peer": exchange.peer_ip,
        "response_headers": exchange.response_headers,
        "response_excerpt": exchange.response_excerpt.replace("\0", ""),
    }


def _decision(sending: Sending, exchange: Exchange, *, now: datetime) -> Decision:
    if exchange.succeeded:
        return _ended(Status.DELIVERED, f"Answered {exchange.status}", now=now)
    if exchange.error_code in ("blocked", "invalid_url"):
        return _ended(Status.BLOCKED, exchange.error_message, now=now)
    if sending.trigger == TEST:
        return _ended(Status.FAILED, f"The test failed: {_what(exchange)}", now=now)
    if exchange.status == 410 and sending.endpoint.source != Source.DEFAULT:
        return _ended(Status.FAILED, "Given up: answered 410 (gone)", now=now)
    if sending.endpoint.source == Source.DEFAULT:  # where the operator's receiver sends one is not for everybody
        shown = {name: value for name, value in exchange.response_headers.items() if name != "location-host"}
        exchange = replace(exchange, response_headers=shown)
    wait, why = next_wait(sending.number - sending.attempts_uncounted, exchange, now=now)
    return _again(wait, why, expires_at=sending.expires_at, now=now)


def _ended(status: Delivery.Status, why: str, *, now: datetime) -> Decision:
    return {"status": str(status), "next_attempt_at": None, "finished_at": now, "reason": why}


def _again(wait: float | None, why: str, *, expires_at: datetime, now: datetime) -> Decision:
    again = None if wait is None else now + timedelta(seconds=wait)
    if again is None:
        return _ended(Status.FAILED, why, now=now)
    if again > expires_at:
        return _ended(Status.FAILED, f"Expired. {why}", now=now)
    return {"status": str(Status.PENDING), "next_attempt_at": again, "finished_at": None, "reason": why}


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


def _log(sending: Sending, exchange: Exchange, reason: str) -> None:
    if exchange.succeeded:
        logger.info(
            "Notified task_id=%s type=%s title=%r status=%s",
            sending.task_id,
            sending.type,
            _title(sending),
            exchange.status,
        )
    else:
        logger.warning(
            "Not notified task_id=%s type=%s attempt=%d: %s", sending.task_id, sending.type, sending.number, reason
        )


def _title(sending: Sending) -> str:
    said = orjson.loads(sending.body)
    return str(said.get("data", said).get("title", ""))
