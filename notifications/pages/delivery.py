"""The page of one delivery: every attempt, why the next is when it is, what is sent, and sending it by hand."""

import json
import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from notifications import access, breaker, deliveries, sealed, wire
from notifications.models import Delivery, Endpoint
from notifications.pages.reach import for_webhooks, reason, seen_delivery
from tasks_app import clock
from tasks_app.pages.viewer import Viewer, is_htmx

MOST_ATTEMPTS = 50
Status, State = Delivery.Status, Endpoint.State


@require_safe
@for_webhooks
def detail(request: HttpRequest, viewer: Viewer, delivery_id: uuid.UUID) -> HttpResponse:
    """The page, or for htmx the part of it that changes while one looks."""
    delivery = seen_delivery(viewer, delivery_id)
    now = clock.now()
    attempts = list(delivery.attempt_log.order_by("-number")[:MOST_ATTEMPTS])
    sends = access.may_send(viewer, delivery)
    context: dict[str, Any] = {
        "viewer": viewer, "delivery": delivery, "attempts": list(reversed(attempts)),
        "skipped": delivery.attempts - len(attempts), "why": why(delivery, now), "may_send": sends,
        "may_cancel": sends and delivery.status in (Status.PENDING, Status.HELD),
        "sees_url": access.sees_url(viewer, delivery), "opens_endpoint": _opens_endpoint(viewer, delivery),
        "opens_task": delivery.event.task_id and viewer.tasks().filter(pk=delivery.event.task_id).exists(),
        "here": request.get_full_path(),
    }  # fmt: skip
    if is_htmx(request):
        return render(request, "notifications/_delivery_now.html", {**context, "oob": True})
    return render(request, "notifications/delivery.html", {**context, **_content(viewer, delivery, sends=sends)})


@require_POST
@for_webhooks
def replay(request: HttpRequest, viewer: Viewer, delivery_id: uuid.UUID) -> HttpResponse:
    """Sends it again, from the start of its schedule. Who and why stay in the log of attempts."""
    delivery = _sendable(viewer, delivery_id)
    done = deliveries.replay(delivery.pk, who=viewer.who, why=reason(request))
    return _back(request, delivery, done, "It is sent again in a moment.", "It is being sent right now.")


@require_POST
@for_webhooks
def cancel(request: HttpRequest, viewer: Viewer, delivery_id: uuid.UUID) -> HttpResponse:
    """Gives up one that waits or is held."""
    delivery = _sendable(viewer, delivery_id)
    done = deliveries.cancel(delivery.pk, who=viewer.who)
    return _back(request, delivery, done, "It is cancelled.", "It is being sent right now, or has ended.")


def why(delivery: Delivery, now: datetime) -> list[str]:
    """Why it is not there yet, and why the next attempt is when it is. Nothing once it has ended."""
    endpoint = delivery.endpoint
    if delivery.status == Status.HELD:
        said = f"The endpoint is {endpoint.state}" + (f": {endpoint.state_reason}" if endpoint.state_reason else ".")
        if endpoint.state == State.ENABLED:
            return ["It was held while the endpoint was not told of anything. Send it again, or recover it."]
        return [said, "It is kept. Enable the endpoint, then recover what was held."]
    if delivery.status == Status.SENDING and delivery.lease_expires_at:
        if delivery.lease_expires_at < now:
            return ["The sender was lost during the request. The next sweep gives it another try."]
        return [f"A request is under way; it has {settings.WEBHOOK_DEADLINE_SECONDS} s in all."]
    if delivery.status != Status.PENDING or delivery.next_attempt_at is None:
        return []
    found = [f"{delivery.reason.rstrip('.')}."] if delivery.reason else []
    made = delivery.attempts - delivery.attempts_uncounted
    every = len(settings.WEBHOOK_RETRY_SECONDS) + 1
    if made:
        found.append(f"The next is attempt {made + 1} of {every} of the schedule, which waits longer each time.")
    if endpoint.not_before and endpoint.not_before > now and endpoint.not_before_reason != delivery.reason:
        found.append(f"The whole endpoint waits: {endpoint.not_before_reason}.")
    elif endpoint.breaker(now) == "half-open":
        found.append("The breaker is half-open: one request at a time shows whether the endpoint works again.")
    elif delivery.next_attempt_at <= now:
        most = breaker.most_in_flight(endpoint)
        requests = "one request" if most == 1 else f"{most} requests"
        found.append(f"It is due: it goes out in a moment. The endpoint gets {requests} at a time.")
    found.append(f"It is given up at {delivery.expires_at:%Y-%m-%d %H:%M} UTC.")
    return found


def _content(viewer: Viewer, delivery: Delivery, *, sends: bool) -> dict[str, Any]:
    """The body for eyes, and the request as a command for who may send it anyway."""
    body = wire.body_of(delivery).decode()
    try:
        value = json.loads(body) if body else None
    except ValueError:
        value = body
    curl = no_curl = ""
    if sends and access.sees_url(viewer, delivery):
        try:
            curl = wire.curl_line(delivery)
        except (ValueError, sealed.CannotUnseal) as error:
            no_curl = str(error)
    return {"body": value, "no_body": wire.NO_BODY, "curl": curl, "no_curl": no_curl}


def _opens_endpoint(viewer: Viewer, delivery: Delivery) -> bool:
    return access.endpoints_of(viewer).filter(pk=delivery.endpoint_id).exists()


def _sendable(viewer: Viewer, delivery_id: uuid.UUID) -> Delivery:
    delivery = seen_delivery(viewer, delivery_id)
    if not access.may_send(viewer, delivery):
        raise PermissionDenied("You may see this delivery, but not send or cancel it.")
    return delivery


def _back(request: HttpRequest, delivery: Delivery, done: bool, said: str, refused: str) -> HttpResponse:
    messages.add_message(request, messages.SUCCESS if done else messages.ERROR, said if done else refused)
    return redirect("webhooks:delivery", delivery_id=delivery.pk)
