"""`/metrics`, for Prometheus."""

from django.http import HttpResponse
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from notifications import metrics
from notifications.api.base import WebhookView
from tasks_app.api.lookup import access_of
from tasks_app.api.v1.query import Query


class Metrics(WebhookView):
    """`/metrics`. In numbers that Prometheus keeps, so it takes a token of an operator's with `webhooks:read`."""

    def get(self, request: Request) -> HttpResponse:
        """Gauges of webhooks over all owners, read from the database at this moment. For operators."""
        Query(request, set()).check()
        if not access_of(request).user.has_perm("notifications.view_endpoint"):
            raise PermissionDenied("These numbers are of everybody's webhooks: that takes the role operator.")
        return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)
