"""The dashboard: the list, the form that makes a task, and an address for each thing a person may do to one.

Every POST works twice: a browser without JavaScript is redirected, htmx gets the changed parts of the page.
"""

import re
import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from tasks_app import clock, lifecycle
from tasks_app.exceptions import InvalidTask, TransitionRefused
from tasks_app.models import Task
from tasks_app.pages.filters import BadQuery, suggestions
from tasks_app.pages.forms import CreateForm
from tasks_app.pages.listing import counts, created_part, listing, row
from tasks_app.pages.task import now_part, visible
from tasks_app.pages.viewer import Viewer, anonymous, came_from, check_may_create, failure, for_viewers, is_htmx
from tasks_app.system import kept
from tasks_app.validation import NewTask

VERBS = {
    "cancel": (lifecycle.cancel, "“{}” is cancelled, or will be as soon as it heeds it."),
    "complete": (lifecycle.complete, "“{}” is done."),
    "reopen": (lifecycle.reopen, "“{}” is waiting again."),
}
"""Verb in the address → what does it, and what is said of it."""
TASK_PAGE = re.compile(re.escape(settings.PATH_PREFIX) + r"/dashboard/tasks/[0-9a-f-]{36}/")
SAMPLES = (
    NewTask(title="Fail on purpose: no message", payload={"seconds": 1}),
    NewTask(title="Count to twenty", payload={"message": "Twenty", "seconds": 20}),
    NewTask(title="Say hello", payload={"message": "Hello"}),
)


@require_http_methods(["GET", "HEAD", "POST"])
@for_viewers
def dashboard(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The list and the form. POST makes a task."""
    if request.method == "POST":
        return _create(request, viewer)
    return _dashboard(request, viewer, form=CreateForm())


def _dashboard(request: HttpRequest, viewer: Viewer, *, form: CreateForm, status: int = 200) -> HttpResponse:
    try:
        shown = listing(viewer, request.GET.dict())
    except BadQuery as error:
        return failure(request, 400, str(error))
    if "q" in request.GET:  # what was typed becomes the address
        return redirect(shown.filters.url())
    context = {
        "viewer": viewer, "listing": shown, "counts": counts(viewer, filters=shown.filters), "form": form,
        "create_url": request.build_absolute_uri(f"{settings.PATH_PREFIX}/tasks") if anonymous(request) else "",
        "system": kept.get(now=clock.now()),
    }  # fmt: skip
    only_list = request.headers.get("HX-Target") == "tasks"
    template = "tasks_app/_tasks.html" if only_list else "tasks_app/dashboard.html"
    return render(request, template, context, status=status)


def _create(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    check_may_create(viewer)
    form = CreateForm(request.POST)
    if form.is_valid():
        try:
            task = lifecycle.submit(form.new_task(), owner_id=viewer.user.pk, who=viewer.who)
        except InvalidTask as error:
            form.take_errors(error)
        else:
            return _created(request, viewer, [task], form=CreateForm())
    if is_htmx(request):
        return render(request, "tasks_app/_create_form.html", {"form": form}, status=422)
    return _dashboard(request, viewer, form=form, status=422)


@require_safe
@for_viewers
def suggest(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What may be typed into the filter, from real values."""
    return render(request, "tasks_app/_suggestions.html", {"suggestions": suggestions(viewer)})


@require_safe
@for_viewers
def state(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The state of the system, for pages that stay open."""
    return render(request, "tasks_app/_system.html", {"system": kept.get(now=clock.now()), "oob": True})


@require_POST
@for_viewers
def samples(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Makes three tasks that end differently."""
    check_may_create(viewer)
    made = lifecycle.submit_many(SAMPLES, owner_id=viewer.user.pk, who=viewer.who)
    return _created(request, viewer, list(reversed(made)))


@require_POST
@for_viewers
def change(request: HttpRequest, viewer: Viewer, task_id: uuid.UUID, verb: str) -> HttpResponse:
    """Cancel, complete or reopen, as far as the task's status allows it."""
    if verb not in VERBS:
        raise Http404
    visible(viewer, task_id, "change")
    do, said = VERBS[verb]
    refused = ""
    try:
        task = do(task_id, who=viewer.who)
    except TransitionRefused as error:
        refused, task = error.message, lifecycle.get(task_id)
    if is_htmx(request):
        toast = {"key": "refused", "status": "FAILED", "title": refused, "oob": True}
        text = _part("_toast.html", toast) if refused else ""
        if TASK_PAGE.fullmatch(request.POST.get("next", "")):
            answer = now_part(request, viewer, task_id)
            answer.write(text)
            return answer
        return HttpResponse(_part("_task_row.html", row(viewer, task, oob=True)) + _counts(viewer) + text)
    messages.add_message(request, messages.ERROR if refused else messages.SUCCESS, refused or said.format(task.title))
    return redirect(_back(request))


@require_http_methods(["GET", "HEAD", "POST"])
@for_viewers
def delete(request: HttpRequest, viewer: Viewer, task_id: uuid.UUID) -> HttpResponse:
    """Asks first (GET: a page, or its part for the dialog), then removes the task."""
    task = visible(viewer, task_id, "delete")
    if request.method != "POST":
        context = {"task": task, "viewer": viewer, "back": _back(request)}
        template = "tasks_app/_confirm_delete.html" if is_htmx(request) else "tasks_app/confirm_delete.html"
        return render(request, template, context)
    lifecycle.delete(task.pk, who=viewer.who)
    if is_htmx(request):
        return HttpResponse(_part("_task_gone.html", {"id": task.pk}) + _counts(viewer))
    messages.success(request, f"“{task.title}” was deleted.")
    back = _back(request)
    return redirect(reverse("tasks:dashboard") if str(task_id) in back else back)


@require_safe
def without_slash(request: HttpRequest) -> HttpResponse:
    """`/dashboard`, as people type it."""
    return redirect("tasks:dashboard", permanent=True)


def _created(
    request: HttpRequest, viewer: Viewer, tasks: list[Task], *, form: CreateForm | None = None
) -> HttpResponse:
    if is_htmx(request):
        return created_part(request, viewer, tasks, form=form)
    title = f"“{tasks[0].title}” was created." if len(tasks) == 1 else f"{len(tasks)} tasks were created."
    messages.success(request, title)
    return redirect("tasks:dashboard")


def _counts(viewer: Viewer) -> str:
    return "".join(_part("_count.html", {**count, "oob": True}) for count in counts(viewer))


def _part(name: str, context: dict[str, Any]) -> str:
    return render_to_string(f"tasks_app/{name}", context)


def _back(request: HttpRequest) -> str:
    """The page the person came from, as its form or link says; never a place outside the dashboard."""
    home = reverse("tasks:dashboard")
    asked = came_from(request)
    if TASK_PAGE.fullmatch(asked.path) and not asked.netloc:
        return asked.path
    return f"{home}?{asked.query}" if asked.path == home and asked.query else home
