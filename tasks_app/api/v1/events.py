"""The history of one task."""

from typing import Any, TypedDict

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.views import APIView

from tasks_app import keyset
from tasks_app.api.lookup import find_task
from tasks_app.api.representation import moment
from tasks_app.api.v1 import query
from tasks_app.models import TaskEvent

OLDEST_FIRST = keyset.by_number("oldest", "id", descending=False)
NEWEST_FIRST = keyset.by_number("newest", "id", descending=True)
ORDERS = {order.name: order for order in (OLDEST_FIRST, NEWEST_FIRST)}


class EventJSON(TypedDict):
    """One line of the history. `version` is the task's after it; `id` is the cursor that `/ws?since=` takes."""

    id: int
    what: str
    at: str
    status: str
    attempt: int | None
    version: int
    who: str
    why: str
    data: dict[str, Any]


class TaskEvents(APIView):
    """`/api/v1/tasks/{id}/events`."""

    def get(self, request: Request, task_id: str) -> HttpResponse:
        """Lists what happened to the task, oldest first. Staff sees tracebacks too."""
        asked = query.Query(request, {"order", "limit", "cursor"})
        order = asked.one("order", _order, OLDEST_FIRST)
        limit, cursor = asked.limit(), asked.maybe("cursor", str)
        asked.check()
        task = find_task(request, task_id, action="view")
        found = keyset.page([TaskEvent.objects.filter(task_id=task.pk)], order, cursor=cursor, limit=limit)
        staff = bool(request.user.is_staff)
        return query.page_response(request, "events", [_json(event, staff=staff) for event in found.rows], found.next)


def _order(text: str) -> keyset.Order:
    if text not in ORDERS:
        raise ValueError(f"One of: {', '.join(ORDERS)}.")
    return ORDERS[text]


def _json(event: TaskEvent, *, staff: bool) -> EventJSON:
    data = event.data if staff else {name: value for name, value in event.data.items() if name != "traceback"}
    return {
        "id": event.pk, "what": event.what, "at": moment(event.at), "status": event.status, "attempt": event.attempt,
        "version": event.version, "who": event.who, "why": event.why, "data": data,
    }  # fmt: skip
