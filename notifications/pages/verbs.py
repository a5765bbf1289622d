"""What a person does to an endpoint on its page. Every view here is a POST; the domain's verbs write who did it."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from notifications import access, deliveries, endpoints, replays
from notifications.endpoints import EndpointRefused, InvalidEndpoint
from notifications.models import Delivery, Endpoint, Replay
from notifications.pages.endpoint_list import show_secrets
from notifications.pages.reach import changeable, for_webhooks, moment, reason
from tasks_app.pages.viewer import Viewer, failure

MOST_AT_ONCE = 100
OVERLAPS = {"86400": "a day", "3600": "an hour", "604800": "a week", "0": "not at all"}


@require_POST
@for_webhooks
def pause(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """From now on its events are held."""
    return _do(request, viewer, endpoint_id, endpoints.pause, "It is paused: its events are held until you enable it.")


@require_POST
@for_webhooks
def enable(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """Sends again; `force` does so without a test that was taken."""
    forced = "force" in request.POST
    said = "It is enabled. What was held meanwhile stays held until you recover it."
    return _do(request, viewer, endpoint_id, lambda key, who: endpoints.enable(key, who=who, force=forced), said)


@require_POST
@for_webhooks
def test(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """Sends a ping, and shows its delivery."""
    endpoint = changeable(viewer, endpoint_id)
    delivery = endpoints.test(endpoint.pk, who=viewer.who)
    messages.success(request, "A test is on its way.")
    return redirect("webhooks:delivery", delivery_id=delivery.pk)


@require_POST
@for_webhooks
def revoke_old(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """Only the newest secret signs from now on."""
    return _do(request, viewer, endpoint_id, endpoints.revoke_old, "Only the newest secret signs from now on.")


@require_POST
@for_webhooks
def rotate(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """A new secret, in this one answer."""
    endpoint = changeable(viewer, endpoint_id)
    overlap = request.POST.get("overlap", "86400")
    if overlap not in OVERLAPS:
        return failure(request, 400, "The old secret goes on for a day, an hour, a week or not at all.")
    try:
        endpoint, secret = endpoints.rotate(endpoint.pk, who=viewer.who, overlap_seconds=int(overlap))
    except (InvalidEndpoint, EndpointRefused) as error:
        return _back(request, endpoint, refused=str(error))
    return show_secrets(request, viewer, endpoint, [{"secret": secret}], title="The new secret")


@require_POST
@for_webhooks
def reveal(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """All secrets that are kept; the history says who looked."""
    endpoint = changeable(viewer, endpoint_id)
    if not access.may_reveal(viewer, endpoint):
        raise PermissionDenied("Only its owner may see the secret. You may rotate it.")
    try:
        found = endpoints.reveal(endpoint.pk, who=viewer.who)
    except EndpointRefused as error:
        return _back(request, endpoint, refused=str(error))
    shown: list[dict[str, Any]] = [
        {"secret": kept.secret, "until": datetime.fromisoformat(kept.until) if kept.until else None} for kept in found
    ]
    return show_secrets(request, viewer, endpoint, shown, title="The secrets" if len(shown) > 1 else "The secret")


@require_POST
@for_webhooks
def recover(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """Says how many deliveries it would be; confirmed, sends them again in the background."""
    endpoint = changeable(viewer, endpoint_id)
    which, since = request.POST.getlist("which"), moment(request.POST.get("since", ""))
    if since is None:
        return _back(request, endpoint, refused="Since when? A time such as 2026-01-31 14:00, in UTC.")
    try:
        if "confirm" in request.POST:
            replay = replays.start(endpoint.pk, which=which, since=since, who=viewer.who)
            return _back(request, endpoint, done=f"{_number(replay.total)} set going, a few at a time.")
        number = replays.count(endpoint.pk, which=which, since=since)
    except InvalidEndpoint:
        return _back(request, endpoint, refused="Choose what to send again: what was held back, what failed, or both.")
    except EndpointRefused as error:
        return _back(request, endpoint, refused=str(error))
    context = {
        "viewer": viewer, "endpoint": endpoint, "number": number, "most": replays.MOST, "which": which, "since": since,
        "words": ", or ".join(Replay.Which(one).label.lower() for one in dict.fromkeys(which)),
    }  # fmt: skip
    return render(request, "notifications/confirm_recover.html", context)


@require_POST
@for_webhooks
def cancel_replay(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID, replay_id: uuid.UUID) -> HttpResponse:
    """Sets no more going."""
    endpoint = changeable(viewer, endpoint_id)
    if not Replay.objects.filter(pk=replay_id, endpoint=endpoint).exists():
        return failure(request, 404, "There is no such replay.")
    if replays.cancel(replay_id):
        return _back(request, endpoint, done="It is stopped. What was set going already is still sent.")
    return _back(request, endpoint, refused="It had ended already.")


@require_POST
@for_webhooks
def resend(request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID) -> HttpResponse:
    """Sends the picked deliveries again."""
    endpoint = changeable(viewer, endpoint_id)
    try:
        picked = list(dict.fromkeys(uuid.UUID(text) for text in request.POST.getlist("id")))
    except ValueError:
        return failure(request, 400, "This form is damaged. Nothing was changed.")
    if not picked:
        return _back(request, endpoint, refused="Pick some deliveries first.")
    if len(picked) > MOST_AT_ONCE:
        return failure(request, 400, f"At most {MOST_AT_ONCE} at once; recover sends more.")
    own = Delivery.objects.filter(endpoint=endpoint, pk__in=picked).order_by("pk").values_list("pk", flat=True)
    sent = sum(deliveries.replay(key, who=viewer.who, why=reason(request)) for key in list(own))
    rest = f" {len(picked) - sent} not: being sent right now, or gone." if sent < len(picked) else ""
    return _back(request, endpoint, **{"done" if sent else "refused": f"{_number(sent)} sent again in a moment.{rest}"})


def _do(
    request: HttpRequest, viewer: Viewer, endpoint_id: uuid.UUID, verb: Callable[..., object], said: str
) -> HttpResponse:
    endpoint = changeable(viewer, endpoint_id)
    try:
        verb(endpoint.pk, who=viewer.who)
    except EndpointRefused as error:
        sentence = str(error)
        if error.code == "test_needed":
            sentence = "It was disabled. Send a test first; once that is taken it can be enabled. Or enable it anyway."
        return _back(request, endpoint, refused=sentence)
    return _back(request, endpoint, done=said)


def _back(request: HttpRequest, endpoint: Endpoint, *, done: str = "", refused: str = "") -> HttpResponse:
    messages.add_message(request, messages.ERROR if refused else messages.SUCCESS, refused or done)
    return redirect("webhooks:endpoint", endpoint_id=endpoint.pk)


def _number(count: int) -> str:
    return "1 delivery is" if count == 1 else f"{count:,} deliveries are"
