"""The kinds of task this server knows."""

from typing import Any, TypedDict

from django.http import HttpResponse
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.views import APIView

from tasks_app import handlers
from tasks_app.api.renderers import json_response
from tasks_app.api.v1.query import Query


class KindDefaults(TypedDict):
    """What a task of this kind has unless it says otherwise."""

    max_attempts: int
    timeout: int


class KindJSON(TypedDict):
    """`schema` is the JSON Schema (2020-12) of the payload, `example` a payload that fits it."""

    kind: str
    description: str
    schema: dict[str, Any]
    example: dict[str, Any]
    defaults: KindDefaults


class KindList(APIView):
    """`/api/v1/kinds`."""

    def get(self, request: Request) -> HttpResponse:
        """Lists every kind, by name."""
        Query(request, set()).check()
        found = [handlers.get(kind) for kind in handlers.kinds()]
        return json_response({"kinds": [_json(handler) for handler in found if handler]})


class KindDetail(APIView):
    """`/api/v1/kinds/{kind}`."""

    def get(self, request: Request, kind: str) -> HttpResponse:
        """Reads one kind."""
        handler = handlers.get(kind)
        if handler is None:
            raise NotFound("There is no such kind here.")
        return json_response(_json(handler))


def _json(handler: handlers.Handler) -> KindJSON:
    return {
        "kind": handler.kind, "description": handler.description, "schema": dict(handler.schema),
        "example": dict(handler.example),
        "defaults": {"max_attempts": handler.max_attempts, "timeout": handler.timeout},
    }  # fmt: skip
