"""HTTP as programs really speak it, byte by byte, to each of the servers that speak it."""

import contextlib
import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.slow_clients import ESTABLISHED, SlowClients
from tests.servers import Deployment, Role, Standalone
from tests.services.processes import PATIENCE, eventually
from tests.services.stack import Services

BODY = b'{"title": "By hand"}'
JSON = b"Content-Type: application/json\r\n"
TOO_LARGE = 3_000_000


@pytest.fixture(scope="module")
def fleet(services: Services) -> Iterator[Deployment]:
    with Deployment(services, REQUEST_SECONDS="20") as started:
        yield started


@pytest.fixture(scope="module")
def standalone() -> Iterator[Standalone]:
    with Standalone() as started:
        yield started


@pytest.fixture(params=["web", "live", "standalone"])
def server(request: pytest.FixtureRequest) -> Role | Standalone:
    if request.param == "standalone":
        alone: Standalone = request.getfixturevalue("standalone")
        return alone
    role: Role = getattr(request.getfixturevalue("fleet"), request.param)
    return role


def talk(server: Role | Standalone, *parts: bytes) -> list[tuple[int, bytes]]:
    """Sends the parts, each when something came back for the one before; status and body of each answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        received = b""
        for number, part in enumerate(parts):
            with contextlib.suppress(ConnectionError):
                client.sendall(part)
            if number < len(parts) - 1:
                received += client.recv(65536)
        with contextlib.suppress(ConnectionError):
            while more := client.recv(65536):
                received += more
    return list(answers(received))


def answers(received: bytes) -> Iterator[tuple[int, bytes]]:
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        yield int(lines[0].split()[1]), rest[:length]
        received = rest[length:]


def post(*headers: bytes, version: bytes = b"1.1", close: bool = True) -> bytes:
    lines = [b"POST /tasks HTTP/" + version, b"Host: localhost", *headers]
    return b"\r\n".join([*lines, *([b"Connection: close"] if close else [])]) + b"\r\n" + JSON + b"\r\n"


def length(size: int) -> bytes:
    return f"Content-Length: {size}".encode()


def title(body: bytes) -> Any:
    return json.loads(body)["title"]


def test_a_chunked_body_is_read(server: Role | Standalone) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:7], BODY[7:])) + b"0\r\n\r\n"
    [(status, body)] = talk(server, post(b"Transfer-Encoding: chunked") + chunks)
    assert (status, title(body)) == (201, "By hand")


def test_a_client_that_waits_for_100_is_asked_to_go_on(server: Role | Standalone) -> None:
    (first, _), (second, body) = talk(server, post(length(len(BODY)), b"Expect: 100-continue"), BODY)
    assert (first, second, title(body)) == (100, 201, "By hand")


def test_a_body_that_is_too_large_is_413_also_for_a_client_that_sends_all_of_it_first(
    server: Role | Standalone,
) -> None:
    [(status, body)] = talk(server, post(length(TOO_LARGE)) + b" " * TOO_LARGE)
    assert (status, json.loads(body)["code"]) == (413, "too_large")


def test_a_body_that_is_too_large_and_chunked_is_413(server: Role | Standalone) -> None:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    [(status, body)] = talk(server, post(b"Transfer-Encoding: chunked") + chunk * 40 + b"0\r\n\r\n")
    assert (status, json.loads(body)["code"]) == (413, "too_large")


def test_http_1_0_is_answered(server: Role | Standalone) -> None:
    [(status, body)] = talk(server, post(length(len(BODY)), version=b"1.0") + BODY)
    assert (status, title(body)) == (201, "By hand")


def test_requests_sent_in_a_row_are_answered_in_a_row(server: Role | Standalone) -> None:
    first, second = b'{"title": "First"}', b'{"title": "Second"}'
    found = talk(server, post(length(len(first)), close=False) + first + post(length(len(second))) + second)
    assert [(status, title(body)) for status, body in found] == [(201, "First"), (201, "Second")]


def test_of_half_a_body_nothing_is_made(server: Role | Standalone) -> None:
    before = len(server.api.all())
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
            client.sendall(post(length(100)) + BODY)
    assert server.api.call("GET", "/livez").status_code == 200
    assert len(server.api.all()) == before


def test_a_head_without_end_is_refused(server: Role | Standalone) -> None:
    endless = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 2_000_000
    assert all(400 <= status < 500 for status, _ in talk(server, endless))
    assert server.api.call("GET", "/livez").status_code == 200


def test_a_large_answer_arrives_whole_at_a_reader_that_takes_its_time(server: Role | Standalone) -> None:
    payload = {"message": "m", "padding": "x" * 900_000}
    task_id = server.api.submit("Large", payload=payload)["id"]
    with server.api.session.get(f"{server.url}/tasks/{task_id}", stream=True, timeout=PATIENCE) as answer:
        pieces = list(answer.iter_content(10_000))
    assert json.loads(b"".join(pieces))["payload"] == payload


@pytest.mark.parametrize("crowded", [False, True])
def test_a_request_in_progress_is_answered_when_web_is_told_to_end(fleet: Deployment, *, crowded: bool) -> None:
    web = fleet.extra("web", LONG_POLLS="2", REQUEST_SECONDS="5")
    web.start()
    task_id = web.api.submit("Long", payload={"message": "m", "seconds": 10})["id"]
    found: list[requests.Response] = []
    count = 100 if crowded else 0
    asking = threading.Thread(
        target=lambda: found.append(web.api.call("GET", f"/api/v1/tasks/{task_id}?wait=3")), daemon=True
    )
    head = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    with SlowClients(web.port, count=count, beginning=head) as crowd:
        asking.start()
        eventually(lambda: connections(web.port) > crowd.connected())
        assert requests.get(f"{web.url}/livez", timeout=PATIENCE).ok  # whatever came before it was accepted by now
        web.send_signal(signal.SIGTERM)
        assert web.wait(PATIENCE) == 0, web.log_tail()
    asking.join(PATIENCE)
    assert [answer.status_code for answer in found] == [200]


def connections(port: int) -> int:
    """How many this port of this machine has."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(int(local[-4:], 16) == port and state == ESTABLISHED for _, local, _, state, *_ in fields)
