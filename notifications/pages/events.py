"""The catalogue of event types: what each means, an example and the JSON Schema of its body."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from notifications import catalogue
from notifications.pages.reach import for_webhooks
from tasks_app.pages.viewer import Viewer


@require_safe
@for_webhooks
def event_types(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """All types on one page; an address such as `#task.failed` leads to one."""
    return render(request, "notifications/events.html", {"viewer": viewer, "entries": catalogue.entries()})
