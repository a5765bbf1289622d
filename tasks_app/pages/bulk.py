"""One verb for many tasks: those that were picked, or all that match. What is asked for is shown first, then done.

The question names the tasks; what is confirmed is done to exactly those, a hundred in each request, so that no request
is long and the page can say how far it is.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from tasks_app import lifecycle
from tasks_app.exceptions import TaskError
from tasks_app.models import FINISHED, Task, TaskStatus
from tasks_app.pages.filters import BadQuery, Filters
from tasks_app.pages.viewer import Viewer, came_from, failure, for_viewers

MOST = 1000
EACH = 100
SHOWN = 5
VERBS = {"cancel": ("Cancel", "cancelled"), "rerun": ("Run again", "started again"), "delete": ("Delete", "deleted")}


@require_POST
@for_viewers
def ask(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """How many tasks of which status it would be, and the first of them."""
    verb = request.POST.get("verb", "")
    if verb not in VERBS:
        return failure(request, 400, "There is no such verb.")
    back = _back(request)
    try:
        tasks, more = _chosen(request, viewer, back)
    except (BadQuery, ValueError) as error:
        return failure(request, 400, str(error))
    able = [task for task in tasks if _may(viewer, verb, task)]
    context = {
        "viewer": viewer, "verb": verb, "label": VERBS[verb][0], "back": back, "number": len(able), "more": more,
        "left_out": len(tasks) - len(able), "titles": [task.title for task in able[:SHOWN]],
        "others": max(0, len(able) - SHOWN), "statuses": _statuses(able), "ids": ",".join(str(task.pk) for task in able),
    }  # fmt: skip
    return render(request, "tasks_app/bulk.html", context)


@require_POST
@for_viewers
def act(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Does the next hundred. Says how far it is until all are done, then leads back to the list."""
    verb = request.POST.get("verb", "")
    try:
        ids = _ids(request.POST.get("ids", ""))
        total, done, refused = (int(request.POST.get(name, "0")[:6] or 0) for name in ("total", "done", "refused"))
    except ValueError:
        return failure(request, 400, "This form is damaged. Nothing was changed.")
    if verb not in VERBS:
        return failure(request, 400, "There is no such verb.")
    now, rest = ids[:EACH], ids[EACH:]
    changed = _do(viewer, verb, now)
    done, refused = done + changed, refused + len(now) - changed
    total, back = max(total, done + refused + len(rest)), _back(request)
    if rest:
        context = {
            "viewer": viewer, "verb": verb, "word": VERBS[verb][1], "total": total, "done": done, "refused": refused,
            "ids": ",".join(map(str, rest)), "back": back, "so_far": done + refused,
        }  # fmt: skip
        return render(request, "tasks_app/bulk_progress.html", context)
    text = f"{_tasks(done)} {VERBS[verb][1]}."
    if refused:
        text += f" {_tasks(refused)} not: gone, no longer yours to change, or in another state by now."
    messages.add_message(request, messages.SUCCESS if done else messages.ERROR, text)
    return redirect(back)


def _do(viewer: Viewer, verb: str, ids: Sequence[uuid.UUID]) -> int:
    tasks = viewer.tasks().in_bulk(list(ids))
    changed = 0
    for key in ids:
        task = tasks.get(key)
        if task is None or not _may(viewer, verb, task):
            continue
        try:
            if verb == "cancel":
                lifecycle.cancel(key, who=viewer.who)
            elif verb == "delete":
                lifecycle.delete(key, who=viewer.who)
            else:
                lifecycle.rerun(key, who=viewer.who, owner_id=viewer.user.pk)
        except TaskError:  # it changed or went meanwhile, or its kind no longer takes it
            continue
        changed += 1
    return changed


def _may(viewer: Viewer, verb: str, task: Task) -> bool:
    if verb == "rerun":
        return viewer.may_create
    if verb == "delete":
        return viewer.may("delete", task)
    return viewer.may("change", task) and task.status not in FINISHED and task.cancel_requested_at is None


def _chosen(request: HttpRequest, viewer: Viewer, back: str) -> tuple[list[Task], bool]:
    """The tasks, newest first, and whether more match than are done at once."""
    if request.POST.get("all"):
        rows = Filters.read(dict(parse_qsl(urlsplit(back).query))).tasks(viewer)
    else:
        rows = viewer.tasks().filter(pk__in=_ids(",".join(request.POST.getlist("id"))))
    few = rows.only("pk", "title", "status", "owner_id", "cancel_requested_at").order_by("-created_at", "-id")
    tasks = list(few[: MOST + 1])
    return tasks[:MOST], len(tasks) > MOST


def _ids(text: str) -> list[uuid.UUID]:
    found = list(dict.fromkeys(uuid.UUID(word) for word in text.split(",") if word))
    if len(found) > MOST:
        raise ValueError(f"At most {MOST:,} tasks at once.")
    return found


def _statuses(tasks: Sequence[Task]) -> str:
    numbers = Counter(task.status for task in tasks)
    return ", ".join(f"{numbers[one]} {one.label.lower()}" for one in TaskStatus if numbers[one])


def _tasks(number: int) -> str:
    return "1 task was" if number == 1 else f"{number:,} tasks were"


def _back(request: HttpRequest) -> Any:
    """The list with its filters, and nothing else."""
    try:
        return Filters.read(dict(parse_qsl(came_from(request).query))).url()
    except BadQuery:
        return Filters().url()
