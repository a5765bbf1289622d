"""The page of one task: how it stands, what happened, what may be done, and running it again."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from tasks_app import clock, lifecycle
from tasks_app.exceptions import InvalidTask, TaskNotFound
from tasks_app.models import Task
from tasks_app.pages.actions import actions
from tasks_app.pages.json_text import Misread, read_object
from tasks_app.pages.story import story
from tasks_app.pages.viewer import Viewer, anonymous, check_may_create, for_viewers, is_htmx
from tasks_app.pages.waiting import reasons
from tasks_app.pages.watching import is_watched, set_watched
from tasks_app.system import kept
from tasks_app.templatetags.task_json import MOST_CHARACTERS, pretty


@require_GET
@for_viewers
def detail(request: HttpRequest, viewer: Viewer, task_id: uuid.UUID) -> HttpResponse:
    """The page, or for htmx the part of it that changes while one looks."""
    if is_htmx(request):
        return now_part(request, viewer, task_id)
    return _page(request, viewer, visible(viewer, task_id, "view"))


@require_POST
@for_viewers
def rerun(request: HttpRequest, viewer: Viewer, task_id: uuid.UUID) -> HttpResponse:
    """Makes a new task like this one; the payload may be another."""
    task = visible(viewer, task_id, "view")
    check_may_create(viewer)
    typed = request.POST.get("payload")
    if typed is not None:
        typed = typed.replace("\r\n", "\n")  # what forms make of line ends; the cursor counts one
    payload = read_object(typed) if typed is not None else None
    if isinstance(payload, Misread):
        return _page(request, viewer, task, typed=typed, misread=payload)
    if typed is not None and payload is None and task.payload is not None:
        empty = Misread(sentence="Type {} for a payload without anything in it.", position=0)
        return _page(request, viewer, task, typed=typed, misread=empty)
    try:
        made = lifecycle.rerun(task.pk, who=viewer.who, owner_id=viewer.user.pk, payload=payload)
    except InvalidTask as error:
        sentence = " ".join(f"{path.removeprefix('payload.')}: {text}" for path, text in error.errors.items())
        return _page(request, viewer, task, typed=typed, misread=Misread(sentence=sentence, position=0))
    messages.success(request, f"This is the new task, made from “{task.title}”.")
    return redirect("tasks:detail", task_id=made.pk)


@require_POST
@for_viewers
def watch(request: HttpRequest, viewer: Viewer, task_id: uuid.UUID, *, is_on: bool) -> HttpResponse:
    """Toasts of this task, or no longer. Whoever may see it may watch it."""
    set_watched(viewer, visible(viewer, task_id, "view"), is_on=is_on)
    if is_htmx(request):
        return now_part(request, viewer, task_id)
    messages.success(request, "You are told of this task now." if is_on else "You are no longer told of this task.")
    return redirect("tasks:detail", task_id=task_id)


def now_part(request: HttpRequest, viewer: Viewer, task_id: uuid.UUID) -> HttpResponse:
    """What htmx and the socket's word make the page show anew; of a task that is gone, that it is gone."""
    try:
        task = visible(viewer, task_id, "view")
    except TaskNotFound:
        return render(request, "tasks_app/_task_missing.html")
    return render(request, "tasks_app/_task_now.html", {**_context(viewer, task), "oob": True})


def visible(viewer: Viewer, task_id: uuid.UUID, action: str) -> Task:
    """One that may not be seen does not exist; one that may be seen may still be refused."""
    task = viewer.tasks().select_related("owner").filter(pk=task_id).first()
    if task is None:
        raise TaskNotFound
    if not viewer.may(action, task):
        raise PermissionDenied(f"You may see this task, but not {action} it.")
    return task


def _context(viewer: Viewer, task: Task) -> dict[str, Any]:
    now = clock.now()
    return {
        "task": task, "viewer": viewer, "actions": actions(viewer, task), "may_change": viewer.may("change", task),
        "is_watched": is_watched(viewer, task), "reasons": reasons(task, now=now),
        "result": pretty(task.result) if task.result is not None else "",
        "story": story(task, for_staff=viewer.user.is_staff, now=now),
    }  # fmt: skip


def _page(
    request: HttpRequest, viewer: Viewer, task: Task, *, typed: str | None = None, misread: Misread | None = None
) -> HttpResponse:
    text = pretty(task.payload) if task.payload is not None else ""
    # A payload too long for a page would be cut by the textarea's reader, not by us: it is run again as it is.
    may_edit = len(text) <= MOST_CHARACTERS
    context = {
        **_context(viewer, task), "typed": text if typed is None else typed, "misread": misread, "may_edit": may_edit,
        "create_url": request.build_absolute_uri(f"{settings.PATH_PREFIX}/tasks"), "needs_token": anonymous(request) is None,
        "system": kept.get(now=clock.now()),
        "blocks": [
            {"name": name, "text": pretty(value)}
            for name, value in (("Payload", task.payload), ("Metadata", task.metadata or None))
            if value is not None
        ],
    }  # fmt: skip
    return render(request, "tasks_app/task.html", context, status=422 if misread else 200)
