"""Answers 1xx before the final one (RFC 9110, 15.2)."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from notifications.connection import MAX_INTERIM_ANSWERS
from notifications.sender import Exchange, send
from notifications.targets import EgressPolicy
from tests.notifications.receiver import OK, Receiver, Script, answering, dripping, silent
from tests.notifications.test_sender import answers
from tests.services.processes import PATIENCE

pytestmark = pytest.mark.anywhere

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
INTERIM = {
    "early hints": HINTS,
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "processing": b"HTTP/1.1 102 Processing\r\n\r\n",
    "no reason": b"HTTP/1.1 103\r\n\r\n",
    "a code of nobody's": b"HTTP/1.1 199 Wait\r\nX-Progress: 7\r\n\r\n",
    "several": b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS + b"HTTP/1.1 102 Processing\r\n\r\n" + HINTS,
    "many headers": b"HTTP/1.1 103 Early Hints\r\n" + b"Link: </a.css>\r\n" * 99 + b"\r\n",
    "with a length": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nContent-Type: text/interim\r\n\r\n",
    "as many as are read": HINTS * MAX_INTERIM_ANSWERS,
    "bare line ends": b"HTTP/1.1 103 Early Hints\nLink: <a>\n\n",
}


def post(receiver: Receiver, **options: Any) -> Exchange:
    policy = EgressPolicy(allow_loopback=True)
    values: dict[str, Any] = {"body": b"{}", "headers": {}, "policy": policy, "deadline_seconds": PATIENCE}
    return send(receiver.url(), **values | {"resolver": answers("127.0.0.1")} | options)


@pytest.mark.parametrize("name", INTERIM)
@pytest.mark.parametrize("final", [OK, b"HTTP/1.1 503 No\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"])
def test_they_are_skipped_and_the_final_answer_counts(name: str, final: bytes) -> None:
    with Receiver(answering(INTERIM[name] + final)) as receiver:
        exchange = post(receiver)
    assert (exchange.status, exchange.response_bytes, exchange.response_complete) == (int(final[9:12]), 2, True)
    assert exchange.response_headers.get("content-type") == ("text/plain" if exchange.status == 503 else None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_other_methods_skip_them_too(method: str) -> None:
    with Receiver(answering(HINTS + b"HTTP/1.1 204 No Content\r\n\r\n")) as receiver:
        assert post(receiver, method=method, body=b"").status == 204


def test_they_may_come_piece_by_piece() -> None:
    def script(peer: socket.socket) -> None:
        for byte in HINTS * 2 + OK:
            peer.sendall(bytes([byte]))

    with Receiver(script) as receiver:
        assert post(receiver).status == 200


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (answering(HINTS * (MAX_INTERIM_ANSWERS + 1) + OK), "interim"),
        (dripping(b"", HINTS), "interim"),
        (dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "interim"),
        (answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), "interim"),
        (answering(HINTS + b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK), "interim"),
        (answering(HINTS), "reset"),
        (answering(HINTS + b"HTTP/1.1 103 Early"), "reset"),
        (answering(HINTS + b"garbage\r\n\r\n"), "reset"),
        (answering(b"HTTP/1.1 103 Early Hints\r\n" + b"a: b\r\n" * 101 + b"\r\n" + OK), "too_large"),
        (answering(b"HTTP/1.1 103 Early Hints\r\na: " + b"b" * 70_000 + b"\r\n\r\n" + OK), "too_large"),
    ],
    ids=[
        "one too many", "without end", "100 without end", "101", "101 after 103", "then hangs up", "cut", "then garbage",
        "too many headers", "too long a header",
    ],
)  # fmt: skip
def test_what_has_no_final_answer_is_a_failure_with_its_reason(script: Script, code: str) -> None:
    with Receiver(script) as receiver:
        exchange = post(receiver)
    assert (exchange.status, exchange.error_code) == (None, code)
    assert exchange.error_message.endswith(".")


@pytest.mark.parametrize("start", [HINTS, HINTS + b"HTTP/1.1 103 Early Hints\r\nLink: "])
def test_the_deadline_holds_over_them(start: bytes) -> None:
    def hanging(peer: socket.socket) -> None:
        peer.sendall(start)
        silent(peer)

    with Receiver(hanging) as receiver:
        exchange = post(receiver, deadline_seconds=0.5)
    assert (exchange.status, exchange.error_code) == (None, "timeout")
