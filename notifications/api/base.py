"""What the views of webhooks share: errors of this room as HTTP, and the way from an id to a row one may see."""

import uuid
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.exceptions import APIException, NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from notifications import access
from notifications.endpoints import EndpointRefused, InvalidEndpoint
from notifications.fields import LONGEST_HEADER
from notifications.models import Endpoint
from notifications.payloads import MAX_BODY_BYTES
from notifications.secrets import LONGEST_OVERLAP
from tasks_app.api.lookup import access_of, parse_id
from tasks_app.api.serializers import SwitchField, TextField, WholeNumberField
from tasks_app.api.v1.query import Query
from tasks_app.api.v1.shapes import StrictFields

Row = TypeVar("Row", bound=Model)
LONGEST_SECRET, MOST_IDS = 200, 1000


class Refused(APIException):
    """409 with a code and a sentence."""

    status_code = 409


class WebhookView(APIView):
    """Of the scope `webhooks`. Refusals of the domain are problems with their own codes."""

    scope_area = "webhooks"

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, InvalidEndpoint):
            exc = ValidationError(exc.problems)
        elif isinstance(exc, EndpointRefused):
            exc = Refused(str(exc), code=exc.code)
        elif isinstance(exc, Endpoint.DoesNotExist):  # deleted while we looked
            exc = NotFound("There is no such endpoint.")
        return super().handle_exception(exc)


class IdField(TextField):
    """A UUID as text and nothing else: DRF's own takes numbers."""

    default_error_messages = {"no_uuid": "A UUID."}

    def to_internal_value(self, data: Any) -> Any:
        try:
            return id_of(super().to_internal_value(data))
        except ValueError:
            self.fail("no_uuid")


class OverlapFields(StrictFields):
    """How to rotate a secret."""

    secret = TextField(required=False, allow_blank=False, max_length=LONGEST_SECRET)
    overlap_seconds = WholeNumberField(required=False, min_value=0, max_value=LONGEST_OVERLAP)


class ForceFields(StrictFields):
    """How to enable."""

    force = SwitchField(required=False, default=False)


class HostFields(serializers.Serializer):  # type: ignore[type-arg]
    """Of a change, what is no field of the endpoint."""

    new_host = SwitchField(required=False, default=False)


class RecoverFields(StrictFields):
    """What to send again."""

    since = serializers.DateTimeField()
    which = serializers.ListField(child=TextField(max_length=20), required=False, default=["held", "failed"])
    preview = SwitchField(required=False, default=False)


class IdsFields(StrictFields):
    """Which deliveries."""

    ids = serializers.ListField(child=IdField(), min_length=1, max_length=MOST_IDS)


class VerifyFields(StrictFields):
    """A request as a receiver got it: not a character is trimmed, or the verdict would be about another one."""

    secret = TextField(allow_blank=False, max_length=LONGEST_SECRET)
    headers = serializers.DictField(child=TextField(max_length=LONGEST_HEADER))
    body = TextField(max_length=MAX_BODY_BYTES)


def given(fields: Any) -> dict[str, Any]:
    """The values. Raises ValidationError."""
    fields.is_valid(raise_exception=True)
    return dict(fields.validated_data)


def found(rows: QuerySet[Row], text: str, what: str) -> Row:
    """The row with the id `text` among those one may see. Raises NotFound."""
    missing = NotFound(f"There is no such {what}.")
    row = rows.filter(pk=parse_id(text, missing)).first()
    if row is None:
        raise missing
    return row


def seen(request: Request, text: str) -> Endpoint:
    """An endpoint one may see."""
    return found(access.endpoints_of(access_of(request)), text, "endpoint")


def changed(request: Request, text: str) -> Endpoint:
    """An endpoint one may change. Raises PermissionDenied for one that may only be looked at."""
    endpoint = seen(request, text)
    if not access.may_change(access_of(request), endpoint):
        raise PermissionDenied("You may see this endpoint, but not change it.")
    return endpoint


def paging(request: Request) -> tuple[int, str | None]:
    """Limit and cursor of a list without filters."""
    query = Query(request, {"limit", "cursor"})
    limit, cursor = query.limit(), query.maybe("cursor", str)
    query.check()
    return limit, cursor


def private(answer: HttpResponse) -> HttpResponse:
    """An answer with a secret in it, which nobody on the way may keep."""
    answer.headers["Cache-Control"] = "no-store"
    return answer


def object_of(data: Any) -> dict[str, Any]:
    """A JSON object. Raises ValidationError."""
    if not isinstance(data, dict):
        raise ValidationError("A JSON object is wanted.")
    return {str(name)[:100]: value for name, value in data.items()}


def id_of(text: str) -> uuid.UUID:
    """A UUID. Raises ValueError with a sentence, as parameters' readers do."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ValueError("A UUID.") from None


def flag(text: str) -> bool:
    """`true` or `false`. Raises ValueError with a sentence."""
    if text not in ("true", "false"):
        raise ValueError("true or false.")
    return text == "true"
