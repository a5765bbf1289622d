"""A database that is there and cannot write, as after a failover: it counts as away, everywhere, and until it is back."""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from tests.chaos.proxy import Proxy
from tests.servers import ADMIN, Deployment, told
from tests.services.postgres import Postgres
from tests.services.processes import PATIENCE, eventually
from tests.services.receiver import Receiver
from tests.services.stack import Services

pytestmark = pytest.mark.services
LEASE_SECONDS = 4
MAKE_ADMIN = f"from django.contrib.auth.models import User; User.objects.create_superuser(**{ADMIN})"


@dataclass
class Address:
    """Where clients find the database: what Deployment wants of a Postgres. Whoever holds it may be another tomorrow."""

    server: Postgres
    proxy: Proxy

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.proxy.port}/{database}"

    def create_database(self, name: str) -> str:
        return self.server.create_database(name)

    def drop_database(self, name: str) -> None:
        self.server.drop_database(name)

    def rows(self, database: str, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.url(database)) as connection:
            return connection.execute(query).fetchall()


@dataclass
class Stage:
    """The production roles, before a database of their own that has a standby."""

    system: Deployment
    address: Address
    standby: Postgres
    receiver: Receiver

    def health(self) -> tuple[int, dict[str, Any]]:
        answer = self.system.api.call("GET", "/healthz")
        return answer.status_code, answer.json()["checks"]["database"]

    def works(self) -> None:
        """A task comes through all roles."""
        task_id = eventually(self._accepted)
        assert self.system.api.wait(task_id)["status"] == "DONE"
        eventually(lambda: any(task_id.encode() in request.body for request in self.receiver.requests))

    def _accepted(self) -> str:
        answer = self.system.api.call("POST", "/tasks", json={"title": "Does it work?"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["task_id"])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.address.rows(self.system.name, query)


@pytest.fixture(scope="module")
def stage(services: Services) -> Iterator[Stage]:
    one, two = (Path(services.directory) / name for name in ("primary", "standby"))
    for directory in (one, two):
        directory.mkdir(mode=0o711)
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(Postgres(one))
        standby = stack.enter_context(Postgres(two, standby_of=primary))
        proxy = stack.enter_context(Proxy(primary.port))
        receiver = stack.enter_context(Receiver())
        own: Any = copy.copy(services)
        own.postgres = address = Address(server=primary, proxy=proxy)
        system = stack.enter_context(
            Deployment(own, **told(receiver), LEASE_SECONDS=str(LEASE_SECONDS), SWEEP_SECONDS="0.5")
        )
        system.manage("shell", "-c", MAKE_ADMIN)
        yield Stage(system=system, address=address, standby=standby, receiver=receiver)


def refusal(stage: Stage) -> list[Any]:
    answer = stage.system.api.call("POST", "/tasks", json={"title": "x"})
    assert answer.status_code != 201
    return [answer]


def test_it_is_503_and_health_and_doctor_say_why_and_then_all_goes_on(stage: Stage) -> None:
    stage.works()
    api, server = stage.system.api, stage.address.server
    server.set_read_only(True)
    try:
        (refused,) = eventually(lambda: refusal(stage))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2"), refused.text
        assert refused.json()["code"] == "unavailable" and "cannot write" in refused.json()["detail"]
        assert api.call("GET", "/api/v1/tasks").status_code == 200  # who only reads is not concerned
        for path in ("/login/", "/admin/login/"):  # Django's own views, which write a session
            with requests.Session() as browser:
                browser.get(stage.system.url + path, timeout=PATIENCE)
                form = {**ADMIN, "csrfmiddlewaretoken": browser.cookies[api.cookie("csrftoken")]}
                answer = browser.post(stage.system.url + path, data=form, timeout=PATIENCE)
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2"), answer.text
        status, database = stage.health()
        assert (status, database["ok"]) == (503, False) and "cannot write" in database["error"], database
        with pytest.raises(AssertionError, match=r"postgresql cannot write: .*read-only"):
            stage.system.manage("doctor")
    finally:
        server.set_read_only(False)
    stage.works()
    status, database = stage.health()
    assert (status, database["ok"]) == (200, True), database
    assert "Internal Server Error" not in stage.system.web.printed


def test_what_ran_meanwhile_is_settled_and_not_run_again(stage: Stage) -> None:
    """The lease runs out long before the database writes again."""
    api, server = stage.system.api, stage.address.server
    task_id = api.submit("Runs", payload={"message": "done meanwhile", "seconds": 2})["task_id"]
    api.wait(task_id, status="PROCESSING")
    server.set_read_only(True)
    try:
        eventually(lambda: "Waiting for the database" in stage.system.worker.printed)
        expired = f"SELECT 1 FROM tasks_app_task WHERE id = '{task_id}' AND lease_expires_at < now()"
        eventually(lambda: stage.rows(expired))
    finally:
        server.set_read_only(False)
    assert api.wait(task_id)["status"] == "DONE"
    events = stage.rows(f"SELECT what FROM tasks_app_taskevent WHERE task_id = '{task_id}' ORDER BY id")
    assert stage.rows(f"SELECT attempt FROM tasks_app_task WHERE id = '{task_id}'") == [(1,)], events


def test_every_role_moves_to_the_server_that_took_over(stage: Stage) -> None:
    """The address leads to another server, and the old one stays up: nobody's connection breaks by itself."""
    stage.works()
    old, sent = stage.address.server, len(stage.receiver.requests)
    lost = f"SELECT pg_last_wal_replay_lsn() >= '{stage.rows('SELECT pg_current_wal_lsn()')[0][0]}'"
    eventually(lambda: Address(stage.standby, stage.address.proxy).rows("postgres", lost)[0][0])
    old.set_read_only(True)
    stage.standby.promote()
    stage.address.proxy.target = stage.standby.port
    stage.address.server = stage.standby
    stage.works()
    stage.works()
    assert len(stage.receiver.requests) >= sent + 2
    status, database = stage.health()
    assert (status, database["ok"]) == (200, True), database
    names = f"SELECT application_name FROM pg_stat_activity WHERE datname = '{stage.system.name}'"

    def all_are_there() -> bool:
        stage.works()
        found = {name for (name,) in stage.rows(names)}
        assert {"taskmanager web", "taskmanager worker", "taskmanager notifier"} <= found, found
        return True

    eventually(all_are_there)
    for role in (stage.system.worker, stage.system.notifier):
        assert "Traceback" not in role.printed, role.printed
