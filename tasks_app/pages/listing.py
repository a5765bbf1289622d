"""The list that a page shows: which tasks, how many of each status, and where it goes on."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from tasks_app import keyset
from tasks_app.models import Task, TaskStatus
from tasks_app.pages.filters import SIZES, BadQuery, Filters
from tasks_app.pages.forms import CreateForm
from tasks_app.pages.viewer import Viewer

PAGE = SIZES[0]
NOT_SHOWN = ("description", "metadata", "result", "callback_url")
# Each filter has an index in this order; ids sort by time of creation too.
NEWEST = keyset.by_moment("newest", "created_at", descending=True)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One page of tasks, newest first. `rows` are contexts of `_task_row.html`."""

    rows: list[dict[str, Any]]
    filters: Filters
    older: str
    newest: str

    @property
    def status(self) -> str:
        return self.filters.status


def listing(viewer: Viewer, query: Mapping[str, str]) -> Listing:
    """Reads the filters and `?after=` (the cursor of the page before). Raises BadQuery."""
    filters = Filters.read(query)
    tasks = filters.tasks(viewer).defer(*NOT_SHOWN)
    after = query.get("after", "")
    try:
        page = keyset.page([tasks], NEWEST, cursor=after or None, limit=filters.size)
    except keyset.BadCursor:
        raise BadQuery("The address of this page is damaged: `after` is no cursor of this list.") from None
    older = filters.url(after=page.next) if page.next else ""
    newest = filters.url() if after else ""
    return Listing(rows=[row(viewer, task) for task in page.rows], filters=filters, older=older, newest=newest)


def created_part(
    request: HttpRequest, viewer: Viewer, tasks: Sequence[Task], *, form: CreateForm | None
) -> HttpResponse:
    """For htmx: the rows for the top of the list, the numbers, and the short form anew if there is one."""
    context = {"form": form, "rows": [row(viewer, task) for task in tasks], "counts": counts(viewer)}
    return render(request, "tasks_app/_created.html", context, status=201)


def row(viewer: Viewer, task: Task, **more: Any) -> dict[str, Any]:
    """Context of `_task_row.html`."""
    rights = {"may_change": viewer.may("change", task), "may_delete": viewer.may("delete", task)}
    return {"task": task, **rights, **more}


class KeptCounts:
    """Counting a large table takes long: then the numbers are kept, so that it takes a twentieth of the time at most.

    An open page is sent newer ones.
    """

    SLOW_SECONDS, SHARE, MOST = 0.03, 20, 1000

    def __init__(self) -> None:
        self._found: dict[int | None, tuple[float, dict[str, int]]] = {}

    def get(self, viewer: Viewer) -> dict[str, int]:
        """Status → number, of the tasks that the viewer sees."""
        audience = None if viewer.may_any("view") else viewer.user.pk
        until, numbers = self._found.get(audience, (0.0, {}))
        started = time.monotonic()
        if started < until:
            return numbers
        numbers = viewer.tasks().counts()
        took = time.monotonic() - started
        if took > self.SLOW_SECONDS:
            if len(self._found) >= self.MOST:
                self._found.clear()
            self._found[audience] = (time.monotonic() + self.SHARE * took, numbers)
        return numbers


_kept = KeptCounts()


def counts(viewer: Viewer, *, filters: Filters | None = None) -> list[dict[str, Any]]:
    """How many tasks the viewer sees, in all and of each status, with the address that shows just those.

    The numbers are of all tasks, whatever else is filtered.
    """
    filters = filters or Filters()
    numbers = _kept.get(viewer)
    every = {
        "status": "ALL",
        "label": "All",
        "number": sum(numbers.values()),
        "url": filters.with_status(""),
        "is_active": not filters.status,
    }
    return [every] + [
        {
            "status": one.value,
            "label": one.label,
            "number": numbers.get(one.value, 0),
            "url": filters.with_status(one.value),
            "is_active": filters.status == one,
        }
        for one in TaskStatus
    ]
