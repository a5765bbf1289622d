"""The list that a page shows: which tasks, how many of each status, and where it goes on."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.urls import reverse

from tasks_app.models import Task, TaskStatus
from tasks_app.pages.viewer import Viewer

PAGE = 25
NOT_SHOWN = ("description", "metadata", "result", "callback_url")


class BadQuery(ValueError):
    """The address asks for a list that cannot be."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One page of tasks, newest first. `rows` are contexts of `_task_row.html`."""

    rows: list[dict[str, Any]]
    status: str
    older: str
    newest: str


def listing(viewer: Viewer, query: Mapping[str, str]) -> Listing:
    """Reads `?status=` and `?after=` (keyset: the last id of the page before). Raises BadQuery."""
    status = query.get("status", "")
    if status and status not in TaskStatus.values:
        raise BadQuery(f"There is no status {status[:20]!r}. There are: {', '.join(TaskStatus.values)}.")
    tasks = viewer.tasks().defer(*NOT_SHOWN)
    if status:
        tasks = tasks.filter(status=status)
    if after := query.get("after", ""):
        try:
            tasks = tasks.filter(pk__lt=uuid.UUID(after))
        except ValueError:
            raise BadQuery("The address of this page is damaged: `after` is no id of a task.") from None
    found = list(tasks.order_by("-pk")[: PAGE + 1])
    shown = found[:PAGE]
    older = address(status=status, after=str(shown[-1].pk)) if len(found) > PAGE else ""
    newest = address(status=status) if after else ""
    return Listing(rows=[row(viewer, task) for task in shown], status=status, older=older, newest=newest)


def row(viewer: Viewer, task: Task, **more: Any) -> dict[str, Any]:
    """Context of `_task_row.html`."""
    rights = {"may_change": viewer.may("change", task), "may_delete": viewer.may("delete", task)}
    return {"task": task, **rights, **more}


def counts(viewer: Viewer, *, status: str = "") -> list[dict[str, Any]]:
    """How many tasks the viewer sees, in all and of each status, with the address that shows just those."""
    rows = viewer.tasks().order_by().values_list("status").annotate(Count("pk"))
    numbers: dict[str, int] = dict(rows)
    every = {
        "status": "ALL",
        "label": "All",
        "number": sum(numbers.values()),
        "url": address(),
        "is_active": not status,
    }
    return [every] + [
        {
            "status": one.value,
            "label": one.label,
            "number": numbers.get(one.value, 0),
            "url": address(status=one.value),
            "is_active": status == one,
        }
        for one in TaskStatus
    ]


def address(**query: str) -> str:
    """Of the dashboard, with what is not empty as its query."""
    text = urlencode({name: value for name, value in query.items() if value})
    return reverse("tasks:dashboard") + (f"?{text}" if text else "")
