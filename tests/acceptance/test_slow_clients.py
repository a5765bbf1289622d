"""Hundreds of clients that send or read next to nothing hold up nobody else, and are hung up on."""

import contextlib
import resource
from collections.abc import Iterator

import pytest

from tests.acceptance.slow_clients import SlowClients
from tests.servers import Deployment, Role, Standalone
from tests.services.processes import eventually
from tests.services.stack import Services

COUNT = 200
FLOOD = 1200
"""Idle connections; the servers begin with 1,024 open files."""
KINDS = ("idle", "slow head", "slow body", "slow chunks", "slow reader")
LARGE = {"message": "m", "padding": "x" * 700_000}


@pytest.fixture(scope="module")
def fleet(services: Services) -> Iterator[Deployment]:
    deployment = Deployment(services, REQUEST_SECONDS="2", WEB_THREADS="2", LONG_POLLS="1")
    for role in (deployment.web, deployment.live):
        begin_with_few_files(role)
    with deployment as started:
        yield started


@pytest.fixture(scope="module")
def standalone() -> Iterator[Standalone]:
    server = Standalone(REQUEST_SECONDS="2")
    begin_with_few_files(server)
    with server as started:
        yield started


def begin_with_few_files(server: Role | Standalone) -> None:
    server.command = ["sh", "-c", 'ulimit -S -n 1024; exec "$@"', "sh", *server.command]


@pytest.fixture(params=["web", "live", "standalone"])
def server(request: pytest.FixtureRequest) -> Role | Standalone:
    if request.param == "standalone":
        alone: Standalone = request.getfixturevalue("standalone")
        return alone
    role: Role = getattr(request.getfixturevalue("fleet"), request.param)
    return role


def crowd(server: Role | Standalone, kind: str) -> SlowClients:
    """200 clients of one kind."""
    head = f" HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    post = f"POST /tasks{head}Content-Type: application/json\r\n"
    beginning, rest = {
        "idle": ("", ""),
        "slow head": (f"GET /livez{head}X-Slow: ", "a" * 1000),
        "slow body": (f"{post}Content-Length: 1000\r\n\r\n{{", " " * 998),
        "slow chunks": (f"{post}Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n" * 200),
        "slow reader": (f"GET /tasks/{large_task(server)}{head}\r\n" if kind == "slow reader" else "", ""),
    }[kind]
    return SlowClients(server.port, count=COUNT, beginning=beginning.encode(), rest=rest.encode())


def large_task(server: Role | Standalone) -> str:
    task_id: str = server.api.submit("Large", payload=LARGE)["id"]
    return task_id


def test_two_hundred_slow_clients_of_each_kind_hold_up_nobody_and_are_hung_up_on(server: Role | Standalone) -> None:
    crowds = {kind: crowd(server, kind) for kind in KINDS}
    with contextlib.ExitStack() as stack:
        for clients in crowds.values():
            stack.enter_context(clients)
        for _ in range(10):
            assert server.api.call("GET", "/livez").status_code == 200
            task = server.api.submit("Beside them")
            assert server.api.task(task["id"])["title"] == "Beside them"

        def connected() -> dict[str, int]:
            return {kind: count for kind, clients in crowds.items() if (count := clients.connected())}

        eventually(lambda: connected() == {}, message="some are still connected")


def test_a_flood_of_idle_connections_holds_up_nobody(server: Role | Standalone) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with SlowClients(server.port, count=FLOOD, beginning=b""):
            assert server.api.call("GET", "/livez").status_code == 200
            server.api.submit("Beside them")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
