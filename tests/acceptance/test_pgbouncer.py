"""All roles behind PgBouncer in transaction mode, where a session belongs to nobody. No setting is needed."""

import contextlib
import copy
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from tests.servers import Deployment, told
from tests.services.pgbouncer import PgBouncer
from tests.services.processes import eventually
from tests.services.receiver import Receiver
from tests.services.stack import Services

pytestmark = pytest.mark.services
SESSIONS = 3
FOLLOWED = {"application_name", "client_encoding", "DateStyle", "standard_conforming_strings", "TimeZone"}
"""Settings that PgBouncer keeps apart for each of its clients."""


class Pooled:
    """The roles, two notifiers among them, and who is told."""

    def __init__(self, system: Deployment, receiver: Receiver, bouncer: PgBouncer) -> None:
        self.system, self.receiver, self.bouncer = system, receiver, bouncer

    def rows(self, query: str, *, through: bool = False) -> list[tuple[Any, ...]]:
        server = self.bouncer if through else self.bouncer.postgres
        with psycopg.connect(server.url(self.system.name), autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def told_of(self) -> set[str]:
        return {json.loads(request.body)["id"] for request in self.receiver.requests}


@pytest.fixture(scope="module")
def pooled(services: Services) -> Iterator[Pooled]:
    with contextlib.ExitStack() as stack:
        bouncer = stack.enter_context(PgBouncer(services.directory, services.postgres, size=SESSIONS))
        receiver = stack.enter_context(Receiver())
        own: Any = copy.copy(services)
        own.postgres = bouncer
        system = stack.enter_context(Deployment(own, **told(receiver), SWEEP_SECONDS="0.2"))
        second = system.extra("notifier")
        stack.callback(second.stop)
        second.start()
        yield Pooled(system, receiver, bouncer)


def test_everything_that_is_submitted_ends_and_is_told(pooled: Pooled) -> None:
    api = pooled.system.api
    ids = {api.submit(f"Task {number}", payload={"message": "x"})["task_id"] for number in range(40)}
    soon = (datetime.now(timezone.utc) + timedelta(seconds=1)).isoformat()
    ids |= {api.submit(f"Later {number}", run_at=soon)["task_id"] for number in range(5)}  # the sweep wakes them up
    for task_id in ids:
        assert api.wait(task_id)["status"] == "DONE"
    eventually(lambda: ids <= pooled.told_of())
    assert api.call("GET", "/healthz").status_code == 200
    assert api.call("GET", "/").status_code == 200


def test_the_sweep_goes_on(pooled: Pooled) -> None:
    seen: set[datetime] = set()

    def another_beat() -> bool:
        seen.update(at for (at,) in pooled.rows("SELECT at FROM tasks_app_heartbeat WHERE name = 'sweep'"))
        return len(seen) >= 5

    eventually(another_beat)


def test_nothing_of_a_session_is_left_for_others(pooled: Pooled) -> None:
    foreign = "SELECT name FROM pg_settings WHERE source = 'session'"
    for _ in range(10 * SESSIONS):
        assert {name for (name,) in pooled.rows(foreign, through=True)} <= FOLLOWED
        assert pooled.rows("SHOW idle_in_transaction_session_timeout", through=True) == [("0",)]
        assert pooled.rows("SELECT count(*) FROM pg_prepared_statements", through=True) == [(0,)]
        assert pooled.rows("SELECT count(*) FROM pg_cursors WHERE is_holdable", through=True) == [(0,)]
        time.sleep(0.05)  # other roles get at the sessions meanwhile
    assert pooled.rows(
        "SELECT count(*) FROM pg_locks JOIN pg_database AS mine ON mine.oid = database "
        "WHERE locktype = 'advisory' AND datname = current_database()"
    ) == [(0,)]
    assert pooled.rows("SELECT count(*) FROM pg_class WHERE relpersistence = 't'") == [(0,)]


def test_a_pooler_that_is_restarted_is_waited_for(pooled: Pooled) -> None:
    api = pooled.system.api
    pooled.bouncer.kill()
    assert api.call("POST", "/tasks", json={"title": "x"}).status_code == 503
    pooled.bouncer.start()

    def accepted() -> str:
        answer = api.call("POST", "/tasks", json={"title": "After"})
        assert answer.status_code == 201
        return str(answer.json()["task_id"])

    task_id = eventually(accepted)
    assert api.wait(task_id)["status"] == "DONE"
    eventually(lambda: task_id in pooled.told_of())
