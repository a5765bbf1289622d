"""Every error as a problem document (RFC 9457). The only place where a domain error becomes HTTP.

`code` is stable and stands in codes.py; `errors` maps fields to sentences; `error` repeats the detail for clients of
the earlier systems.
"""

import logging
import sys
from http import HTTPStatus
from itertools import islice
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework import exceptions

from tasks_app import database, request_id
from tasks_app.api.codes import CODES
from tasks_app.exceptions import InvalidTask, TaskError

logger = logging.getLogger(__name__)

MOST_ERRORS = 100
"""Fields named in one problem document: a batch of 1,000 tasks may have many more."""
_FRAMEWORK = {"permission_denied": "forbidden", "error": "server_error"}
"""DRF's words for what has a code of ours."""


def problem(
    status: int,
    *,
    code: str,
    detail: str,
    errors: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """One problem document."""
    body: dict[str, Any] = {
        "type": f"urn:taskmanager:problem:{code}", "title": HTTPStatus(status).phrase, "status": status,
        "code": code, "detail": detail, "error": detail,
    }  # fmt: skip
    if errors:
        body["errors"] = {name[:200]: errors[name] for name in islice(errors, MOST_ERRORS)}
    if name := request_id.current.get():
        body["request_id"] = name
    # A client's own broken text may come back in a sentence: replaced, never a 500.
    text = orjson.dumps(body, default=str, option=orjson.OPT_NON_STR_KEYS)
    return HttpResponse(text, status=status, headers=headers, content_type="application/problem+json")


def problem_response(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """DRF's EXCEPTION_HANDLER. None for what is a bug: Django logs it and answers with `server_error` below."""
    if isinstance(error, InvalidTask):
        first = next(iter(error.errors.items()), ("", "not valid"))
        return problem(400, code=error.code, detail=f"{first[0][:200]}: {first[1]}", errors=error.errors)
    if isinstance(error, TaskError):
        return problem(CODES[error.code].status, code=error.code, detail=error.message)
    if isinstance(error, database.AWAY):
        logger.error("Cannot reach the database: %s", str(error).strip())
        headers = {"Retry-After": database.RETRY_AFTER}
        return problem(503, code="unavailable", detail=database.sentence(error), headers=headers)
    if isinstance(error, Http404):
        return problem(404, code="not_found", detail="There is nothing here.")
    if isinstance(error, PermissionDenied):
        return problem(403, code="forbidden", detail="You may not do this.")
    if isinstance(error, exceptions.APIException):
        return _from_framework(error)
    return None


def _from_framework(error: exceptions.APIException) -> HttpResponse:
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(int(error.wait) + 1)  # type: ignore[attr-defined]
    if isinstance(error, exceptions.ValidationError):
        errors = _flat(error.detail)
        name, text = next(iter(errors.items()), ("", "not valid"))
        return problem(400, code="invalid", detail=f"{name}: {text}" if name else text, errors=errors)
    detail = str(error.detail)
    if isinstance(error, exceptions.NotAuthenticated):
        detail = (
            "Say who you are: send a token (Authorization: Bearer …) or log in. ANONYMOUS_API decides who need not."
        )
    code = error.get_codes()
    name = _FRAMEWORK.get(code, code) if isinstance(code, str) else "invalid"
    return problem(error.status_code, code=name, detail=detail, headers=headers)


def _flat(detail: Any, path: str = "") -> dict[str, str]:
    """DRF's nested details as path → sentence."""
    if isinstance(detail, dict):
        pairs = [(f"{path}.{name}" if path else str(name), item) for name, item in detail.items()]
    elif isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        pairs = [(f"{path}.{index}" if path else str(index), item) for index, item in enumerate(detail)]
    else:
        return {path: " ".join(map(str, detail)) if isinstance(detail, list) else str(detail)}
    return {
        name.removesuffix(".non_field_errors"): text for key, item in pairs for name, text in _flat(item, key).items()
    }


# ---- Django's own errors: JSON for programs, a page for browsers ----------------------------------------------------


def _answer(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    if "text/html" in request.headers.get("accept", ""):
        context = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
        return render(request, "error.html", context, status=status)
    return problem(status, code=code, detail=detail)


def too_many(request: HttpRequest, *, detail: str, seconds: int) -> HttpResponse:
    """429: come again later."""
    answer = _answer(request, 429, "throttled", detail)
    answer.headers["Retry-After"] = str(seconds)
    return answer


def too_large(request: HttpRequest) -> HttpResponse:
    """413, for forms; JSON is measured by its parser."""
    detail = f"The form is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes. Nothing was changed."
    return _answer(request, 413, "too_large", detail)


def body_too_large() -> HttpResponse:
    """413, said by a server before it has read the body."""
    detail = f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes. Nothing was changed."
    return problem(413, code="too_large", detail=detail)


def encoded_body() -> HttpResponse:
    """415 for a compressed body, with what would be read (RFC 9110, 15.5.16)."""
    detail = "Content-Encoding: a compressed body is not read here. Send it as it is, without this header."
    return problem(415, code="unsupported_media_type", detail=detail, headers={"Accept-Encoding": "identity"})


def body_too_slow(*, seconds: float) -> HttpResponse:
    """408: the body did not arrive."""
    detail = f"The body did not arrive within {seconds:g} s (REQUEST_SECONDS). Nothing was changed."
    return problem(408, code="too_slow", detail=detail)


def too_busy() -> HttpResponse:
    """503: too many large bodies are on their way at the same time."""
    detail = "Too many large requests arrive at the same time. Nothing was changed; try again."
    return problem(503, code="busy", detail=detail, headers={"Retry-After": "2"})


def method_not_allowed(request: HttpRequest, *, allowed: str) -> HttpResponse:
    """405, for views of Django's own, which answer with an empty body."""
    answer = _answer(request, 405, "method_not_allowed", f"Method {request.method} is not allowed. Allowed: {allowed}.")
    answer.headers["Allow"] = allowed
    return answer


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(
        request,
        400,
        "bad_request",
        "The request is malformed, or its Host is not one of this server's names.",
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(request, 403, "csrf", "The form is out of date or came from another page. Load it again.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 403, "forbidden", "You may not do this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 404, "not_found", "There is nothing here.")


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 where the database is away: in Django's own views (admin, login) and its middleware."""
    error = sys.exc_info()[1]
    if isinstance(error, database.AWAY):
        answer = _answer(request, 503, "unavailable", database.sentence(error))
        answer.headers["Retry-After"] = database.RETRY_AFTER
        return answer
    return _answer(request, 500, "server_error", "Something went wrong on our side; it is in the log.")
