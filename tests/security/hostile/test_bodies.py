"""Bodies that are no JSON object, of the wrong type, in the wrong shape or size: at every address of /api/v1 that reads one."""

from collections.abc import Iterator

import pytest

from tests.security.hostile.world import World, refused
from tests.services.processes import PATIENCE

ADDRESSES = {
    "create": ("POST", "/api/v1/tasks"),
    "batch": ("POST", "/api/v1/tasks/batch"),
    "change": ("PATCH", "/api/v1/tasks/{own}"),
    "complete": ("POST", "/api/v1/tasks/{own}/complete"),
    "cancel": ("POST", "/api/v1/tasks/{own}/cancel"),
    "reopen": ("POST", "/api/v1/tasks/{own}/reopen"),
    "rerun": ("POST", "/api/v1/tasks/{own}/rerun"),
    "token": ("POST", "/api/v1/tokens"),
}
NO_JSON: dict[str, bytes] = {
    "text": b"title",
    "form": b"title=x&reason=y",
    "cut": b'{"title": "x"',
    "comma": b'{"title": "x",}',
    "two values": b'{"title": "x"} {"title": "y"}',
    "quotes": b"{'title': 'x'}",
    "NaN": b'{"title": "x", "priority": NaN}',
    "Infinity": b'{"payload": {"a": -Infinity}}',
    "half a surrogate": b'{"title": "\\ud800", "reason": "\\udfff"}',
    "byte order mark": b'\xef\xbb\xbf{"title": "x"}',
    "latin-1": '{"title": "Grüße"}'.encode("latin-1"),
    "utf-16": '{"title": "x"}'.encode("utf-16"),
    "overlong": b'{"title": "\xc0\x80"}',
    "raw NUL": b'{"title": "a\0b"}',
    "NULs": b"\0" * 1000,
    "deep": b"[" * 100_000,
    "deep and closed": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "pickle": b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "YAML": b"!!python/object/apply:os.system ['id']",
}  # fmt: skip
NO_OBJECT: dict[str, bytes] = {
    "list": b'[{"title": "x", "reason": "y"}]', "list of lists": b"[[]]", "text": b'"title"', "number": b"7",
    "long number": b"9" * 300, "fraction": b"0.5", "true": b"true",
}  # fmt: skip


def _path(world: World, name: str) -> tuple[str, str]:
    method, path = ADDRESSES[name]
    return method, path.format(own=world.own["id"])


EVERYWHERE = ("text", "cut", "NaN", "half a surrogate", "raw NUL", "deep")
"""All of them come to one parser: the rest is sent to two addresses only."""
PAIRS = [(body, name) for body in NO_JSON for name in ADDRESSES if body in EVERYWHERE or name in ("create", "change")]


@pytest.mark.parametrize(("body", "name"), PAIRS, ids=str)
def test_what_is_no_json_is_refused(world: World, body: str, name: str) -> None:
    refused(world.call(*_path(world, name), data=NO_JSON[body]), 400, "parse_error")


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize("body", NO_OBJECT)
def test_what_is_no_object_is_refused(world: World, name: str, body: str) -> None:
    refused(world.call(*_path(world, name), data=NO_OBJECT[body]), 400, "invalid")


TYPES = [
    "text/plain", "text/html", "text/json", "application/xml", "application/x-www-form-urlencoded", "application/jsonx",
    "multipart/form-data; boundary=x", "multipart/form-data", "application/octet-stream", "*/*", "application/", "json", "/",
    ";", "x" * 5000, "application/json, text/plain", "text/plain; application/json", "application/problem+json",
]  # fmt: skip


@pytest.mark.parametrize("content_type", TYPES, ids=lambda value: value[:40])
@pytest.mark.parametrize("name", ["create", "change", "token"])
def test_what_says_it_is_no_json_is_refused(world: World, name: str, content_type: str) -> None:
    answer = world.call(*_path(world, name), data=b'{"title": "x"}', headers={"Content-Type": content_type})
    refused(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("name", ["create", "batch", "change", "rerun", "token"])
def test_a_body_without_a_type_is_refused(world: World, name: str) -> None:
    method, path = _path(world, name)
    status, received = world.raw(world.request(method, path, body=b'{"title": "x"}'))
    assert status == 415
    assert b"unsupported_media_type" in received


@pytest.mark.parametrize(
    "charset",
    ["hex", "rot13", "base64", "zip", "idna", "punycode", "undefined", "utf-16", "utf-7", "x" * 300, "'", '""'],
)
def test_a_charset_changes_nothing(world: World, charset: str) -> None:
    """JSON is UTF-8 (RFC 8259, 8.1), and so is a query."""
    headers = {"Content-Type": f"application/json; charset={charset}"}
    answer = world.call("POST", "/api/v1/tasks?a=%C3%BC", data='{"title": 7, "tags": "ü"}'.encode(), headers=headers)
    assert refused(answer, 400, "invalid")["errors"].keys() == {"title", "tags"}
    answer = world.call("GET", "/api/v1/tasks?status=%C3%BC", headers=headers)
    assert refused(answer, 400, "invalid")["errors"].keys() == {"status"}


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_body_that_is_too_large_is_refused(world: World, name: str) -> None:
    body = b'{"title": "x", "description": "' + b"x" * 1_048_577 + b'"}'
    refused(world.call(*_path(world, name), data=body, timeout=PATIENCE), 413, "too_large")


def test_a_body_without_an_end_is_cut(world: World) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"title": "'
        for _ in range(300):
            yield b"x" * 8192

    refused(world.call("POST", "/api/v1/tasks", data=pieces(), timeout=PATIENCE), 413, "too_large")


KIND = "Content-Type: application/json"
BODY = b'{"title": "smuggled"}'
LENGTHS: dict[str, tuple[bytes, tuple[str, ...], set[int]]] = {
    "shorter than said": (BODY, (KIND, "Content-Length: 500"), {0, 400}),
    "longer than said": (BODY, (KIND, "Content-Length: 5"), {0, 400}),
    "negative": (BODY, (KIND, "Content-Length: -1"), {0, 400}),
    "with a plus": (BODY, (KIND, "Content-Length: +21"), {0, 400}),
    "no number": (BODY, (KIND, "Content-Length: x"), {0, 400}),
    "of other digits": (BODY, (KIND, "Content-Length: ٢١"), {0, 400}),
    "huge": (BODY, (KIND, "Content-Length: " + "9" * 30), {0, 400, 413}),
    "twice": (BODY, (KIND, "Content-Length: 21", "Content-Length: 5"), {0, 400}),
    "beside chunks": (b"0\r\n\r\n", (KIND, "Content-Length: 5", "Transfer-Encoding: chunked"), {0, 400}),
    "bad chunk": (b"zz\r\n" + BODY, (KIND, "Transfer-Encoding: chunked"), {0, 400}),
    "negative chunk": (b"-5\r\nabcde\r\n0\r\n\r\n", (KIND, "Transfer-Encoding: chunked"), {0, 400}),
    "huge chunk": (b"f" * 40 + b"\r\nabc", (KIND, "Transfer-Encoding: chunked"), {0, 400}),
    "cut chunk": (b"15\r\n" + BODY[:5], (KIND, "Transfer-Encoding: chunked"), {0, 400}),
    "unknown coding": (BODY, (KIND, "Transfer-Encoding: gzip"), {0, 400, 501}),
}  # fmt: skip


@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_that_is_not_true_is_refused_or_the_connection_closed(world: World, name: str) -> None:
    body, lines, allowed = LENGTHS[name]
    status, received = world.raw(world.request("POST", "/api/v1/tasks", *lines, body=body), cut=True)
    assert status in allowed, received[:500]


def test_a_second_request_hidden_in_a_body_is_not_answered(world: World) -> None:
    """Content-Length and chunks at once are how requests are smuggled past a proxy (RFC 9112, 6.1)."""
    hidden = world.request("DELETE", f"/api/v1/tasks/{world.own['id']}")
    lines = (KIND, f"Content-Length: {len(hidden) + 5}", "Transfer-Encoding: chunked")
    status, received = world.raw(world.request("POST", "/api/v1/tasks", *lines, body=b"0\r\n\r\n" + hidden))
    assert status in (0, 400)
    assert b" 204 " not in received
