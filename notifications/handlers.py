"""The kind `http_request`: one call by the rules for webhooks. What it is answered is the task's result.

Whoever submits a task chooses the address, so the operator's own word for WEBHOOK_URL does not count here. The answer of
an address that is not public is never kept (as for webhooks): of such a call a task learns status, headers and times.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.utils import timezone

from notifications import sender
from notifications.sender import Exchange
from notifications.targets import EgressPolicy, TargetRefused, check_url
from tasks_app.handlers import PermanentError, RetryableError, TaskContext, exponential, handler

KIND = "http_request"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
WITHOUT_BODY = frozenset({"GET", "HEAD"})
DEFAULT_SECONDS, MAX_SECONDS = 15, 30
MAX_HEADERS, MAX_HEADER_CHARACTERS = 20, 4096
BODY_BYTES = 32_768
"""Of the answer. As JSON a control character takes six bytes, and a result at most 256 KiB."""
LOGGED_CHARACTERS = 1_000
KEPT_HEADERS = ("content-type", "content-length", "date", "etag", "last-modified", "retry-after", "x-request-id")
RETRYABLE_STATUSES = frozenset({408, 429, *range(500, 600)})
PERMANENT_FAILURES = frozenset({"blocked", "invalid_url", "too_large"})

_SCHEMA = {
    "type": "object",
    "required": ["url"],
    "additionalProperties": False,
    "properties": {
        "url": {"title": "Address", "type": "string", "minLength": 1, "maxLength": 2048},
        "method": {"title": "Method", "enum": list(METHODS), "default": "GET"},
        "headers": {
            "title": "Headers",
            "type": "object",
            "maxProperties": MAX_HEADERS,
            "additionalProperties": {"type": "string", "maxLength": MAX_HEADER_CHARACTERS},
        },
        "body": {"title": "Body, as text", "type": "string"},
        "json": {"title": "Body, as JSON", "description": "Any JSON value; instead of `body`."},
        "timeout_seconds": {
            "title": "Seconds for everything, from DNS to the last byte",
            "type": "number",
            "minimum": 1,
            "maximum": MAX_SECONDS,
            "default": DEFAULT_SECONDS,
        },
        "expect": {
            "title": "Statuses that count as success",
            "description": "Any 2xx if absent.",
            "type": "array",
            "minItems": 1,
            "maxItems": 20,
            "items": {"type": "integer", "minimum": 200, "maximum": 599},
        },
    },
}


@handler(
    KIND,
    schema=_SCHEMA,
    example={"url": "https://example.org/", "method": "POST", "json": {"hello": "world"}},
    timeout=60,
    max_attempts=5,
    backoff=exponential(first=5),
)
def run(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Calls `url` once per attempt; the answer is the result. 408, 429, 5xx and network faults are tried again."""
    if wrong := request_problems(payload):
        raise PermanentError(" ".join(wrong.values()), code="http_invalid_request")
    method = payload.get("method", "GET")
    body, headers = _body(payload), dict(payload.get("headers", {}))
    given = {name.lower() for name in headers}
    defaults = {"user-agent": f"Taskmanager/{settings.VERSION}"}
    if "json" in payload:
        defaults["content-type"] = "application/json"
    elif "body" in payload:
        defaults["content-type"] = "text/plain; charset=utf-8"
    if method not in WITHOUT_BODY:  # the same over all attempts, so that the receiver can drop repeats
        defaults["idempotency-key"] = str(context.task_id)
    headers |= {name: value for name, value in defaults.items() if name not in given}
    context.check()
    exchange = sender.send(
        payload["url"], body=body, headers=headers, method=method, policy=policy(),
        deadline_seconds=payload.get("timeout_seconds", DEFAULT_SECONDS), ca_bundle=settings.WEBHOOK_CA_BUNDLE,
        excerpt_bytes=BODY_BYTES, kept_headers=KEPT_HEADERS,
    )  # fmt: skip
    if not _is_expected(exchange, payload.get("expect")):
        raise _failure(exchange, context)
    context.progress(100, f"Answered {exchange.status} in {exchange.total_ms:.0f} ms")
    return _result(exchange)


def policy() -> EgressPolicy:
    """Where users may have requests sent: the webhooks' rules, without the exception for the operator's WEBHOOK_URL."""
    return replace(EgressPolicy.from_settings(), allowed_origins=frozenset())


def target_problems(payload: Mapping[str, Any]) -> dict[str, str]:
    """What can be said against the address without asking the network: path → sentence."""
    url = payload.get("url")
    if not isinstance(url, str):
        return {}  # the schema says so
    try:
        check_url(url, policy())
    except TargetRefused as refusal:
        return {"payload.url": refusal.public_message}
    return {}


def request_problems(payload: Mapping[str, Any]) -> dict[str, str]:
    """What a schema cannot say of headers and body: path → sentence. The payload may not fit the schema yet."""
    found: dict[str, str] = {}
    method = payload.get("method", "GET")
    if "body" in payload and "json" in payload:
        found["payload.json"] = "Give either body or json, not both."
    elif ("body" in payload or "json" in payload) and method in WITHOUT_BODY:
        found["payload.body" if "body" in payload else "payload.json"] = f"A {method} request has no body."
    headers = payload.get("headers")
    seen: set[str] = set()
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        if not isinstance(value, str):
            continue
        if wrong := sender.malformed_header(name, value):
            found[f"payload.headers.{name}"] = wrong
        elif name.lower() in seen:
            found[f"payload.headers.{name}"] = f"The header {name!r} is given twice."
        seen.add(name.lower())
    return found


def _body(payload: Mapping[str, Any]) -> bytes:
    if "json" in payload:
        return json.dumps(payload["json"], ensure_ascii=False, separators=(",", ":")).encode()
    return str(payload.get("body", "")).encode()


def _is_expected(exchange: Exchange, expect: list[int] | None) -> bool:
    return exchange.succeeded if expect is None else exchange.status in expect


def _failure(exchange: Exchange, context: TaskContext) -> RetryableError | PermanentError:
    """Whether this answer, or none, is worth another try. What a public address said is written into the history."""
    if exchange.status is None:
        code = f"http_{exchange.error_code}"
        if exchange.error_code in PERMANENT_FAILURES:
            return PermanentError(exchange.error_message, code=code)
        return RetryableError(exchange.error_message, code=code)
    if exchange.response_excerpt:
        context.log(f"Answered {exchange.status}: {exchange.response_excerpt[:LOGGED_CHARACTERS]}")
    said = f"Answered {exchange.status}."
    if exchange.status not in RETRYABLE_STATUSES:
        is_redirect = 300 <= exchange.status < 400
        return PermanentError(said + " Redirects are not followed." * is_redirect, code="http_status")
    wait = sender.seconds_until_retry(exchange.response_headers.get("retry-after", ""), now=timezone.now())
    return RetryableError(said, code="http_status", retry_after=wait or None)


def _result(exchange: Exchange) -> dict[str, Any]:
    phases = {
        "dns": exchange.dns_ms, "connect": exchange.connect_ms, "tls": exchange.tls_ms,
        "first_byte": exchange.first_byte_ms, "total": exchange.total_ms,
    }  # fmt: skip
    size = len(exchange.response_excerpt.encode())
    # A text that was cut may have lost the last character's up to three bytes as well.
    is_whole = exchange.response_complete and size < BODY_BYTES - 3 and bool(size or not exchange.response_bytes)
    return {
        "status": exchange.status,
        "headers": exchange.response_headers,
        "body": None if exchange.response_withheld else exchange.response_excerpt,
        "body_complete": is_whole and not exchange.response_withheld,
        "timings_ms": {name: value for name, value in phases.items() if value is not None},
    }
