"""Deliveries as lines of JSON, page by page: no more than one page is in memory, and no cursor is open while a client reads."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse

from notifications.api import representation
from notifications.models import Delivery
from tasks_app import keyset
from tasks_app.access import Access

NEWEST = keyset.by_id("newest", descending=True)
PAGE = 100
BODIES = ("event__body", "event__flat_body", "event__result_body")
"""What lists do not show and need not read."""


def answer(request: HttpRequest, rows: QuerySet[Delivery], who: Access) -> StreamingHttpResponse:
    """All of `rows` with their attempts. Deliveries made after the first page are not among them."""
    found = pages(rows, who)
    # ASGI would read an iterator that is not asynchronous to its end before it sends anything.
    content: Any = _in_thread(found) if isinstance(request, ASGIRequest) else found
    headers = {"Content-Disposition": 'attachment; filename="deliveries.ndjson"'}
    return StreamingHttpResponse(content, content_type="application/x-ndjson", headers=headers)


def pages(rows: QuerySet[Delivery], who: Access) -> Iterator[bytes]:
    """The lines of a page at a time."""
    rows, cursor = rows.defer(*BODIES).prefetch_related("attempt_log"), None
    while True:
        page = keyset.page([rows], NEWEST, cursor=cursor, limit=PAGE)
        if page.rows:
            yield b"".join(_line(delivery, who) for delivery in page.rows)
        if (cursor := page.next) is None:
            return


async def _in_thread(found: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (page := await sync_to_async(lambda: next(found, None))()) is not None:
        yield page


def _line(delivery: Delivery, who: Access) -> bytes:
    attempts = [representation.attempt_json(row, delivery, who) for row in delivery.attempt_log.all()]
    line = {**representation.delivery_json(delivery, who), "attempt_log": attempts}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
