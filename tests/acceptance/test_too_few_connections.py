"""A PostgreSQL that allows fewer connections than the roles take: whoever gets none waits, and says so."""

import contextlib
import copy
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from psycopg import sql
from websockets.sync.client import connect

from tests.servers import Deployment, told
from tests.services.postgres import Postgres
from tests.services.processes import PATIENCE, eventually
from tests.services.receiver import Receiver
from tests.services.stack import Services

pytestmark = pytest.mark.services
CLIENTS, TASKS = 12, 60
MOST, RESERVED = 20, 3


class Cramped(Postgres):
    """Few connections; what others use is no superuser, for whom some are reserved."""

    def url(self, database: str = "postgres", *, user: str = "clerk") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def is_ready(self) -> bool:
        self.run("SELECT 1")
        return True

    def create_database(self, name: str, *, template: str = "template1") -> str:
        self.run("CREATE USER clerk")
        self.run(f"CREATE DATABASE {name} OWNER clerk")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """It goes with the server."""

    def run(self, statement: str) -> None:
        with psycopg.connect(self.url(user="postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement))


@pytest.fixture(scope="module")
def cramped(services: Services) -> Iterator[tuple[Deployment, Receiver, Cramped]]:
    directory = Path(services.directory) / "cramped"
    directory.mkdir(mode=0o711)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Cramped(directory, max_connections=MOST))
        receiver = stack.enter_context(Receiver())
        own: Any = copy.copy(services)
        own.postgres = server
        system = Deployment(own, **told(receiver), WORKER_CONCURRENCY="4", WEB_THREADS="6")
        yield stack.enter_context(system), receiver, server


def accepted(system: Deployment, number: int = 0) -> str:
    def answered() -> str:
        task = {"title": f"Task {number}", "payload": {"message": "x", "seconds": 0.1}}
        answer = requests.post(f"{system.url}/tasks", timeout=PATIENCE, json=task)
        assert answer.status_code in (201, 503), answer.text
        return str(answer.json()["task_id"]) if answer.status_code == 201 else ""

    return eventually(answered, interval=0.2)


def test_everything_that_is_accepted_ends_and_is_told(cramped: tuple[Deployment, Receiver, Cramped]) -> None:
    system, receiver, _ = cramped
    with contextlib.ExitStack() as others, ThreadPoolExecutor(CLIENTS) as pool:
        for _ in range(4):
            with contextlib.suppress(Exception):
                others.enter_context(connect(f"{system.ws_url}/ws"))
        ids = set(pool.map(lambda number: accepted(system, number), range(TASKS)))

        def ended() -> bool:
            answer = requests.get(f"{system.url}/tasks", timeout=PATIENCE)
            assert answer.status_code == 200, answer.text
            found = {task["id"]: task["status"] for task in answer.json()["tasks"]}
            assert {found[key] for key in ids} == {"DONE"}, found
            return True

        eventually(ended, interval=0.5)
        eventually(lambda: ids <= {json.loads(request.body)["id"] for request in receiver.requests})


def test_whoever_gets_none_waits_and_says_so(cramped: tuple[Deployment, Receiver, Cramped]) -> None:
    system, receiver, server = cramped
    server.run("ALTER USER clerk CONNECTION LIMIT 0")
    server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clerk'")
    with contextlib.ExitStack() as stack:
        for method, path in (("POST", "/tasks"), ("GET", "/api/v1/tasks"), ("GET", "/")):
            answer = requests.request(method, system.url + path, json={"title": "x"}, timeout=PATIENCE)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2"), answer.text
            assert "no connection free" in answer.text
        health = requests.get(f"{system.url}/healthz", timeout=PATIENCE)
        assert health.json()["checks"]["database"]["error"] == "has no connection free", health.text
        late = system.extra("worker", DB_CONNECT_BACKOFF="0.2", DB_CONNECT_ATTEMPTS="1000")
        stack.callback(late.stop)
        late.launch()
        eventually(lambda: "Waiting for DATABASE_URL" in late.printed)
        server.run("ALTER USER clerk CONNECTION LIMIT -1")
        late.wait_until_ready()
    task_id = accepted(system)
    assert system.api.wait(task_id)["status"] == "DONE"
    eventually(lambda: any(task_id.encode() in request.body for request in receiver.requests))


def test_doctor_compares_what_the_roles_take_with_what_there_is(
    cramped: tuple[Deployment, Receiver, Cramped],
) -> None:
    def says() -> bool:
        try:
            said = cramped[0].manage("doctor")
        except AssertionError as error:  # it may find something else, too
            said = str(error)
        assert "connections: One of each role takes 32 at most (web 9, worker 12, notifier 3, live 8)" in said
        assert f"; {MOST - RESERVED} are allowed." in said and "Raise max_connections" in said, said
        return True

    eventually(says)
