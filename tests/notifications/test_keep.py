"""Kept-alive connections: one for many requests, on the address that was checked, and never a reason to fail."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from notifications.connection import Keep
from notifications.sender import Exchange, send
from notifications.targets import EgressPolicy

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
POLICY = EgressPolicy(allow_loopback=True, allow_http=True)


class Server:
    """Counts connections and requests. `after` says what is done after each answer: True closes the connection."""

    def __init__(self, answer: bytes, after: Callable[[int], bool]) -> None:
        self.answer, self.after = answer, after
        self.connections = self.requests = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/hook"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _address = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as lines:
            while head := lines.readline():
                length = 0
                while (line := lines.readline().strip()) != b"":
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                lines.read(length)
                self.requests += bool(head)
                peer.sendall(self.answer)
                if self.after(self.requests):
                    return


@contextmanager
def serving(answer: bytes = OK, after: Callable[[int], bool] = lambda _count: False) -> Iterator[Server]:
    server = Server(answer, after)
    yield server
    server.listener.close()


@pytest.fixture
def keep() -> Iterator[Keep]:
    kept = Keep()
    yield kept
    kept.close()


def post(server: Server, keep: Keep, *, seconds: float = 30) -> Exchange:
    return send(server.url, body=b"{}", headers={}, policy=POLICY, keep=keep, deadline_seconds=seconds)


def test_many_requests_go_over_one_connection(keep: Keep) -> None:
    with serving() as server:
        exchanges = [post(server, keep) for _ in range(5)]
    assert [exchange.status for exchange in exchanges] == [200] * 5
    assert (server.connections, server.requests) == (1, 5)
    assert [exchange.connect_ms is None for exchange in exchanges] == [False, True, True, True, True]
    assert {exchange.peer_ip for exchange in exchanges} == {"127.0.0.1"}


def test_one_that_the_receiver_closed_is_made_anew_within_the_same_attempt(keep: Keep) -> None:
    with serving(after=lambda _count: True) as server:
        assert [post(server, keep).status for _ in range(4)] == [200] * 4
    assert (server.connections, server.requests) == (4, 4)


def test_after_so_many_requests_it_is_made_anew(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keep, "MAX_USES", 2)
    with serving() as server:
        assert [post(server, keep).status for _ in range(5)] == [200] * 5
    assert server.connections == 3


def test_when_it_is_too_old_it_is_made_anew(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Keep, "MAX_AGE_SECONDS", -1)
    with serving() as server:
        assert [post(server, keep).status for _ in range(3)] == [200] * 3
    assert server.connections == 3


def test_an_answer_that_is_not_read_to_its_end_ends_the_connection(keep: Keep) -> None:
    with serving(answer=b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + b"x" * 200_000) as server:
        assert [post(server, keep).status for _ in range(2)] == [200, 200]
    assert (server.connections, keep.is_open) == (2, False)


def test_another_origin_does_not_get_it(keep: Keep) -> None:
    with serving() as one, serving() as other:
        assert [post(server, keep).status for server in (one, other, one)] == [200] * 3
    assert (one.connections, other.connections) == (2, 1)


def test_the_rules_are_asked_again_when_it_is_made_anew(keep: Keep) -> None:
    with serving(after=lambda _count: True) as server:
        assert post(server, keep).status == 200
        strict = EgressPolicy(allow_http=True)
        refused = send(server.url, body=b"{}", headers={}, policy=strict, keep=keep)
    assert (refused.error_code, server.requests) == ("blocked", 1)


def test_the_deadline_cuts_a_kept_one_too(keep: Keep) -> None:
    with serving() as server:
        assert post(server, keep).status == 200
        server.answer = b""  # from now on it is silent
        exchange = post(server, keep, seconds=0.5)
    assert (exchange.error_code, keep.is_open, server.connections) == ("timeout", False, 1)


def test_a_receiver_that_breaks_off_its_answer_is_not_asked_twice(keep: Keep) -> None:
    with serving() as server:
        assert post(server, keep).status == 200
        server.answer, server.after = b"HTTP/", lambda _count: True
        exchange = post(server, keep)
    assert (exchange.status, exchange.error_code, server.requests) == (None, "reset", 2)
