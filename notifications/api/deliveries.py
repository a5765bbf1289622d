"""`/api/v1/webhooks/deliveries`: what was, is and will be sent."""

import json

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.views import APIView

from notifications import access, deliveries, outbox, sealed, wire
from notifications.api import export, representation
from notifications.api.base import IdsFields, Refused, WebhookView, found, given, id_of, paging, private
from notifications.fields import EVENT_TYPES
from notifications.models import Delivery
from tasks_app import keyset
from tasks_app.access import Access
from tasks_app.api.lookup import access_of, find_task
from tasks_app.api.renderers import json_response
from tasks_app.api.v1.query import Query, moment, page_response
from tasks_app.api.v1.shapes import EmptyFields, ReasonFields
from tasks_app.idempotency import idempotent

OLDEST_FIRST = keyset.by_number("oldest", "id", descending=False)
FILTERS = {"endpoint", "type", "status", "task", "since", "until"}
BUSY = "It is being sent right now. Wait for the attempt to end."


class TaskDeliveries(APIView):
    """`/api/v1/tasks/{id}/deliveries`: who is told of one task, for whoever may see it. Of the scope `tasks`."""

    def get(self, request: Request, task_id: str) -> HttpResponse:
        """Lists the webhook deliveries of the task, newest first."""
        limit, cursor = paging(request)
        task = find_task(request, task_id, action="view")
        return _page(request, outbox.of_task(task.pk), limit=limit, cursor=cursor)


class DeliveryList(WebhookView):
    """`/api/v1/webhooks/deliveries`."""

    def get(self, request: Request) -> HttpResponse:
        """Lists the deliveries to your endpoints and of your tasks, newest first."""
        query = Query(request, FILTERS | {"limit", "cursor"})
        limit, cursor = query.limit(), query.maybe("cursor", str)
        rows = _filtered(request, query)
        return _page(request, rows, limit=limit, cursor=cursor)


class DeliveryExport(WebhookView):
    """`…/export`."""

    def get(self, request: Request) -> StreamingHttpResponse:
        """All deliveries that the filters match with their attempts, newest first, one JSON object a line."""
        rows = _filtered(request, Query(request, FILTERS))
        return export.answer(request._request, rows, access_of(request))


class DeliveryRetryMany(WebhookView):
    """`…/retry`."""

    @idempotent
    def post(self, request: Request) -> HttpResponse:
        """Sends up to 1,000 deliveries again. Says of each what came of it: `retried`, `busy`, `not_found`, `forbidden`."""
        who, ids = access_of(request), given(IdsFields(data=request.data))["ids"]
        rows = access.deliveries_of(who).defer(*export.BODIES).filter(pk__in=ids).in_bulk()
        results = [{"id": str(key), "result": _retry(who, rows.get(key))} for key in dict.fromkeys(ids)]
        return json_response({"results": results}, status=202)


class DeliveryDetail(WebhookView):
    """`/api/v1/webhooks/deliveries/{delivery_id}`."""

    def get(self, request: Request, delivery_id: str) -> HttpResponse:
        """Reads a delivery with its body, as it is sent; null once it is no longer kept."""
        Query(request, set()).check()
        delivery = _seen(request, delivery_id)
        body = wire.body_of(delivery)
        said = representation.delivery_json(delivery, access_of(request))
        return json_response({**said, "body": json.loads(body) if body else None})


class DeliveryAttempts(WebhookView):
    """`…/attempts`."""

    def get(self, request: Request, delivery_id: str) -> HttpResponse:
        """Lists the requests made, oldest first, with the time of each phase. Addresses are for staff."""
        limit, cursor = paging(request)
        who, delivery = access_of(request), _seen(request, delivery_id)
        page = keyset.page([delivery.attempt_log.all()], OLDEST_FIRST, cursor=cursor, limit=limit)
        attempts = [representation.attempt_json(row, delivery, who) for row in page.rows]
        return page_response(request, "attempts", attempts, page.next)


class DeliveryRetry(WebhookView):
    """`…/retry`."""

    @idempotent
    def post(self, request: Request, delivery_id: str) -> HttpResponse:
        """Sends it again from the start of its schedule; one that waits is only brought forward."""
        delivery = _changed(request, delivery_id)
        why = ReasonFields(data=request.data).reason_text()
        if not deliveries.replay(delivery.pk, who=access_of(request).who, why=why):
            raise Refused(BUSY, code="delivery_refused")
        return json_response(representation.delivery_json(_seen(request, delivery_id), access_of(request)), status=202)


class DeliveryCancel(WebhookView):
    """`…/cancel`."""

    @idempotent
    def post(self, request: Request, delivery_id: str) -> HttpResponse:
        """Gives up a delivery that waits or is held."""
        delivery = _changed(request, delivery_id)
        given(EmptyFields(data=request.data))
        if not deliveries.cancel(delivery.pk, who=access_of(request).who):
            raise Refused("Only what waits or is held can be cancelled.", code="delivery_refused")
        return json_response(representation.delivery_json(_seen(request, delivery_id), access_of(request)))


class DeliveryCurl(WebhookView):
    """`…/curl`."""

    def get(self, request: Request, delivery_id: str) -> HttpResponse:
        """The request as a command, signed for this moment. The secret is not in it, and the signature is good for 5 minutes."""
        Query(request, set()).check()
        delivery = _changed(request, delivery_id)
        if not access.sees_url(access_of(request), delivery):
            raise PermissionDenied("The address is the operator's own.")
        try:
            return private(json_response({"curl": wire.curl_line(delivery)}))
        except (ValueError, sealed.CannotUnseal) as error:
            raise Refused(str(error), code="delivery_refused") from None


def _filtered(request: Request, query: Query) -> QuerySet[Delivery]:
    rows = access.deliveries_of(access_of(request))
    wanted = {
        "endpoint_id": query.maybe("endpoint", id_of), "event__task_id": query.maybe("task", id_of),
        "created_at__gte": query.maybe("since", moment), "created_at__lt": query.maybe("until", moment),
    }  # fmt: skip
    several = {
        "status__in": query.several("status", Delivery.Status.values), "event__type__in": query.several("type", EVENT_TYPES),
    }  # fmt: skip
    query.check()
    return rows.filter(**{name: value for name, value in {**wanted, **several}.items() if value})


def _page(request: Request, rows: QuerySet[Delivery], *, limit: int, cursor: str | None) -> HttpResponse:
    page = keyset.page([rows.defer(*export.BODIES)], export.NEWEST, cursor=cursor, limit=limit)
    items = [representation.delivery_json(delivery, access_of(request)) for delivery in page.rows]
    return page_response(request, "deliveries", items, page.next)


def _retry(who: Access, delivery: Delivery | None) -> str:
    if delivery is None:
        return "not_found"
    if not access.may_send(who, delivery):
        return "forbidden"
    return "retried" if deliveries.replay(delivery.pk, who=who.who) else "busy"


def _seen(request: Request, text: str) -> Delivery:
    return found(access.deliveries_of(access_of(request)), text, "delivery")


def _changed(request: Request, text: str) -> Delivery:
    delivery = _seen(request, text)
    if not access.may_send(access_of(request), delivery):
        raise PermissionDenied("You may see this delivery, but not change it.")
    return delivery
