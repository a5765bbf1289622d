"""The list of endpoints, and the forms that make, change and delete one."""

import uuid
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from notifications import access, endpoints, statistics
from notifications.endpoints import EndpointRefused, InvalidEndpoint
from notifications.models import Endpoint
from notifications.pages import endpoint_form
from notifications.pages.endpoint_form import Form
from notifications.pages.reach import changeable, check_may_create, for_webhooks, typed
from tasks_app import clock, keyset
from tasks_app.pages.viewer import Viewer, failure, is_htmx

PAGE = 20
NEWEST = keyset.by_id("endpoints", descending=True)


@require_safe
def without_slash(request: HttpRequest) -> HttpResponse:
    """`/dashboard/webhooks`, as people type it."""
    return redirect("webhooks:endpoints", permanent=True)


@require_safe
@for_webhooks
def endpoint_list(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """How every endpoint fares, newest first; for htmx only what changes."""
    rows = access.endpoints_of(viewer).select_related("owner")
    after = request.GET.get("after", "")
    try:
        page = keyset.page([rows], NEWEST, cursor=after or None, limit=PAGE)
    except keyset.BadCursor:
        return failure(request, 400, "The address of this page is damaged: `after` is no cursor of this list.")
    now = clock.now()
    context: dict[str, Any] = {
        "viewer": viewer, "rows": [(row, statistics.of(row, now=now)) for row in page.rows], "after": after,
        "older": page.next, "may_create": access.may_create(viewer), "sees_all": access.may_any(viewer, "view"),
        "here": request.get_full_path(),
    }  # fmt: skip
    if is_htmx(request):
        return render(request, "notifications/_endpoints.html", {**context, "oob": True})
    return render(request, "notifications/endpoints.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_webhooks
def new(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The form. POST makes an endpoint; its secret is in that one answer."""
    check_may_create(viewer)
    if request.method != "POST":
        return _form(request, viewer, endpoint_form.empty())
    given, form = endpoint_form.read(typed(request), request.POST.getlist("event"), is_new=True)
    if form.errors:
        return _form(request, viewer, form)
    try:
        endpoint, secret = endpoints.create(viewer.user.pk, given, who=viewer.who)
    except (InvalidEndpoint, EndpointRefused) as error:
        return _form(request, viewer, _refused(form, error))
    return show_secrets(request, viewer, endpoint, [{"secret": secret}], title="The endpoint is ready", status=201)


@require_http_methods(["GET", "HEAD", "POST"])
@for_webhooks
def edit(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """The form as the endpoint stands. Another host asks once more before the stored headers are dropped."""
    endpoint = changeable(viewer, endpoint_id)
    if request.method != "POST":
        return _form(request, viewer, endpoint_form.of(endpoint), endpoint)
    given, form = endpoint_form.read(typed(request), request.POST.getlist("event"), is_new=False)
    if form.errors:
        return _form(request, viewer, form, endpoint)
    wanted = endpoint_form.changed(endpoint, given)
    try:
        if wanted:
            endpoints.change(endpoint.pk, wanted, who=viewer.who, new_host="new_host" in request.POST)
    except (InvalidEndpoint, EndpointRefused) as error:
        return _form(request, viewer, _refused(form, error), endpoint)
    messages.success(request, "The endpoint was changed." if wanted else "Nothing was changed.")
    return redirect("webhooks:endpoint", endpoint_id=endpoint.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@for_webhooks
def delete(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """Asks first, then ends it."""
    endpoint = changeable(viewer, endpoint_id)
    if request.method != "POST":
        context = {"viewer": viewer, "endpoint": endpoint, "figures": statistics.of(endpoint)}
        return render(request, "notifications/confirm_delete.html", context)
    endpoints.delete(endpoint.pk, who=viewer.who)
    messages.success(request, "The endpoint was deleted.")
    return redirect("webhooks:endpoints")


def show_secrets(
    request: HttpRequest, viewer: Viewer, endpoint: Endpoint, found: list[dict[str, Any]], *, title: str, status: int = 200
) -> HttpResponse:  # fmt: skip
    """The one page that has secrets in it. `found`: secret, and until where it is not the newest."""
    context = {"viewer": viewer, "endpoint": endpoint, "secrets": found, "title": title, "is_new": status == 201}
    return render(request, "notifications/secret.html", context, status=status)


def _refused(form: Form, error: InvalidEndpoint | EndpointRefused) -> Form:
    if isinstance(error, InvalidEndpoint):
        return replace(form, errors=error.problems)
    if error.code == "new_host":
        sentence = "This is another host, which must not get the stored headers. Type them anew, or let them go."
        return replace(form, refusal=sentence, new_host=True)
    return replace(form, refusal=str(error))


def _form(request: HttpRequest, viewer: Viewer, form: Form, endpoint: Endpoint | None = None) -> HttpResponse:
    back = reverse("webhooks:endpoint", args=[endpoint.pk]) if endpoint else reverse("webhooks:endpoints")
    beside = {*endpoint_form.TEXTS, "event_types", "include_result"}
    context = {
        "viewer": viewer, "form": form, "endpoint": endpoint, "back": back,
        "rest": [text for name, text in form.errors.items() if name not in beside],
    }  # fmt: skip
    status = 422 if form.errors or form.refusal else 200
    return render(request, "notifications/endpoint_form.html", context, status=status)
