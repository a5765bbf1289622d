"""One outgoing HTTP request under the egress rules: the only user of `requests`.

The address rules and the deadline are `connection`'s. Here are what is said and what is kept of the answer.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import HTTPError

from .connection import (
    AddressInfo,
    ErrorCode,
    Failure,
    Keep,
    Line,
    Resolver,
    is_closed_early,
    pool_classes,
    system_resolver,
)
from .targets import EgressPolicy, Reach, TargetRefused, check_url

DEADLINE_SECONDS = 15.0
MAX_RESPONSE_BYTES = 65536
EXCERPT_BYTES = 4096
HEADER_CHARACTERS = 256
LONGEST_RETRY_AFTER = 86_400
DETAIL_CHARACTERS = 500

MESSAGES: dict[ErrorCode, str] = {
    "dns": "The host name could not be resolved.",
    "connect": "No connection could be made.",
    "tls": "The TLS connection failed: is the certificate valid, complete and made for this host?",
    "timeout": "The receiver did not answer in time.",
    "reset": "The connection ended before there was a valid answer.",
    "interim": "No final answer came: too many interim ones (1xx), or a change of protocol (101) that was not asked for.",
    "too_large": "The header of the answer was too large.",
    "invalid_url": "This address cannot be used.",
}
KEPT_HEADERS = ("content-type", "retry-after", "date", "webhook-delivery")
OWN_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e\xa1-\xff](?:[\t\x20-\x7e\xa1-\xff]*[\x21-\x7e\xa1-\xff])?)?")


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What came of one request. Times are the milliseconds of each phase, None if it did not end.

    There is a `status` or an `error_code`, never both: once the status line has arrived, what happens to the
    rest is only noted (`response_complete`). `first_byte_ms` ends with the response's head.
    `error_message` is for the endpoint's owner; `error_detail` and `peer_ip` are for staff.
    `response_headers` are the allow-listed ones, in lower case; of `location` only the host: `location-host`.
    `response_excerpt` is text that nobody has checked, and empty whenever the address was not public:
    `response_withheld` then tells a body that may not be kept from one that was empty.
    """

    status: int | None = None
    error_code: ErrorCode = ""
    error_message: str = ""
    error_detail: str = ""
    peer_ip: str = ""
    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float = 0.0
    response_headers: dict[str, str] = field(default_factory=dict)
    response_excerpt: str = ""
    response_withheld: bool = False
    response_bytes: int = 0
    response_complete: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether a 2xx status line arrived within the deadline."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def timings(self) -> dict[str, float]:
        """The phases that ended, in milliseconds. A kept-alive connection has no dns, connect and tls."""
        names = ("dns", "connect", "tls", "first_byte", "total")
        found = {name: getattr(self, f"{name}_ms") for name in names}
        return {name: round(value, 1) for name, value in found.items() if value is not None}


def send(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    policy: EgressPolicy,
    deadline_seconds: float = DEADLINE_SECONDS,
    method: str = "POST",
    resolver: Resolver | None = None,
    max_response_bytes: int = MAX_RESPONSE_BYTES,
    excerpt_bytes: int = EXCERPT_BYTES,
    kept_headers: Sequence[str] = KEPT_HEADERS,
    ca_bundle: str = "",
    keep: Keep | None = None,
) -> Exchange:
    """Send one request and say what came of it. Nothing that a network or a receiver does raises.

    The deadline covers everything: DNS, connecting, TLS, sending, waiting and reading. No redirect is
    followed, no proxy or `.netrc` consulted, no cookie kept, and no connection but in `keep`. `ca_bundle` is a PEM file to trust
    in place of certifi's. `kept_headers` are names in lower case. Raises ValueError for the caller's own mistake:
    a malformed header, or one of OWN_HEADERS.
    """
    all_headers = _all_headers(headers, closes=keep is None)
    seat = keep or Keep()
    if seat.is_worn:
        seat.close()
    line = Line(policy, resolver or system_resolver, seconds=deadline_seconds, keep=seat)
    outcome: dict[str, Any]
    is_complete = False
    try:
        line.target = check_url(url, policy)
        request = _request(method, line.target.url, headers=all_headers, body=body)
        response, raw, is_complete = _exchange(request, line, seat, max_response_bytes, ca_bundle)
        is_public = line.reach is Reach.PUBLIC
        encoding = response.headers.get("content-encoding", "")
        outcome = {
            "status": response.status_code,
            "response_headers": _kept_headers(response.headers, kept_headers),
            "response_excerpt": excerpt(raw, encoding, excerpt_bytes) if is_public else "",
            "response_withheld": not is_public,
            "response_bytes": len(raw),
            "response_complete": is_complete,
        }
    except TargetRefused as refusal:
        outcome = {
            "error_code": "invalid_url" if refusal.is_malformed else "blocked",
            "error_message": refusal.public_message,
            "error_detail": refusal.detail,
        }
    except (Failure, requests.RequestException, HTTPError, http.client.HTTPException, OSError) as error:
        code = line.error_code(error)
        detail = _printable(f"{type(error).__name__}: {error}", DETAIL_CHARACTERS)
        outcome = {"error_code": code, "error_message": MESSAGES[code], "error_detail": detail}
    finally:
        line.end(keeps=keep is not None and is_complete)
    times: dict[str, Any] = {f"{phase}_ms": time for phase, time in line.phases.items()}
    return Exchange(**outcome, **times, total_ms=line.total_ms(), peer_ip=line.peer_ip)


def self_check() -> None:
    """Prove, without any network, that requests and urllib3 connect through our rules. For start-up.

    Raises RuntimeError if they do not: a new release may have moved the seam.
    """
    asked: list[str] = []

    def metadata_address(host: str, port: int) -> Sequence[AddressInfo]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("169.254.169.254", port))]

    policy = EgressPolicy(allow_http=True)
    for host in ("http://http.invalid", "https://https.invalid"):
        exchange = send(host, body=b"", headers={}, policy=policy, resolver=metadata_address)
        if exchange.error_code != "blocked":
            raise RuntimeError(f"The egress rules are bypassed: {exchange.error_detail}. Pin requests and urllib3.")
    if asked != ["http.invalid", "https.invalid"]:
        raise RuntimeError(f"The egress rules were not asked for each host: {asked}. Pin requests and urllib3.")


class _Adapter(HTTPAdapter):
    """Requests' transport over our connections.

    Used without a Session, which would read a redirect's body whole and decoded even if it may not follow it.
    """

    def __init__(self, keep: Keep, context: ssl.SSLContext) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)
        self.poolmanager.pool_classes_by_scheme = pool_classes(keep, context)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to add: the context verifies already, and was read from its file once, not every time."""


def _request(method: str, url: str, *, headers: dict[str, str], body: bytes) -> requests.PreparedRequest:
    """As Request.prepare makes it; here the URL and the headers have been checked more strictly already."""
    request = requests.PreparedRequest()
    request.method, request.url, request.body = method, url, body or None
    length = {"Content-Length": str(len(body))} if body or method not in ("GET", "HEAD") else {}
    request.headers = CaseInsensitiveDict({**headers, **length})
    request.hooks = {"response": []}
    return request


def _exchange(
    request: requests.PreparedRequest, line: Line, keep: Keep, max_response_bytes: int, ca_bundle: str
) -> tuple[requests.Response, bytes, bool]:
    """The head of the answer, the first bytes of its body, still encoded, and whether that was all of it."""
    context = _tls_context(ca_bundle or DEFAULT_CA_BUNDLE_PATH)
    assert line.target is not None
    made_for = (line.target.scheme, line.target.host, line.target.port, context)
    if keep.adapter is None or keep.made_for != made_for:
        keep.close()
        keep.use(line)
        line.is_reused = False
        keep.adapter, keep.made_for = _Adapter(keep, context), made_for
    try:
        response = keep.adapter.send(request, stream=True, timeout=(line.seconds, line.seconds))
    except requests.ConnectionError as error:
        # Kept for too long: the receiver has closed it, and no byte of an answer came. The same attempt, anew.
        if not line.is_reused or line.is_cut or not is_closed_early(error):
            raise
        keep.drop_guard()
        response = keep.adapter.send(request, stream=True, timeout=(line.seconds, line.seconds))
    line.finish_phase("first_byte")
    raw, is_complete = _read(response, max_response_bytes)
    return response, raw, is_complete and not line.is_cut


def _read(response: requests.Response, limit: int) -> tuple[bytes, bool]:
    """The first bytes of the body, still encoded, and whether that was all of it."""
    raw = bytearray()
    try:
        while len(raw) < limit:
            chunk = response.raw.read1(limit - len(raw), decode_content=False)
            if not chunk:
                return bytes(raw), True
            raw += chunk
    except (OSError, HTTPError, http.client.HTTPException):
        pass
    finally:
        response.close()
    return bytes(raw), False


def excerpt(raw: bytes, content_encoding: str, limit: int = EXCERPT_BYTES) -> str:
    """At most `limit` bytes of a body as text. Decompression stops there as well, so that a bomb stays small."""
    encoding = content_encoding.strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate"):
        try:
            raw = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(raw, limit)
        except zlib.error:
            return ""
    elif encoding not in ("", "identity"):
        return ""
    text = raw[:limit].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode()[:limit].decode(errors="ignore")


def seconds_until_retry(retry_after: str, *, now: datetime) -> float:
    """What a Retry-After header asks for (RFC 9110, 10.2.3: seconds or a date), at most a day; 0 if it says nothing."""
    try:
        value = retry_after.strip()
        seconds = float(value) if value.isdigit() else (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0
    return min(max(0, seconds), LONGEST_RETRY_AFTER)


def malformed_header(name: str, value: str) -> str:
    """Why a request may not carry this header, or an empty string."""
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        return f"The header {name!r} is malformed."
    return f"The header {name!r} is the sender's own." if name.lower() in OWN_HEADERS else ""


def _kept_headers(headers: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    kept = {name: headers[name] for name in names if name in headers}
    try:
        kept["location-host"] = urlsplit(headers.get("location", "")).hostname or ""
    except ValueError:
        kept["location-host"] = ""
    return {name: _printable(value, HEADER_CHARACTERS) for name, value in kept.items() if value}


def _all_headers(headers: Mapping[str, str], *, closes: bool) -> dict[str, str]:
    for name, value in headers.items():
        if wrong := malformed_header(name, value):
            raise ValueError(wrong)
    names = {name.lower() for name in headers}
    default = {} if "user-agent" in names else {"user-agent": "Taskmanager"}
    own = {"accept-encoding": "identity", "connection": "close" if closes else "keep-alive"}
    return {**default, **headers, **own}


def _printable(text: str, limit: int) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:limit])


def _tls_context(ca_bundle: str) -> ssl.SSLContext:
    try:
        return _context_of(ca_bundle, Path(ca_bundle).stat().st_mtime_ns)
    except OSError as error:
        raise Failure("tls", f"the CA bundle {ca_bundle} cannot be read: {error}") from error


@lru_cache(maxsize=4)
def _context_of(ca_bundle: str, _changed_at: int) -> ssl.SSLContext:
    """TLS 1.2 or later, with certificate and host name verified. Kept, for reading a bundle takes 20 ms."""
    context = ssl.create_default_context(cafile=ca_bundle)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
