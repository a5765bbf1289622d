"""Garbage sent to `/ws`: the socket may go, the server and everybody else's sockets stay."""

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed

from tests.contracts.clients import Server, Watcher, handshake_status, is_problem, logs, versions
from tests.servers import Api
from tests.services.processes import PATIENCE


@pytest.fixture
def neighbour(server: Server) -> Iterator[Watcher]:
    """Somebody who only watches, and must not notice anything."""
    with Watcher(server) as watcher:
        yield watcher
        task_id = server.api.submit(payload={"message": "still here"})["id"]
        assert versions(watcher.wait_for(task_id, "DONE")) == [1, 2, 3]


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\x00\xff" * 1000, "", "hello", "{}", '{"type": "tasks.changed"}', "[" * 100_000, "\0", "x" * 500_000],
    ids=["empty binary", "binary", "empty", "text", "object", "forged", "deep", "NUL", "long"],
)
def test_frames_from_a_client_change_nothing(server: Server, neighbour: Watcher, garbage: str | bytes) -> None:
    with Watcher(server) as watcher:
        for _ in range(5):
            watcher.socket.send(garbage)
        task_id = server.api.submit()["id"]
        assert versions(watcher.wait_for(task_id, "DONE")) == [1, 2, 3]
    assert all(frame.keys() >= {"task_id", "status"} for frame in neighbour.frames)


def _endless(piece: bytes, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield piece


@pytest.mark.parametrize("pieces", [1, 32], ids=["one frame", "fragments"])
def test_a_huge_message_ends_its_own_socket(server: Server, neighbour: Watcher, pieces: int) -> None:
    """Nobody needs to send anything here: what grows without end is cut (1009), not collected in memory."""
    with Watcher(server) as watcher:
        with pytest.raises(ConnectionClosed) as closed:
            watcher.socket.send(_endless(b"x" * (32_000_000 // pieces), pieces))
            watcher.socket.ping().wait(PATIENCE)
            watcher.socket.send("gone?")
            watcher._thread.join(PATIENCE)
            watcher.socket.recv(timeout=PATIENCE)
        assert closed.value.rcvd is None or closed.value.rcvd.code == 1009


@pytest.mark.parametrize(
    "raw", [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\x81\xfe\x00\x02\x00\x00\x00\x00\xff\xff"],
    ids=["HTTP", "reserved bits", "no UTF-8"],
)  # fmt: skip
def test_bytes_that_are_no_frames_end_their_own_socket(server: Server, neighbour: Watcher, raw: bytes) -> None:
    address = urlsplit(server.ws_url)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE) as connection:
        connection.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 101")
        connection.sendall(raw)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(4096):
                pass


@pytest.mark.parametrize(
    "query",
    [
        "since=x", "since=-1", "since=1.5", "since=1e3", "since=99999999999999999999", "since=" + "9" * 5000,
        "since=%00", "since=%FF", "since=%D9%A3", "since=1_000", "since=%201", "task_id=x", "task_id=%00", "task_id=7",
        "since=1&task_id=none",
    ],
    ids=lambda query: query[:30],
)  # fmt: skip
def test_a_bad_since_or_task_id_is_refused(server: Server, query: str) -> None:
    assert handshake_status(server, f"/ws?{query}") == 403


def test_a_since_of_the_future_is_no_error(server: Server) -> None:
    with Watcher(server, f"?since={2**62}") as watcher:
        task_id = server.api.submit()["id"]
        assert versions(watcher.wait_for(task_id, "DONE")) == [1, 2, 3]


@pytest.mark.parametrize("path", ["/", "/ws/", "/wss", "/ws/x", "/tasks", "/admin/", "/%00", "/%FF", "/" + "x" * 3000])
def test_a_socket_on_another_path_is_refused(server: Server, path: str) -> None:
    assert handshake_status(server, path) == 403


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_plain_http_to_ws_is_not_found(server: Server, method: str) -> None:
    sockets = Api(server.ws_url.replace("ws://", "http://"))
    is_problem(sockets.call(method, "/ws", json={"title": "x"}), 404)


@pytest.mark.parametrize(
    "headers", [{"Sec-WebSocket-Version": "7"}, {"Sec-WebSocket-Key": "short"}, {"Upgrade": "h2c"}]
)
def test_a_broken_handshake_is_refused(server: Server, headers: dict[str, str]) -> None:
    assert 400 <= handshake_status(server, **headers) < 500


def test_none_of_it_left_a_traceback(server: Server) -> None:
    assert handshake_status(server, "/nowhere") == 403
    assert handshake_status(server, "/ws?since=x") == 403
    assert "consumers.py" not in logs(server) and "Exception inside application" not in logs(server)
