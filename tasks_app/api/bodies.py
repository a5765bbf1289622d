"""The request's body, read before anything looks at it: as a whole, in chunks or with a length, and always to its end."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_only_middleware

from tasks_app.api import errors

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
MAX_DISCARDED_BYTES = 67_108_864
PIECE_BYTES = 65_536

GetResponse = Callable[[HttpRequest], HttpResponse]


@sync_only_middleware
def read_whole_body(get_response: GetResponse) -> GetResponse:
    """Middleware, for five things that Django leaves to luck.

    A chunked body (RFC 9112, 7.1) has no Content-Length, which WSGI and DRF read as "no body": a change would be answered
    with 200 and not be made. And a body that no view reads (401, 404, 415, DELETE with a body) stays in the connection:
    granian then drops it, together with the next request that a keep-alive client has sent on it. A form that is too
    large would be cut where the limit is, and the beginning taken for all of it. And a form is read with any codec of
    Python's that the client names as its charset, which raises where that is none for text (`hex`).
    And a compressed body is refused by name: nothing here unpacks one, and its size could be any.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        _check_charset(request)
        length = request.META.get("CONTENT_LENGTH") or "0"
        chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
        if chunked or length != "0":
            if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
                return errors.encoded_body()
            _read(request, chunked=chunked)
            if request.content_type in FORMS and len(request.body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
                return errors.too_large(request)
        return get_response(request)

    return middleware


def _check_charset(request: HttpRequest) -> None:
    named = (request.content_params or {}).get("charset", "utf-8")
    if request.content_type in FORMS and named.lower() not in ("utf-8", "utf8"):
        raise BadRequest("A form in another charset than UTF-8")


def _read(request: HttpRequest, *, chunked: bool) -> None:
    # WSGIRequest reads up to Content-Length only; the server's own stream ends where the body does.
    stream: Any = request.META["wsgi.input"] if chunked and "wsgi.input" in request.META else request
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body = stream.read(limit + 1)  # one more than allowed: whoever parses it says 413
    discarded = 0
    while len(body) > limit and discarded < MAX_DISCARDED_BYTES and (piece := stream.read(PIECE_BYTES)):
        discarded += len(piece)
    request._body = body  # where HttpRequest.body and DRF look
    request._read_started = True  # type: ignore[attr-defined]
    request.META["CONTENT_LENGTH"] = str(len(body))
