"""The receiver for developers, told over real HTTP: what it prints, what it answers, and how it ends."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time

import pytest

from notifications.local_receiver import (
    MAX_BODY_BYTES,
    SHOWN_CHARACTERS,
    Behaviour,
    CannotListen,
    LocalReceiver,
    pretty,
    printable,
)
from notifications.sender import Exchange, send
from notifications.signing import InvalidSecret, new_secret, sign
from notifications.targets import EgressPolicy
from tests.services.processes import PATIENCE, eventually

pytestmark = pytest.mark.anywhere

BODY = b'{"type":"task.completed","data":{"title":"\xc3\xa9"}}'
QUIET = Behaviour(shows_body=False)


class Listening:
    """A receiver that serves in a thread, and what it has said."""

    def __init__(self, *secrets: str, behaviour: Behaviour = QUIET) -> None:
        self.said: list[str] = []
        self.server = LocalReceiver("127.0.0.1", 0, secrets=secrets, behaviour=behaviour, say=self.said.append)
        self._thread = threading.Thread(target=self.server.serve)

    def __enter__(self) -> Listening:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.end()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def line(self, number: int = -1) -> str:
        return self.said[number].split("\n")[0]

    def raw(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.server.server_port), timeout=PATIENCE) as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := peer.recv(65536):
                    answer += chunk
            return answer


def post(url: str, *secrets: str, body: bytes = BODY, at: int = 0, **headers: str) -> Exchange:
    """As our own sender would."""
    at = at or int(time.time())
    own = {"webhook-id": "evt_1", "webhook-timestamp": str(at), "x-taskmanager-attempt": "2"}
    if secrets:
        own["webhook-signature"] = sign(secrets, "evt_1", at, body)
    own |= {name.replace("_", "-"): value for name, value in headers.items()}
    return send(
        f"{url}/hook", body=body, headers=own, policy=EgressPolicy(allow_loopback=True), deadline_seconds=PATIENCE
    )


# Verdicts


def test_a_signed_webhook_is_valid_and_shown() -> None:
    old, new = new_secret(), new_secret()
    with Listening(new, old, behaviour=Behaviour()) as receiver:
        assert post(receiver.server.url, old).status == 200
    line, _, shown = receiver.said[0].partition("\n")
    assert line.split("  ")[1:] == ["task.completed", "evt_1", "valid (key 2)", "attempt 2", "→ 200"]
    assert shown == json.dumps(json.loads(BODY), indent=2, ensure_ascii=False)


def test_a_wrong_signature_is_said_with_its_reason_and_answered_with_401() -> None:
    secret = new_secret()
    with Listening(secret) as receiver:
        assert post(receiver.server.url, new_secret()).status == 401
        assert post(receiver.server.url).status == 401
        assert post(receiver.server.url, secret, at=1).status == 401
        assert post(receiver.server.url, secret, webhook_id="a.b").status == 401
    expected = ["No signature matches", "There is no header webhook-signature", "s old", "has a dot"]
    for number, reason in enumerate(expected):
        assert "INVALID: " in receiver.line(number) and reason in receiver.line(number)
        assert receiver.line(number).endswith("→ 401")


def test_without_a_secret_nothing_is_checked() -> None:
    with Listening() as receiver:
        assert post(receiver.server.url).status == 200
    assert "not checked" in receiver.line()


def test_an_id_that_comes_again_is_a_repeat() -> None:
    with Listening() as receiver:
        for webhook_id in ("evt_1", "evt_2", "evt_1"):
            post(receiver.server.url, webhook_id=webhook_id)
        receiver.raw(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        receiver.raw(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert ["repeat" in line for line in receiver.said] == [False, False, True, False, False]
    assert "no type  no webhook-id  not checked  attempt ?" in receiver.line()


def test_a_secret_that_is_none_is_refused_before_it_listens() -> None:
    with pytest.raises(InvalidSecret):
        LocalReceiver("127.0.0.1", 0, secrets=["whsec_x"], behaviour=QUIET, say=print)


# Misbehaviour


def test_it_answers_with_the_status_asked_for() -> None:
    with Listening(behaviour=Behaviour(status=503)) as receiver:
        assert [post(receiver.server.url).status for _ in range(2)] == [503, 503]
    with Listening(behaviour=Behaviour(status=204)) as receiver:
        assert post(receiver.server.url).response_complete


def test_it_fails_the_first_attempts_at_each_webhook() -> None:
    with Listening(behaviour=Behaviour(fail_first=2)) as receiver:
        found = [post(receiver.server.url, webhook_id=it).status for it in ("a", "a", "b", "a", "b", "b")]
    assert found == [500, 500, 500, 200, 500, 200]


def test_it_hangs_up() -> None:
    with Listening(behaviour=Behaviour(drops=True, fail_first=1)) as receiver:
        assert [(it.status, it.error_code) for it in (post(receiver.server.url), post(receiver.server.url))] == [
            (None, "reset"),
            (200, ""),
        ]
    assert receiver.line(0).endswith("→ dropped")


def test_it_waits_before_it_answers_and_not_before_it_ends() -> None:
    with Listening(behaviour=Behaviour(delay_seconds=0.3)) as receiver:
        exchange = post(receiver.server.url)
        assert exchange.first_byte_ms is not None and exchange.first_byte_ms >= 290
    with Listening(behaviour=Behaviour(delay_seconds=600)) as receiver:
        thread = threading.Thread(target=post, args=[receiver.server.url])
        thread.start()
        eventually(lambda: receiver.said)
    thread.join(PATIENCE)
    assert not thread.is_alive()


# Clients that make mistakes


MISTAKES: dict[str, tuple[bytes, int | None]] = {
    "too large": (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
    "far too large": (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
    "no length": (b"POST / HTTP/1.1\r\n\r\n", 411),
    "negative": (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 411),
    "no digits": (b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 411),
    "chunked": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    "cut off": (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", None),
    "GET": (b"GET / HTTP/1.1\r\n\r\n", 405),
    "BREW": (b"BREW / HTTP/1.1\r\n\r\n", 501),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400),
    "many headers": (b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
    "long header": (b"POST / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", 431),
    "long path": (b"POST /" + b"y" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
    "half a line": (b"POST / HT", 400),
    "nothing": (b"", None),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_in_one_line_and_without_a_traceback(
    mistake: str, capfd: pytest.CaptureFixture[str]
) -> None:
    request, status = MISTAKES[mistake]
    with Listening(new_secret()) as receiver:
        answer = receiver.raw(request)
        if len(request) < 60_000 or answer:  # else a reset may overtake the answer to what was not read to its end
            assert answer == b"" if status is None else str(status).encode() in answer[:400]
        assert receiver.raw(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 405")  # it goes on
    assert capfd.readouterr() == ("", "")
    assert all("\n" not in line and line.isprintable() for line in receiver.said)


def test_a_client_that_resets_the_connection_is_not_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with Listening(behaviour=Behaviour(delay_seconds=0.2)) as receiver:
        for start in (
            b"",
            b"POST",
            b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", receiver.server.server_port), timeout=PATIENCE) as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
                peer.sendall(start)
        assert post(receiver.server.url).status == 200
    assert capfd.readouterr() == ("", "")


def test_nothing_that_is_printed_moves_the_cursor() -> None:
    with Listening(behaviour=Behaviour()) as receiver:
        post(
            receiver.server.url, body=b'{"type":"\\u001b[2J\\u009b\\u202e","x":"\\ud800\\u007f"}', webhook_id="\xa1\xad"
        )
        post(receiver.server.url, body=b"\x1b]0;x\x07\r\n\xff\x00")
    assert all(part.isprintable() for line in receiver.said for part in line.split("\n"))
    assert printable("a" * 100, 3) == "aaa…"


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"[" * 900 + b"1," * 200_000 + b"1" + b"]" * 900, b"1" * 5000, b"x" * 1_000_000, b"[1e999]"],
    ids=["deep", "deep and wide", "a long number", "text", "infinity"],
)  # fmt: skip
def test_a_monstrous_body_is_shown_in_part(body: bytes) -> None:
    with Listening(behaviour=Behaviour()) as receiver:
        assert post(receiver.server.url, body=body).status == 200
    assert 0 < len(receiver.said[0].partition("\n")[2]) <= SHOWN_CHARACTERS + 30


def test_what_is_no_json_is_shown_as_text() -> None:
    assert pretty(None, b"a=b\nc") == "a=b\nc"
    assert pretty({"a": None}, b'{"a":null}') == '{\n  "a": null\n}'
    assert pretty(None, b"null") == "null"
    assert pretty(None, b"") == ""


# Where it listens


def test_a_port_that_is_taken_is_refused_with_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CannotListen, match=r"is taken\. .*--port"):
        LocalReceiver("127.0.0.1", taken.getsockname()[1], secrets=[], behaviour=QUIET, say=print)


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 300, "999.1.1.1"], ids=["not here", "too long", "no address"])
def test_an_address_that_is_not_ours_is_refused_with_a_sentence(host: str) -> None:
    with pytest.raises(CannotListen, match=r"Cannot listen on port 0 of .*\."):
        LocalReceiver(host, 0, secrets=[], behaviour=QUIET, say=print)
