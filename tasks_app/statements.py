"""The batch statements, one text per database vendor: claim, settle and stamp many tasks in one round trip.

They lock rows in the order of their ids, so that overlapping batches never deadlock. Claim and settle return the rows as
they are afterwards; a row that is not returned was not ours to change.
"""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, TypedDict

from django.db import connection
from django.db.models import JSONField

from tasks_app import clock, database
from tasks_app.inserts import JsonInsert
from tasks_app.models import Audience, Task, TaskEvent

LONGEST_ON_THE_WAY = timedelta(days=30)
"""Of a message from when it was sent."""
_TABLE = Task._meta.db_table
_EVENTS = TaskEvent._meta.db_table
_REVISION = f"SELECT revision FROM {Audience._meta.db_table} LIMIT 1"
_NAMES = [str(field.column) for field in Task._meta.concrete_fields]
_ATTRIBUTES = [field.attname for field in Task._meta.concrete_fields]
_JSON = [index for index, field in enumerate(Task._meta.concrete_fields) if isinstance(field, JSONField)]
_QUALIFIED = ", ".join(f"task.{name}" for name in _NAMES)  # SQLite's RETURNING knows no alias, PostgreSQL needs it
_CLAIMED = ", ".join(f"claimed.{name}" for name in _NAMES)
_PLAIN = ", ".join(_NAMES)

_CLAIM_SET = f"""
UPDATE {_TABLE} AS task SET
    status = 'PROCESSING', attempt = attempt + 1, version = version + 1,
    solo = solo OR %(alone)s, worker = %(worker)s, lease_expires_at = %(lease_expires_at)s,
    started_at = %(now)s, updated_at = %(now)s, published_at = coalesce(published_at, %(sent_at)s),
    progress = 0, message = '', error_code = '', error_message = '', cancel_requested_at = NULL
"""
_CLAIM = {
    "postgresql": f"""
WITH due AS (
    SELECT id FROM {_TABLE}
    WHERE id = ANY(%(ids)s) AND status = 'PENDING' AND run_at <= %(due)s AND (NOT solo OR %(alone)s)
    ORDER BY id FOR UPDATE
), claimed AS (
{_CLAIM_SET} FROM due WHERE task.id = due.id RETURNING task.*
), event AS (
    INSERT INTO {_EVENTS} (task_id, what, at, status, attempt, version, who, why, data, is_terminal)
    SELECT id, 'started', %(now)s, status, attempt, version, worker, '', %(data)s, false FROM claimed
    RETURNING id, task_id
)
SELECT {_CLAIMED}, event.id AS event_id, ({_REVISION}) AS revision
FROM claimed JOIN event ON event.task_id = claimed.id""",
    "sqlite": f"""
{_CLAIM_SET} WHERE id IN (SELECT value FROM json_each(%(ids)s)) AND status = 'PENDING' AND run_at <= %(due)s
    AND (NOT solo OR %(alone)s)
RETURNING {_PLAIN}""",
}

# A cancellation that was requested before the attempt ended wins over however it ended.
_SETTLE_SET = f"""
UPDATE {_TABLE} AS task SET
    status = CASE WHEN task.cancel_requested_at IS NULL THEN item.status ELSE 'CANCELLED' END,
    finished_at = CASE WHEN item.status = 'PENDING' AND task.cancel_requested_at IS NULL THEN NULL ELSE %(now)s END,
    result = CASE WHEN task.cancel_requested_at IS NULL THEN {{result}} ELSE NULL END,
    progress = item.progress, message = item.message,
    error_code = item.error_code, error_message = item.error_message,
    attempts_uncounted = attempts_uncounted + item.uncounted,
    solo = task.solo OR item.solo,
    run_at = coalesce(item.run_at, task.run_at),
    published_at = CASE WHEN item.status = 'PENDING' THEN NULL ELSE task.published_at END,
    lease_expires_at = NULL, worker = '', version = version + 1, updated_at = %(now)s
"""
_SETTLE = {
    "postgresql": f"""
WITH item AS (
    SELECT item.* FROM {_TABLE} AS task
    JOIN json_to_recordset(%(items)s::json) AS item (
        id uuid, attempt integer, status text, progress smallint, message text, result text, error_code text,
        error_message text, run_at timestamptz, uncounted integer, solo boolean
    ) ON task.id = item.id AND task.attempt = item.attempt
    WHERE task.status = 'PROCESSING' ORDER BY task.id FOR UPDATE OF task
)
{_SETTLE_SET.format(result="item.result::jsonb")}
FROM item WHERE task.id = item.id RETURNING {_QUALIFIED}""",
    "sqlite": f"""
WITH item AS (
    SELECT value ->> 'id' AS id, value ->> 'attempt' AS attempt, value ->> 'status' AS status,
        value ->> 'progress' AS progress, value ->> 'message' AS message, value ->> 'result' AS result,
        value ->> 'error_code' AS error_code, value ->> 'error_message' AS error_message,
        value ->> 'run_at' AS run_at, value ->> 'uncounted' AS uncounted, value ->> 'solo' AS solo
    FROM json_each(%(items)s)
)
{_SETTLE_SET.format(result="item.result")}
FROM item WHERE task.id = item.id AND task.attempt = item.attempt AND task.status = 'PROCESSING'
RETURNING {_PLAIN}""",
}

# What a worker has locked is being claimed: it needs no stamp.
_STAMP = {
    "postgresql": f"""
UPDATE {_TABLE} SET published_at = %(at)s WHERE id IN (
    SELECT id FROM {_TABLE}
    WHERE id = ANY(%(ids)s) AND status = 'PENDING' AND attempt = %(attempt)s AND run_at <= %(at)s
    ORDER BY id FOR UPDATE SKIP LOCKED
)""",
    "sqlite": f"""
UPDATE {_TABLE} SET published_at = %(at)s WHERE id IN (SELECT value FROM json_each(%(ids)s))
    AND status = 'PENDING' AND attempt = %(attempt)s AND run_at <= %(at)s""",
}


@lru_cache(maxsize=1)
def _inserts() -> tuple[JsonInsert, JsonInsert]:
    return JsonInsert(Task, "tasks"), JsonInsert(TaskEvent, "events", without={"id"})


class SettleItem(TypedDict):
    """How one attempt ended, as the settle statement reads it. `result` is JSON text."""

    id: uuid.UUID
    attempt: int
    status: str
    progress: int
    message: str
    result: str | None
    error_code: str
    error_message: str
    run_at: datetime | None
    uncounted: int
    solo: bool


def claim(
    ids: Sequence[uuid.UUID],
    *,
    worker: str,
    now: datetime,
    lease_expires_at: datetime,
    sent_at: datetime | None,
    data: dict[str, Any],
) -> tuple[list[TaskEvent], uuid.UUID | None]:
    """PENDING and due → PROCESSING, attempt + 1, leased to `worker`; a STARTED event with `data` for each.

    Returns the events, `.task` being the row claimed, in the order of `ids`, and the audience's revision. What should
    travel alone is not claimed with others, whatever the message says: a neighbour could cost it an attempt. Nor is a time
    believed that the message cannot have been sent at.
    """
    if sent_at is not None and not now - LONGEST_ON_THE_WAY <= sent_at <= now + clock.APART:
        sent_at = None
    parameters = {
        "ids": _keys(ids),
        "alone": len(ids) == 1,
        "worker": worker,
        "now": _time(now),
        # Who sent the message saw that they were due, by a clock that may be a little ahead of this one.
        "due": _time(min(max(now, sent_at or now), now + clock.APART)),
        "lease_expires_at": _time(lease_expires_at),
        "sent_at": _time(sent_at),
        "data": json.dumps(data),
    }
    order = {key: index for index, key in enumerate(ids)}
    rows = _rows(_CLAIM[connection.vendor], parameters)
    rows.sort(key=lambda row: order[row[0].id])
    events = [
        TaskEvent(
            task=task,
            what=TaskEvent.What.STARTED,
            at=now,
            status=task.status,
            attempt=task.attempt,
            version=task.version,
            who=worker,
            data=data,
        )
        for task, _rest in rows
    ]
    if not events:
        return [], None
    if connection.vendor != "postgresql":
        return events, insert(events)
    for event, (_task, (key, _revision)) in zip(events, rows, strict=True):
        event.id = key
        event._state.adding = False
    revision: uuid.UUID | None = rows[0][1][1]
    return events, revision


def settle(items: Sequence[SettleItem], *, now: datetime) -> list[Task]:
    """PROCESSING in exactly this attempt → as each item says. Returns the rows settled; the others were superseded."""
    texts = [{**item, "id": _key(item["id"]), "run_at": _time(item["run_at"])} for item in items]
    parameters = {"items": json.dumps(texts, default=str), "now": _time(now)}
    return [task for task, _rest in _rows(_SETTLE[connection.vendor], parameters)]


def stamp(ids: Sequence[uuid.UUID], *, attempt: int, at: datetime) -> None:
    """PENDING and due, still before the attempt after `attempt` → published `at`."""
    with database.repeated_cursor() as cursor:
        cursor.execute(_STAMP[connection.vendor], {"ids": _keys(ids), "attempt": attempt, "at": _time(at)})


def insert(events: Sequence[TaskEvent], *, tasks: Sequence[Task] = ()) -> uuid.UUID | None:
    """Writes new tasks and these events, whose ids it sets, in one round trip. Returns the audience's revision."""
    if connection.vendor != "postgresql":
        Task.objects.bulk_create(tasks)
        TaskEvent.objects.bulk_create(events)
        return Audience.objects.values_list("revision", flat=True).first()
    new_tasks, new_events = _inserts()
    first = f"task AS ({new_tasks.text}), " if tasks else ""
    statement = f"WITH {first}event AS ({new_events.text} RETURNING id) SELECT id, ({_REVISION}) FROM event"
    parameters = {"events": new_events.rows(events)} | ({"tasks": new_tasks.rows(tasks)} if tasks else {})
    with database.repeated_cursor() as cursor:
        cursor.execute(statement, parameters)
        rows = cursor.fetchall()
    for item, (key, _revision) in zip(events, rows, strict=True):
        item.id = key
        item._state.adding = False
    for task in tasks:
        task._state.adding = False
    revision: uuid.UUID | None = rows[0][1]
    return revision


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Task, tuple[Any, ...]]]:
    """The tasks that a statement returns, and what it returns beside each."""
    if connection.vendor != "postgresql":
        return [(task, ()) for task in Task.objects.raw(statement, parameters)]
    with database.repeated_cursor() as cursor:
        cursor.execute(statement, parameters)
        return [(_task(row[: len(_NAMES)]), row[len(_NAMES) :]) for row in cursor.fetchall()]


def _task(row: Sequence[Any]) -> Task:
    values = list(row)
    for index in _JSON:
        if values[index] is not None:
            values[index] = json.loads(values[index])
    return Task.from_db(connection.alias, _ATTRIBUTES, values)


def _keys(ids: Sequence[uuid.UUID]) -> Any:
    return list(ids) if connection.vendor == "postgresql" else json.dumps([key.hex for key in ids])


def _key(value: uuid.UUID) -> str:
    return str(value) if connection.vendor == "postgresql" else value.hex


def _time(value: datetime | None) -> Any:
    return None if value is None else connection.ops.adapt_datetimefield_value(value)
