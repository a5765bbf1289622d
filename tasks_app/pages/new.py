"""The page that makes a task of any kind: a form from the kind's JSON Schema, or its payload as raw JSON."""

from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from tasks_app import handlers, lifecycle
from tasks_app.exceptions import InvalidTask
from tasks_app.pages import payload_form
from tasks_app.pages.forms import CreateForm
from tasks_app.pages.json_text import Misread, read_object
from tasks_app.pages.listing import created_part
from tasks_app.pages.viewer import Viewer, check_may_create, failure, for_viewers, is_htmx
from tasks_app.templatetags.task_json import pretty
from tasks_app.validation import DEFAULT_KIND, NewTask

OWN_FIELDS = ("title", "run_at", "priority", "tags")


@require_http_methods(["GET", "HEAD", "POST"])
@for_viewers
def new_task(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """`?kind=` chooses the form, `?as=json` the raw one."""
    check_may_create(viewer)
    handler = handlers.get(request.GET.get("kind", "") or DEFAULT_KIND)
    if handler is None:
        return failure(request, 404, f"There is no such kind here. There are: {', '.join(handlers.kinds())}.")
    as_json = request.GET.get("as") == "json"
    if request.method != "POST":
        return _page(request, viewer, handler, as_json=as_json)
    typed = {name: value.replace("\r\n", "\n") for name, value in request.POST.dict().items() if isinstance(value, str)}
    errors: dict[str, str] = {}
    misread: Misread | None = None
    payload: dict[str, Any] | None
    if as_json:
        found = read_object(typed.get("payload", ""))
        misread, payload = (found, None) if isinstance(found, Misread) else (None, found)
    else:
        payload, errors = payload_form.read(handler, typed)
        payload = payload or None
    new = _read(typed, handler.kind, payload, errors)
    if not errors and misread is None:
        try:
            task = lifecycle.submit(new, owner_id=viewer.user.pk, who=viewer.who)
        except InvalidTask as error:
            errors = dict(error.errors)
        else:
            if is_htmx(request):
                return created_part(request, viewer, [task], form=CreateForm())
            messages.success(request, f"“{task.title}” was created.")
            return redirect("tasks:detail", task_id=task.pk)
    return _page(request, viewer, handler, as_json=as_json, typed=typed, errors=errors, misread=misread)


def _read(typed: dict[str, str], kind: str, payload: dict[str, Any] | None, errors: dict[str, str]) -> NewTask:
    """Notes in `errors` what cannot be read; what the values may be is the domain's to say."""
    run_at, priority = None, 0
    if text := typed.get("run_at", "").strip():
        try:
            run_at = datetime.fromisoformat(text)
            run_at = run_at.astimezone(timezone.utc) if run_at.tzinfo else run_at.replace(tzinfo=timezone.utc)
        except (ValueError, OverflowError):
            errors["run_at"] = "A time such as 2026-01-31 14:00, in UTC."
    if text := typed.get("priority", "").strip():
        try:
            priority = int(text[:10])
        except ValueError:
            errors["priority"] = "A whole number from -100 to 100."
    tags = [tag.strip() for tag in typed.get("tags", "").split(",") if tag.strip()]
    return NewTask(
        title=typed.get("title", "").strip(), kind=kind, payload=payload, run_at=run_at, priority=priority, tags=tags
    )


def _page(
    request: HttpRequest, viewer: Viewer, handler: handlers.Handler, *, as_json: bool,
    typed: dict[str, str] | None = None, errors: dict[str, str] | None = None, misread: Misread | None = None,
) -> HttpResponse:  # fmt: skip
    errors = errors or {}
    example = pretty(dict(handler.example)) if handler.example else "{\n}"
    known = payload_form.fields(handler, typed, errors)
    beside = {f"payload.{field.name}" for field in known} if not as_json else set()
    rest = [
        f"{path.removeprefix('payload.')}: {text}"
        for path, text in errors.items()
        if path not in OWN_FIELDS and not any(path == name or path.startswith(f"{name}.") for name in beside)
    ]
    context = {
        "viewer": viewer, "kind": handler.kind, "kind_quoted": quote(handler.kind), "in_place": is_htmx(request),
        "description": handler.description.split("\n\n")[0],
        "kinds": handlers.kinds(), "as_json": as_json, "fields": known, "example": example,
        "typed": typed or {}, "errors": errors, "misread": misread, "rest": rest,
        "payload_text": (typed or {}).get("payload", example),
    }  # fmt: skip
    template = "tasks_app/_new_form.html" if is_htmx(request) else "tasks_app/new.html"
    return render(request, template, context, status=422 if errors or misread else 200)
