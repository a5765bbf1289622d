"""From the query of a list to its rows: which filters there are, and which ordering each index serves.

Every combination is answered from an index in the order asked for, or refused; none reads the whole table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import QuerySet
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from tasks_app import keyset, search
from tasks_app.api.lookup import access_of
from tasks_app.api.v1 import query
from tasks_app.models import FINISHED, Task, TaskStatus

ORDERS = {
    order.name: order
    for descending in (True, False)
    for sign in ["-" if descending else ""]
    for order in (
        keyset.by_moment(f"{sign}created", "created_at", descending=descending),
        keyset.by_moment(f"{sign}finished", "finished_at", descending=descending),
        keyset.by_priority(f"{sign}priority", descending=descending),
    )
}
MOMENTS = ("created_after", "created_before", "finished_after", "finished_before")
KNOWN = frozenset({"status", "kind", "tag", "owner", "q", "order", "limit", "cursor", *MOMENTS})


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What one request asks for. `statuses` is empty where all are meant."""

    order: keyset.Order
    cursor: str | None
    limit: int
    statuses: Sequence[str] = ()
    equal: dict[str, object] = field(default_factory=dict)
    bounds: dict[str, datetime] = field(default_factory=dict)
    tag: str | None = None
    words: str | None = None
    values: dict[str, str] = field(default_factory=dict)

    def page(self, rows: QuerySet[Task]) -> keyset.Page[Task]:
        """The page of `rows`, which are those that may be seen. One query, or one for each of several statuses."""
        rows = rows.select_related("owner").filter(**self.equal, **self.bounds)
        statuses = self.statuses
        if "finished_at" in self.order.columns:
            rows = rows.filter(finished_at__isnull=False)
            statuses = [status for status in statuses if status in FINISHED]
            if self.statuses and not statuses:  # PostgreSQL would look for one at every finished task
                return keyset.Page(rows=[], next=None)
        if self.tag is not None:
            rows = search.with_tag(rows, self.tag)
        if self.words is not None:
            rows = search.with_words(rows, self.words)
        for name, value in self.values.items():
            rows = search.with_value(rows, name, value)
        lists = [rows.filter(status=status) for status in statuses] or [rows]
        return keyset.page(lists, self.order, cursor=self.cursor, limit=self.limit)


def read(request: Request) -> Listing:
    """Raises ValidationError, and PermissionDenied for `owner` where only one's own tasks may be seen."""
    asked = query.Query(request, KNOWN, prefix=search.IN_PAYLOAD)
    statuses = asked.several("status", TaskStatus.values)
    bounds = {
        f"{name}_at__{'gte' if end == 'after' else 'lt'}": moment
        for name, end in (text.split("_") for text in MOMENTS)
        if (moment := asked.maybe(f"{name}_{end}", query.moment)) is not None
    }
    by_end = any(name.startswith("finished") for name in bounds)
    default = ORDERS["-finished" if by_end else "-created"]
    order = asked.one("order", _order, default)
    if by_end and "finished_at" not in order.columns:
        asked.wrong("order", "With finished_after or finished_before a list is in the order finished or -finished.")
    elif bounds and not by_end and order.columns.keys() != ORDERS["created"].columns.keys():
        asked.wrong("order", "With created_after or created_before a list is in the order created or -created.")
    if "priority" in order.columns and statuses != [TaskStatus.PENDING]:
        asked.wrong("order", "The order of priority is one of waiting tasks: add status=PENDING.")
    equal: dict[str, object] = {}
    if (kind := asked.maybe("kind", query.text(100))) is not None:
        equal["kind"] = kind
    owner = asked.maybe("owner", query.text(150))
    listing = Listing(
        order=order, limit=asked.limit(), cursor=asked.maybe("cursor", str), bounds=bounds, equal=equal,
        statuses=[] if len(statuses) == len(TaskStatus) else statuses,
        tag=asked.maybe("tag", query.text(50)), words=asked.maybe("q", _words),
        values=asked.prefixed(search.MOST_PATHS, search.path_error, query.text(search.LONGEST_VALUE)),
    )  # fmt: skip
    asked.check()
    if owner is not None:
        if not access_of(request).may_any("view"):
            raise PermissionDenied("You see your own tasks only, so you cannot ask for those of an owner.")
        equal["owner_id"] = User.objects.filter(username=owner).values_list("pk", flat=True).first() or 0
    return listing


def _order(text: str) -> keyset.Order:
    if text not in ORDERS:
        raise ValueError(f"One of: {', '.join(ORDERS)}.")
    return ORDERS[text]


def _words(text: str) -> str:
    words = query.text(200)(text).split()
    if len(words) > search.MOST_WORDS or not any(len(word) >= search.SHORTEST_WORD for word in words):
        raise ValueError(f"Up to {search.MOST_WORDS} words, one of at least {search.SHORTEST_WORD} characters.")
    return text
