"""JSON in, strictly: no NaN, no half surrogates, no other encoding than UTF-8, and not more than fits."""

import json
from typing import Any

import orjson
from django.conf import settings
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

from tasks_app.strict_json import unique


class BodyTooLarge(APIException):
    """413 Content Too Large (RFC 9110)."""

    status_code = 413
    default_code = "too_large"
    default_detail = f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes."


class StrictJSONParser(BaseParser):
    """Reads `application/json` with orjson."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        length = parser_context["request"].META.get("CONTENT_LENGTH") or "0"
        if length.isdigit() and int(length) > limit:
            raise BodyTooLarge
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge
        try:
            found = orjson.loads(body)
            # orjson takes the last of two values for one key without a word. Numbers are left alone: they are read above.
            json.loads(body, object_pairs_hook=unique, parse_int=str, parse_float=str)
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        except ValueError as error:
            raise ParseError(f"The body is no JSON: {error}") from error
        return found
