"""What there is to hear: the events to pull, their catalogue, and help with signatures."""

import time

from django.conf import settings
from django.http import HttpResponse
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request

from notifications import access, catalogue, feed, signing
from notifications.api import representation
from notifications.api.base import Refused, VerifyFields, WebhookView, given, private
from notifications.fields import EVENT_TYPES
from tasks_app.api.lookup import access_of
from tasks_app.api.renderers import json_response
from tasks_app.api.v1.query import Query
from tasks_app.idempotency import idempotent


class EventFeed(WebhookView):
    """`/api/v1/events`."""

    def get(self, request: Request) -> HttpResponse:
        """Reads the events of your tasks that somebody wanted to hear, oldest first, behind the cursor `after`.

        Nothing that commits late is skipped. Keep `after` and come again; `is_end` says that there is no more for now.
        """
        query = Query(request, {"after", "limit", "type"})
        limit, after = query.limit(), query.one("after", str, feed.START)
        types = query.several("type", EVENT_TYPES)
        query.check()
        rows = access.events_of(access_of(request)).defer("flat_body", "result_body")
        try:
            found = feed.read(rows.filter(type__in=types) if types else rows, after=after, limit=limit)
        except feed.InvalidCursor as error:
            raise ValidationError({"after": str(error)}) from None
        events = [representation.event_json(event) for event in found.events]
        return json_response({"events": events, "after": found.after, "is_end": found.is_end})


class EventTypes(WebhookView):
    """`/api/v1/webhooks/event-types`."""

    def get(self, request: Request) -> HttpResponse:
        """Lists the types of events with what they mean, an example and the JSON Schema of the body."""
        Query(request, set()).check()
        return json_response({"event_types": catalogue.entries()})


class SigningKey(WebhookView):
    """`/api/v1/webhooks/signing-key`. It only reads, but a secret: see `get`."""

    scope_area = ""

    def get(self, request: Request) -> HttpResponse:
        """Shows the secret that the callbacks of your tasks are signed with. A secret: takes `webhooks:write`."""
        Query(request, set()).check()
        who = access_of(request)
        if not access.may_create(who):
            raise PermissionDenied("This takes the scope webhooks:write, and the role member or operator.")
        if not settings.WEBHOOK_SIGNING_KEY:
            sentence = "Callbacks are off here: the operator has set no WEBHOOK_SIGNING_KEY."
            raise Refused(sentence, code="endpoints_off")
        try:
            secret = signing.derive_secret(settings.WEBHOOK_SIGNING_KEY, str(who.user.pk))
        except signing.InvalidSecret as error:  # too short: nothing can be signed with it either
            raise Refused(f"Callbacks are off here. {error}", code="endpoints_off") from None
        return private(json_response({"secret": secret}))


class Verify(WebhookView):
    """`/api/v1/webhooks/verify`."""

    @idempotent
    def post(self, request: Request) -> HttpResponse:
        """Judges a request as its receiver would, and says why it would be refused. Nothing is kept."""
        asked = given(VerifyFields(data=request.data))
        try:
            signing.parse_secret(asked["secret"])  # said even where the headers are missing
            verdict = signing.verify([asked["secret"]], asked["headers"], asked["body"].encode(), now=time.time())
        except signing.InvalidSecret as error:
            raise ValidationError({"secret": str(error)}) from None
        return json_response({"valid": verdict.is_valid, "fault": verdict.fault, "reason": verdict.reason})
