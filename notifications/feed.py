"""Events to pull: everything that somebody wanted to hear, in the order of commits, nothing skipped.

A row's id is made before its transaction commits, so ids alone become visible out of order. The cursor is the number of
the transaction and the id, and only rows of transactions older than the oldest one still open are shown.
"""

import uuid
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet

from notifications.models import Event

START = "0"


class InvalidCursor(ValueError):
    """No cursor of ours."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """`after` continues behind the last of `events`; `is_end`: there is no more for now."""

    events: list[Event]
    after: str
    is_end: bool


def read(events: QuerySet[Event], *, after: str = START, limit: int) -> Feed:
    """Up to `limit` events behind a cursor. Raises InvalidCursor."""
    transaction, last = _parse(after)
    oldest = _oldest_open()
    if transaction >= oldest:  # every cursor was below it when it was given, and it only grows
        raise InvalidCursor("A cursor of another database: this one was restored. Leave `after` out to begin anew.")
    behind = Q(transaction__gt=transaction)
    if last is not None:
        behind |= Q(transaction=transaction, pk__gt=last)
    rows = events.filter(behind, transaction__lt=oldest).order_by("transaction", "pk")
    found = list(rows[: limit + 1])
    shown = found[:limit]
    cursor = f"{shown[-1].transaction}.{shown[-1].pk}" if shown else after
    return Feed(events=shown, after=cursor, is_end=len(found) <= limit)


def _oldest_open() -> int:
    if connection.vendor != "postgresql":
        return 1  # one writer at a time, and 0 is every row's
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        (number,) = cursor.fetchone()
    return int(number)


def _parse(text: str) -> tuple[int, uuid.UUID | None]:
    number, _, key = text.partition(".")
    try:
        if not (number.isascii() and number.isdigit() and len(number) < 19):
            raise ValueError
        return int(number) - (0 if key else 1), uuid.UUID(key) if key else None
    except ValueError:
        raise InvalidCursor("No cursor of this feed. Leave `after` out to begin with the oldest event.") from None
