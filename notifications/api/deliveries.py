"""The webhook deliveries of one task: whom it was told to, and why each stands where it stands."""

import uuid
from datetime import datetime, timezone
from typing import Any, TypedDict, cast

from django.http import HttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from notifications.models import Delivery
from tasks_app import keyset
from tasks_app.access import Access
from tasks_app.exceptions import TaskNotFound

PAGE, MOST = 50, 200
NEWEST = keyset.by_id("newest", descending=True)


class DeliveryJSON(TypedDict):
    """One event for one receiver. `url` is null where it is the operator's own and not the reader's to see."""

    id: str
    event_id: str
    type: str
    sequence: int
    receiver: str
    url: str | None
    status: str
    attempts: int
    reason: str
    created_at: str
    next_attempt_at: str | None
    expires_at: str
    finished_at: str | None


class TaskDeliveries(APIView):
    """`/api/v1/tasks/{id}/deliveries`. Needs `tasks:read`, as the task itself does."""

    def get(self, request: Request, task_id: str) -> Response | HttpResponse:
        """Lists the webhook deliveries of the task, newest first."""
        limit, cursor = _parameters(request)
        access: Access = cast(Any, request.auth)
        task = access.tasks().filter(pk=_id(task_id)).first()
        if task is None:
            raise TaskNotFound
        rows = Delivery.objects.filter(event__task_id=task.pk).select_related("event", "endpoint")
        found = keyset.page([rows], NEWEST, cursor=cursor, limit=limit)
        sees_all = access.user.has_perm("notifications.view_delivery")
        following = keyset.next_url(request, found.next)
        headers = {"Link": f'<{following}>; rel="next"'} if following else None
        items = [_json(delivery, sees_all=sees_all) for delivery in found.rows]
        return Response({"deliveries": items, "next": following}, headers=headers)


def _parameters(request: Request) -> tuple[int, str | None]:
    if unknown := set(request.query_params) - {"limit", "cursor"}:
        raise ValidationError({name[:100]: "There is no such parameter. There are: cursor, limit." for name in unknown})
    text = request.query_params.get("limit", str(PAGE))
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MOST):
        raise ValidationError({"limit": f"A whole number from 1 to {MOST}."})
    return int(text), request.query_params.get("cursor")


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise TaskNotFound from None


def _json(delivery: Delivery, *, sees_all: bool) -> DeliveryJSON:
    own = sees_all or delivery.receiver != "default"
    return {
        "id": str(delivery.pk), "event_id": delivery.event.webhook_id, "type": delivery.event.type,
        "sequence": delivery.event.sequence, "receiver": delivery.receiver, "url": delivery.url if own else None,
        "status": delivery.status, "attempts": delivery.attempts, "reason": delivery.reason,
        "created_at": _moment(delivery.created_at), "next_attempt_at": _maybe(delivery.next_attempt_at),
        "expires_at": _moment(delivery.expires_at), "finished_at": _maybe(delivery.finished_at),
    }  # fmt: skip


def _moment(value: datetime) -> str:
    return value.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _maybe(value: datetime | None) -> str | None:
    return _moment(value) if value else None
