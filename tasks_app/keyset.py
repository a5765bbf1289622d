"""Pages by key: a page starts after the last row of the one before, so that every page costs the same.

A cursor is opaque to clients and says the ordering and the values of that row. It holds no right: whoever changes it
only starts elsewhere in what they may see anyway. It is checked all the same, because a database is asked with it.
"""

import base64
import binascii
import heapq
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import orjson
from django.db.models import BooleanField, F, Func, Model, QuerySet, Value

from tasks_app.exceptions import TaskError

M = TypeVar("M", bound=Model)
MOST_CHARACTERS = 400


class BadCursor(TaskError):
    """This is no cursor of ours, or one of a list in another order."""

    code = "bad_cursor"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment.astimezone(timezone.utc)


def _number(number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not -(2**63) <= number < 2**63:
        raise ValueError("no 64-bit number")
    return number


@dataclass(frozen=True, kw_only=True)
class Order:
    """An ordering: its name for clients, its columns with the tie-breaker last, all in one direction."""

    name: str
    columns: Mapping[str, Callable[[Any], Any]]
    descending: bool

    @property
    def terms(self) -> list[str]:
        return [("-" if self.descending else "") + column for column in self.columns]

    def key(self, row: Model) -> tuple[Any, ...]:
        return tuple(getattr(row, column) for column in self.columns)


def by_moment(name: str, column: str, *, descending: bool) -> Order:
    """By a time, ties by the UUID."""
    return Order(name=name, columns={column: _moment, "id": uuid.UUID}, descending=descending)


def by_number(name: str, *columns: str, descending: bool) -> Order:
    """By whole numbers alone."""
    return Order(name=name, columns=dict.fromkeys(columns, _number), descending=descending)


def by_id(name: str, *, descending: bool) -> Order:
    """By a UUIDv7, which is by age."""
    return Order(name=name, columns={"id": uuid.UUID}, descending=descending)


def by_priority(name: str, *, descending: bool) -> Order:
    """By priority, then age."""
    columns: dict[str, Callable[[Any], Any]] = {"priority": _number, "created_at": _moment, "id": uuid.UUID}
    return Order(name=name, columns=columns, descending=descending)


class _RowCompare(Func):
    """`(a, b) < (x, y)`, which one index range answers. The first half of the expressions are the columns."""

    output_field = BooleanField()

    def __init__(self, columns: Sequence[str], values: Sequence[Any], *, operator: str) -> None:
        self.operator = operator
        super().__init__(*[F(column) for column in columns], *[Value(value) for value in values])

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        parts, parameters = [], []
        for expression in self.get_source_expressions():
            text, values = compiler.compile(expression)
            parts.append(text)
            parameters.extend(values)
        half = len(parts) // 2
        return f"({', '.join(parts[:half])}) {self.operator} ({', '.join(parts[half:])})", tuple(parameters)


@dataclass(frozen=True, kw_only=True)
class Page(Generic[M]):
    """Some rows, and the cursor of the page after them; None at the end."""

    rows: list[M]
    next: str | None


def page(lists: Sequence[QuerySet[M]], order: Order, *, cursor: str | None, limit: int) -> Page[M]:
    """The first `limit` rows after the cursor. Several disjoint lists are merged, each asked by its own index."""
    found = [_from(rows, order, cursor)[: limit + 1] for rows in lists]
    merged: Iterable[M] = found[0] if len(found) == 1 else heapq.merge(*found, key=order.key, reverse=order.descending)
    rows = list(islice(merged, limit + 1))
    more, rows = len(rows) > limit, rows[:limit]
    return Page(rows=rows, next=_encode(order, rows[-1]) if more else None)


def next_url(request: Any, cursor: str | None) -> str | None:
    """The address of the request with `cursor` in place of its own; None where there is no next page."""
    if cursor is None:
        return None
    pairs = [(name, value) for name, values in request.GET.lists() for value in values if name != "cursor"]
    url: str = request.build_absolute_uri(f"{quote(request.path)}?{urlencode([*pairs, ('cursor', cursor)])}")
    return url


def _from(rows: QuerySet[M], order: Order, cursor: str | None) -> QuerySet[M]:
    rows = rows.order_by(*order.terms)
    if cursor is None:
        return rows
    operator = "<" if order.descending else ">"
    return rows.filter(_RowCompare(list(order.columns), _decode(order, cursor), operator=operator))


def _encode(order: Order, row: Model) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([order.name, *order.key(row)])).decode().rstrip("=")


def _decode(order: Order, text: str) -> list[Any]:
    try:
        if len(text) > MOST_CHARACTERS:
            raise ValueError("too long")
        name, *values = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if name != order.name or len(values) != len(order.columns):
            raise BadCursor
        return [read(value) for read, value in zip(order.columns.values(), values, strict=True)]
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error):
        raise BadCursor from None
