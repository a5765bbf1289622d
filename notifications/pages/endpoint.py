"""The page of one endpoint: how it fares, why it waits, its keys, its history and its deliveries."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from notifications import access, sealed, secrets, statistics
from notifications.models import Delivery, Endpoint, Replay
from notifications.pages.reach import for_webhooks, seen
from tasks_app import clock, keyset
from tasks_app.pages.viewer import Viewer, failure, is_htmx

PAGE, LINES, REPLAYS = 20, 15, 3
NEWEST = keyset.by_id("deliveries", descending=True)
Status = Delivery.Status


@dataclass(frozen=True, kw_only=True)
class Key:
    """One of the secrets, without its text. `until` is None for the newest."""

    made_at: datetime
    until: datetime | None
    signs: bool


@require_safe
@for_webhooks
def detail(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """The page, or for htmx the part of it that changes while one looks. `?status=` and `?after=` are the deliveries'."""
    endpoint = seen(viewer, endpoint_id)
    try:
        context = page_context(
            viewer, endpoint, status=request.GET.get("status", ""), after=request.GET.get("after", "")
        )
    except keyset.BadCursor:
        return failure(request, 400, "The address of this page is damaged: `after` is no cursor of this list.")
    context["here"] = request.get_full_path()
    if is_htmx(request):
        return render(request, "notifications/_endpoint_now.html", {**context, "oob": True})
    return render(request, "notifications/endpoint.html", context)


def page_context(viewer: Viewer, endpoint: Endpoint, *, status: str = "", after: str = "") -> dict[str, Any]:
    """What the page and its changing part are made of. Raises keyset.BadCursor."""
    now = clock.now()
    address = reverse("webhooks:endpoint", args=[endpoint.pk])
    status = status if status in Status.values else ""
    rows = Delivery.objects.filter(endpoint=endpoint).select_related("event")
    rows = rows.defer("event__body", "event__flat_body", "event__result_body")
    page = keyset.page([rows.filter(status=status) if status else rows], NEWEST, cursor=after or None, limit=PAGE)
    for delivery in page.rows:
        delivery.endpoint = endpoint
    keys, sealed_away = _keys(endpoint, now)
    figures = statistics.of(endpoint, now=now)
    return {
        "viewer": viewer, "endpoint": endpoint, "figures": figures, "keys": keys, "sealed_away": sealed_away,
        "may_change": access.may_change(viewer, endpoint), "may_reveal": access.may_reveal(viewer, endpoint),
        "lines": endpoint.history.all()[:LINES],
        "replays": list(Replay.objects.filter(endpoint=endpoint).order_by("-id")[:REPLAYS]),
        "deliveries": page.rows, "status": status, "after": after, "waits": _waits(endpoint, now),
        "older": f"{address}?{urlencode({**({'status': status} if status else {}), 'after': page.next})}" if page.next else "",
        "filters": [("", "All"), *((one.value, one.label) for one in Status)],
        "since": (endpoint.failing_since or _last_halt(endpoint) or now - timedelta(days=1)),
    }  # fmt: skip


def _keys(endpoint: Endpoint, now: datetime) -> tuple[list[Key], str]:
    """The keys that are kept, newest first; or why they cannot be read."""
    try:
        kept = secrets.read(endpoint)
    except sealed.CannotUnseal as error:
        return [], str(error)
    return [
        Key(
            made_at=datetime.fromisoformat(one.made_at), signs=one.signs(now),
            until=datetime.fromisoformat(one.until) if one.until else None,
        )
        for one in kept
    ], ""  # fmt: skip


def _waits(endpoint: Endpoint, now: datetime) -> bool:
    return endpoint.not_before is not None and endpoint.not_before > now


def _last_halt(endpoint: Endpoint) -> datetime | None:
    return None if endpoint.state == Endpoint.State.ENABLED else endpoint.state_changed_at
