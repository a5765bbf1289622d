"""The sender against name servers that change their mind, and receivers that never come to an end."""

from __future__ import annotations

import socket
import tracemalloc
import zlib
from collections.abc import Sequence
from typing import Any

import pytest

from notifications.connection import AddressInfo
from notifications.sender import MAX_RESPONSE_BYTES, Exchange, excerpt, send
from notifications.targets import AllowedNetwork, EgressPolicy
from tests.notifications.receiver import OK, Receiver, Script, answering, dripping
from tests.services.processes import PATIENCE

pytestmark = pytest.mark.anywhere

LOCAL = EgressPolicy(allow_loopback=True)
DEADLINE = 0.6
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class NameServer:
    """Gives each lookup the next answer, and the last one from then on."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = [*answers]
        self.asked = 0

    def __call__(self, host: str, port: int) -> Sequence[AddressInfo]:
        ips = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ips]


def post(url: str, **options: Any) -> Exchange:
    values: dict[str, Any] = {"body": b"{}", "headers": {}, "policy": LOCAL, "deadline_seconds": PATIENCE}
    return send(url, **values | {"resolver": NameServer(["127.0.0.1"])} | options)


def only_this(receiver: Receiver) -> EgressPolicy:
    """127.0.0.1 stands for a public address, and every other address of this machine for a private one."""
    network = AllowedNetwork.parse(f"127.0.0.1/32:{receiver.port}")
    return EgressPolicy(allow_http=True, allowed_networks=(network,))


class Victim:
    """A listener that must never be connected to, on the port of a receiver."""

    def __init__(self, ip: str, port: int) -> None:
        self._listener = socket.create_server((ip, port))
        self._listener.setblocking(False)

    def __enter__(self) -> Victim:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def was_reached(self) -> bool:
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


# Names that are bound anew


def test_an_answer_that_turns_private_is_not_asked_for_while_connecting() -> None:
    """The check and the connection use one and the same answer: there is no second lookup to change."""
    names = NameServer(["127.0.0.1"], ["127.0.0.2"])
    with Receiver(answering(OK)) as receiver, Victim("127.0.0.2", receiver.port) as victim:
        exchange = post(f"http://hook.example:{receiver.port}/", resolver=names, policy=only_this(receiver))
        assert (exchange.status, exchange.peer_ip, names.asked) == (200, "127.0.0.1", 1)
        again = post(f"http://hook.example:{receiver.port}/", resolver=names, policy=only_this(receiver))
        assert (again.error_code, again.error_message, names.asked) == ("blocked", "Destination not allowed.", 2)
        assert not victim.was_reached()
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("ips", [["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"]], ids=["last", "first"])
def test_mixed_answers_connect_to_neither(ips: list[str]) -> None:
    connections: list[bool] = []
    trap = Receiver(lambda _: connections.append(True), reads_request=False)
    with trap as receiver, Victim("127.0.0.2", receiver.port) as victim:
        url, names = f"http://hook.example:{receiver.port}/", NameServer(ips)
        exchange = post(url, resolver=names, policy=only_this(receiver))
        assert (exchange.error_code, exchange.connect_ms) == ("blocked", None)
        assert not victim.was_reached()
    assert connections == []


def test_the_victim_notices_a_connection() -> None:
    with Victim("127.0.0.2", 0) as victim:
        port = victim._listener.getsockname()[1]
        with socket.create_connection(("127.0.0.2", port), timeout=PATIENCE):
            assert victim.was_reached()


# Answers without an end


@pytest.mark.parametrize(
    "script",
    [
        dripping(CHUNKED + b"1;", b"x"),
        dripping(CHUNKED + b"0\r\n", b"X-Trailer: x\r\n"),
    ],
    ids=["chunk extension", "trailers"],
)
def test_whatever_drips_ends_at_the_deadline_with_its_status(script: Script) -> None:
    with Receiver(script) as receiver:
        exchange = post(receiver.url(), deadline_seconds=DEADLINE)
    assert (exchange.status, exchange.error_code, exchange.response_complete) == (200, "", False)
    assert exchange.total_ms < PATIENCE * 1000


@pytest.mark.parametrize(
    "start",
    [CHUNKED + b"1;", CHUNKED + b"0\r\nX: ", CHUNKED + b"-5\r\n", CHUNKED + b"fffffffffffffffff\r\n"],
    ids=["chunk size line", "trailer line", "negative chunk", "huge chunk"],
)
def test_an_endless_answer_takes_little_memory(start: bytes) -> None:
    with Receiver(dripping(start, b"x" * 1_000_000)) as receiver:
        tracemalloc.start()
        exchange = post(receiver.url(), deadline_seconds=5)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (exchange.status, exchange.response_complete) == (200, False)
    assert exchange.response_bytes <= 2 * MAX_RESPONSE_BYTES
    assert peak < 4_000_000  # of which a million are the receiver's own


def test_a_dripped_tls_handshake_ends_at_the_deadline() -> None:
    with Receiver(dripping(b"\x16\x03\x03\x40\x00", b"\x02"), reads_request=False) as receiver:
        exchange = post(receiver.url("https"), deadline_seconds=DEADLINE)
    assert (exchange.status, exchange.error_code, exchange.tls_ms) == (None, "timeout", None)
    assert exchange.total_ms < PATIENCE * 1000


@pytest.mark.parametrize("encoding", ["deflate", "gzip"])
def test_a_bomb_of_either_format_is_unpacked_to_a_few_bytes(encoding: str) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | (16 if encoding == "gzip" else 0))
    bomb = packer.compress(bytes(50_000_000)) + packer.flush()
    tracemalloc.start()
    text = excerpt(bomb[:MAX_RESPONSE_BYTES], encoding)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text and len(text.encode()) <= 4096
    assert peak < 1_000_000
