"""The batch statements of deliveries, one text per database vendor: claim what is due, record how it ended.

A claim also writes the attempts and counts what is in flight; its caller holds locks on the endpoints, so that two claims
count one after the other. Both lock deliveries in one order, so that overlapping batches never deadlock.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypedDict

from django.db import connection

from notifications.models import Delivery, DeliveryAttempt, Event
from tasks_app import database
from tasks_app.inserts import JsonInsert

_DELIVERY = Delivery._meta.db_table
_ATTEMPT = DeliveryAttempt._meta.db_table
_EVENT = Event._meta.db_table


@dataclass(frozen=True, kw_only=True)
class Room:
    """What one endpoint may be sent now.

    `most` bounds the requests in flight, those of other processes included; 0 lets only tests through. A request that
    is out since before `slow_since` makes room for no other. `url` is empty where each delivery has its own.
    `body` names the column of the event that is sent.
    """

    endpoint_id: uuid.UUID
    most: int
    url: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """One attempt that is to be made now: of which delivery, where it goes and with which bytes.

    `trigger` is what asked for this attempt.
    """

    delivery_id: uuid.UUID
    endpoint_id: uuid.UUID
    number: int
    attempts_uncounted: int
    trigger: str
    url: str
    expires_at: datetime
    event_id: uuid.UUID
    type: str
    task_id: uuid.UUID | None
    owner_id: int | None
    body: str


class Decision(TypedDict):
    """What becomes of a delivery after an attempt."""

    status: str
    next_attempt_at: datetime | None
    finished_at: datetime | None
    reason: str


class Ending(Decision):
    """How one attempt ended, and what becomes of its delivery. JSON columns are values."""

    id: uuid.UUID
    number: int
    status_code: int | None
    error_code: str
    error_detail: str
    timings: dict[str, float]
    peer: str
    response_headers: dict[str, str]
    response_excerpt: str


_BODY = """CASE {room}.body
    WHEN 'flat_body' THEN event.flat_body
    WHEN 'result_body' THEN coalesce(nullif(event.result_body, ''), event.body)
    ELSE event.body END"""
_CLAIMED_COLUMNS = "delivery_id, endpoint_id, number, trigger, asked_by, started_at"
_ATTEMPT_DEFAULTS = "error_code, error_detail, timings, peer, response_headers, response_excerpt"

_CLAIM_POSTGRESQL = f"""
WITH room AS (
    SELECT given.*, CASE WHEN flying.oldest < %(slow_lease)s THEN 0 ELSE given.most - flying.count END AS free
    FROM json_to_recordset(%(rooms)s::json) AS given (endpoint_id uuid, most integer, url text, body text)
    CROSS JOIN LATERAL (
        SELECT count(*) AS count, min(lease_expires_at) AS oldest FROM {_DELIVERY}
        WHERE endpoint_id = given.endpoint_id AND status = 'SENDING' AND lease_expires_at > %(now)s
    ) AS flying
), due AS MATERIALIZED (
    SELECT next.*, room.url AS room_url FROM room CROSS JOIN LATERAL (
        SELECT id, trigger, asked_by FROM {_DELIVERY}
        WHERE endpoint_id = room.endpoint_id AND status = 'PENDING' AND next_attempt_at <= %(due)s
            AND (%(only)s::uuid IS NULL OR id = %(only)s) AND (room.free > 0 OR trigger = 'test')
        ORDER BY next_attempt_at, id LIMIT greatest(room.free, 1) FOR UPDATE SKIP LOCKED
    ) AS next LIMIT %(batch)s
), claimed AS (
    UPDATE {_DELIVERY} AS delivery SET
        status = 'SENDING', next_attempt_at = NULL, attempts = attempts + 1, trigger = 'auto', asked_by = '',
        lease_expires_at = %(lease)s, url = coalesce(nullif(due.room_url, ''), delivery.url)
    FROM due WHERE delivery.id = due.id
    RETURNING delivery.*, due.trigger AS this_trigger, due.asked_by AS this_asked_by
), attempt AS (
    INSERT INTO {_ATTEMPT} ({_CLAIMED_COLUMNS}, {_ATTEMPT_DEFAULTS})
    SELECT id, endpoint_id, attempts, this_trigger, this_asked_by, %(now)s, '', '', '{{}}', '', '{{}}', '' FROM claimed
)
SELECT room.endpoint_id, room.free, claimed.id, claimed.attempts, claimed.attempts_uncounted, claimed.this_trigger,
    claimed.url, claimed.expires_at, event.id, event.type, event.task_id, event.owner_id, {_BODY.format(room="room")}
FROM room LEFT JOIN (claimed JOIN {_EVENT} AS event ON event.id = claimed.event_id)
    ON claimed.endpoint_id = room.endpoint_id
ORDER BY claimed.id"""

_FREE_SQLITE = f"""
SELECT CASE WHEN min(lease_expires_at) < %(slow_lease)s THEN 0 ELSE %(most)s - count(*) END FROM {_DELIVERY}
WHERE endpoint_id = %(endpoint_id)s AND status = 'SENDING' AND lease_expires_at > %(now)s"""
_DUE_SQLITE = f"""
SELECT id FROM {_DELIVERY} WHERE endpoint_id = %(endpoint_id)s AND status = 'PENDING' AND next_attempt_at <= %(due)s
    AND (%(only)s IS NULL OR id = %(only)s) AND (%(free)s > 0 OR "trigger" = 'test')
ORDER BY next_attempt_at, id LIMIT %(limit)s"""
_ATTEMPT_SQLITE = f"""
INSERT INTO {_ATTEMPT} ({_CLAIMED_COLUMNS.replace("trigger", '"trigger"')}, {_ATTEMPT_DEFAULTS})
SELECT id, endpoint_id, attempts + 1, "trigger", asked_by, %(now)s, '', '', '{{}}', '', '{{}}', ''
FROM {_DELIVERY} WHERE id IN (SELECT value FROM json_each(%(ids)s)) ORDER BY id"""
_CLAIM_SQLITE = f"""
UPDATE {_DELIVERY} SET status = 'SENDING', next_attempt_at = NULL, attempts = attempts + 1, "trigger" = 'auto',
    asked_by = '', lease_expires_at = %(lease)s, url = coalesce(nullif(%(url)s, ''), url)
WHERE id IN (SELECT value FROM json_each(%(ids)s))"""
_READ_SQLITE = f"""
SELECT delivery.id, delivery.attempts, delivery.attempts_uncounted, attempt."trigger", delivery.url,
    delivery.expires_at, event.id, event.type, event.task_id, event.owner_id,
    {_BODY.format(room="given")}
FROM {_DELIVERY} AS delivery
JOIN {_ATTEMPT} AS attempt ON attempt.delivery_id = delivery.id AND attempt.number = delivery.attempts
JOIN {_EVENT} AS event ON event.id = delivery.event_id
CROSS JOIN (SELECT %(body)s AS body) AS given
WHERE delivery.id IN (SELECT value FROM json_each(%(ids)s)) ORDER BY delivery.id"""

_ITEM_COLUMNS = """id uuid, number integer, status text, next_attempt_at timestamptz, finished_at timestamptz,
    reason text, status_code smallint, error_code text, error_detail text, timings jsonb, peer text,
    response_headers jsonb, response_excerpt text"""
_RECORD_POSTGRESQL = f"""
WITH item AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(items)s::json) AS item ({_ITEM_COLUMNS})
), attempt AS (
    UPDATE {_ATTEMPT} AS attempt SET
        finished_at = %(now)s, status_code = item.status_code, error_code = item.error_code,
        error_detail = item.error_detail, timings = item.timings, peer = item.peer,
        response_headers = item.response_headers, response_excerpt = item.response_excerpt
    FROM item WHERE attempt.delivery_id = item.id AND attempt.number = item.number
), mine AS (
    SELECT item.* FROM {_DELIVERY} AS delivery JOIN item ON delivery.id = item.id
    WHERE delivery.status = 'SENDING' AND delivery.attempts = item.number
    ORDER BY delivery.id FOR UPDATE OF delivery
)
UPDATE {_DELIVERY} AS delivery SET
    status = mine.status, next_attempt_at = mine.next_attempt_at, finished_at = mine.finished_at, reason = mine.reason,
    lease_expires_at = NULL, woken_at = NULL
FROM mine WHERE delivery.id = mine.id RETURNING delivery.id"""

_ITEM_SQLITE = "WITH item AS (SELECT value AS it FROM json_each(%(items)s))"
_RECORD_ATTEMPTS_SQLITE = f"""{_ITEM_SQLITE}
UPDATE {_ATTEMPT} AS attempt SET
    finished_at = %(now)s, status_code = it ->> 'status_code', error_code = it ->> 'error_code',
    error_detail = it ->> 'error_detail', timings = it -> 'timings', peer = it ->> 'peer',
    response_headers = it -> 'response_headers', response_excerpt = it ->> 'response_excerpt'
FROM item WHERE attempt.delivery_id = it ->> 'id' AND attempt.number = it ->> 'number'"""
_RECORD_SQLITE = f"""{_ITEM_SQLITE}
UPDATE {_DELIVERY} AS delivery SET
    status = it ->> 'status', next_attempt_at = it ->> 'next_attempt_at', finished_at = it ->> 'finished_at',
    reason = it ->> 'reason', lease_expires_at = NULL, woken_at = NULL
FROM item WHERE delivery.id = it ->> 'id' AND delivery.status = 'SENDING' AND delivery.attempts = it ->> 'number'
RETURNING id"""


def claim(
    rooms: Sequence[Room],
    *,
    now: datetime,
    due: datetime,
    lease_expires_at: datetime,
    slow_lease: datetime,
    batch: int,
    only: uuid.UUID | None = None,
) -> tuple[list[Claimed], set[uuid.UUID]]:
    """PENDING and due → SENDING, an attempt written for each, `batch` of them at most.

    A lease that ends before `slow_lease` belongs to a request that is out for long. Returns what was claimed, and the
    endpoints whose room was used up, where more may be due.
    """
    times = {"now": now, "due": due, "lease": lease_expires_at, "slow_lease": slow_lease}
    parameters = {name: _time(value) for name, value in times.items()} | {
        "only": None if only is None else _key(uuid.UUID(str(only)))
    }
    if connection.vendor == "postgresql":
        return _claim_postgresql(rooms, {**parameters, "batch": batch})
    claimed: list[Claimed] = []
    full: set[uuid.UUID] = set()
    for room in rooms:
        found, is_full = _claim_sqlite(room, parameters, batch=batch - len(claimed))
        claimed += found
        full |= {room.endpoint_id} if is_full else set()
    return claimed, full


def record(endings: Sequence[Ending], *, now: datetime) -> set[uuid.UUID]:
    """Ends attempts, and moves the deliveries that are still in them. Returns the ids of those deliveries."""
    texts = [
        {
            **ending,
            "id": _key(ending["id"]),
            "next_attempt_at": _time(ending["next_attempt_at"]),
            "finished_at": _time(ending["finished_at"]),
        }
        for ending in endings
    ]
    parameters = {"items": json.dumps(texts, default=str), "now": _time(now)}
    with database.repeated_cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_RECORD_POSTGRESQL, parameters)
        else:
            cursor.execute(_RECORD_ATTEMPTS_SQLITE, parameters)
            cursor.execute(_RECORD_SQLITE, parameters)
        return {_uuid(key) for (key,) in cursor.fetchall()}


@lru_cache(maxsize=1)
def _inserts() -> tuple[JsonInsert, JsonInsert]:
    return JsonInsert(Event, "events", without={"transaction"}), JsonInsert(Delivery, "deliveries")


def promise(events: Sequence[Event], deliveries: Sequence[Delivery]) -> None:
    """Writes new events and their deliveries, in one round trip. Call inside the transaction of the fact."""
    if not events:
        return
    if connection.vendor != "postgresql":
        Event.objects.bulk_create(events)
        Delivery.objects.bulk_create(deliveries)
        return
    event, delivery = _inserts()
    with database.repeated_cursor() as cursor:
        parameters = {"events": event.rows(events), "deliveries": delivery.rows(deliveries)}
        cursor.execute(f"WITH event AS ({event.text}) {delivery.text}", parameters)


def _claim_postgresql(rooms: Sequence[Room], parameters: dict[str, Any]) -> tuple[list[Claimed], set[uuid.UUID]]:
    texts = [
        {"endpoint_id": str(room.endpoint_id), "most": room.most, "url": room.url, "body": room.body} for room in rooms
    ]
    with database.repeated_cursor() as cursor:
        cursor.execute(_CLAIM_POSTGRESQL, {**parameters, "rooms": json.dumps(texts)})
        rows = cursor.fetchall()
    claimed = [_claimed(row[0], row[2:]) for row in rows if row[2] is not None]
    count: dict[uuid.UUID, int] = {}
    for item in claimed:
        count[item.endpoint_id] = count.get(item.endpoint_id, 0) + 1
    at_limit = len(claimed) == parameters["batch"]
    return claimed, {row[0] for row in rows if at_limit or count.get(row[0], 0) >= row[1]}


def _claim_sqlite(room: Room, parameters: dict[str, Any], *, batch: int) -> tuple[list[Claimed], bool]:
    given = {**parameters, "endpoint_id": _key(room.endpoint_id), "most": room.most, "url": room.url, "body": room.body}
    with database.repeated_cursor() as cursor:
        cursor.execute(_FREE_SQLITE, given)
        free = cursor.fetchone()[0]
        limit = min(batch, max(free, 1))
        cursor.execute(_DUE_SQLITE, {**given, "free": free, "limit": limit})
        ids = [key for (key,) in cursor.fetchall()]
        if not ids:
            return [], free <= 0 or not batch
        given["ids"] = json.dumps(ids)
        cursor.execute(_ATTEMPT_SQLITE, given)
        cursor.execute(_CLAIM_SQLITE, given)
        cursor.execute(_READ_SQLITE, given)
        return [_claimed(room.endpoint_id, row) for row in cursor.fetchall()], len(ids) >= limit


def _claimed(endpoint_id: uuid.UUID, row: Iterable[Any]) -> Claimed:
    delivery_id, number, uncounted, trigger, url, expires_at, event_id, kind, task_id, owner_id, body = row
    return Claimed(
        delivery_id=_uuid(delivery_id),
        endpoint_id=endpoint_id,
        number=number,
        attempts_uncounted=uncounted,
        trigger=trigger,
        url=url,
        expires_at=_moment(expires_at),
        event_id=_uuid(event_id),
        type=kind,
        task_id=None if task_id is None else _uuid(task_id),
        owner_id=owner_id,
        body=body,
    )


def _key(value: uuid.UUID) -> Any:
    return str(value) if connection.vendor == "postgresql" else value.hex


def _uuid(value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(value)


def _time(value: datetime | None) -> Any:
    return None if value is None else connection.ops.adapt_datetimefield_value(value)


def _moment(value: datetime) -> datetime:
    """SQLite's adapter leaves the time zone out, which is the connection's."""
    return value if value.tzinfo else value.replace(tzinfo=connection.timezone)
