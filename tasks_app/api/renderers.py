"""JSON out, fast and always: no content negotiation."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer


def compact(data: Any) -> bytes:
    """JSON in UTF-8, without spaces."""
    try:
        return orjson.dumps(data)
    except TypeError:  # whole numbers over 64 bits, which orjson refuses: PostgreSQL makes one of a client's 1e30
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


class CompactJSONRenderer(BaseRenderer):
    """orjson: compact UTF-8, datetimes in ISO 8601."""

    media_type, format, charset = "application/json", "json", None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return compact(data)


class AlwaysJSON(BaseContentNegotiation):
    """The first renderer, whatever Accept says."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        media_type = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


def json_response(data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """An answer past DRF's renderers, which cost more than the work."""
    return HttpResponse(compact(data), status=status, headers=headers, content_type="application/json")
