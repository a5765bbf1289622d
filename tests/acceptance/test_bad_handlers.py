"""Handlers that misbehave in every way: each task ends FAILED with a reason, and the worker goes on."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias

import pytest

from tests.acceptance.test_main_job import all_done, ended, submit_many
from tests.bad_handlers.handlers import RAISES, RETURNS
from tests.contracts.clients import JSON, Watcher, cancel, statuses
from tests.servers import Deployment, Standalone
from tests.services.stack import Services

IMPATIENT = {
    "EXTRA_APPS": "tests.bad_handlers",
    "LEASE_SECONDS": "3",
    "GRACE_SECONDS": "0.5",
    "SWEEP_SECONDS": "0.5",
}
Server: TypeAlias = Standalone | Deployment


@pytest.fixture(scope="module")
def threads() -> Iterator[Standalone]:
    with Standalone(**IMPATIENT) as server:
        yield server


@pytest.fixture(scope="module")
def prefork(services: Services) -> Iterator[Deployment]:
    with Deployment(services, **IMPATIENT) as server:
        yield server


@pytest.fixture(params=["threads", pytest.param("prefork", marks=pytest.mark.services)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Whatever a test does to it, an ordinary task is done afterwards."""
    found: Server = request.getfixturevalue(request.param)
    yield found
    assert found.api.wait(found.api.submit("Afterwards")["id"])["status"] == "DONE"


def _failed(server: Server, kind: str, **payload: Any) -> JSON:
    """The task, FAILED with a code, a reason that can be read, and one attempt."""
    task = server.api.wait(server.api.submit(kind=kind, payload=payload)["id"])
    assert task["status"] == "FAILED"
    assert task["error_code"] and task["error_message"].strip()
    assert task["result"] is None and task["attempt"] == 1
    return task


@pytest.mark.parametrize("what", RAISES)
def test_whatever_a_handler_raises_fails_its_task(server: Server, what: str) -> None:
    task = _failed(server, "bad_raise", what=what)
    assert len(task["error_message"]) <= 2_000
    expected = {"permanent": "never", "megabyte_of_logs": "log_too_large"}.get(what, "handler_error")
    assert task["error_code"] == expected


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("exception", "ValueError: a bug in the handler"), ("exit", "SystemExit: leaving"), ("unspeakable", "Unspeakable"),
        ("base_exception", "BaseException: no Exception"), ("nul_text", "halfway"), ("unprintable", "Unprintable"),
    ],
)  # fmt: skip
def test_the_reason_names_the_class_and_the_message(server: Server, what: str, words: str) -> None:
    assert words in _failed(server, "bad_raise", what=what)["error_message"]


@pytest.mark.parametrize("what", RETURNS)
def test_a_result_that_cannot_be_kept_fails_its_task(server: Server, what: str) -> None:
    assert _failed(server, "bad_return", what=what)["error_code"] in ("bad_result", "result_too_large")


def test_one_bad_result_does_not_spoil_its_neighbours(server: Server) -> None:
    bad = [server.api.submit(kind="bad_rider", payload={"what": what})["id"] for what in (*RETURNS, *RAISES)]
    good = [server.api.submit(kind="bad_rider", payload={"what": str(number)})["id"] for number in range(20)]
    all_done(server.api, good)
    assert {task["status"] for task in ended(server.api, bad).values()} == {"FAILED"}


def test_an_on_success_that_fails_fails_its_task(server: Server) -> None:
    assert "not after all" in _failed(server, "bad_success")["error_message"]


@pytest.mark.parametrize("payload", [{}, {"deaf": True, "seconds": 8}], ids=["heeding", "deaf"])
def test_a_handler_that_works_too_long_is_stopped(server: Server, payload: dict[str, Any]) -> None:
    task = _failed(server, "bad_hang", **payload)
    assert task["error_code"] == "timeout" and "1 seconds" in task["error_message"]


def test_a_handler_that_hangs_in_c_code_is_given_up_and_everybody_told(server: Server) -> None:
    with Watcher(server) as watcher:
        task = _failed(server, "bad_lock", seconds=8)
        assert task["error_code"] == "timeout"
        assert statuses(watcher.wait_for(task["id"], "FAILED")) == ["PENDING", "PROCESSING", "FAILED"]


def test_a_handler_that_ignores_its_cancellation_is_cancelled_all_the_same(server: Server) -> None:
    with Watcher(server) as watcher:
        task_id = server.api.submit(kind="bad_patience", payload={"seconds": 20})["id"]
        server.api.wait(task_id, status="PROCESSING")
        cancel(server, task_id)
        server.api.wait(task_id, status="CANCELLED")
        assert statuses(watcher.wait_for(task_id, "CANCELLED")) == ["PENDING", "PROCESSING", "CANCELLED"]


def test_deaf_handlers_do_not_take_all_places(server: Server) -> None:
    """More of them than the worker has places: on threads some places are lost for as long as they sleep."""
    count = 4 if isinstance(server, Deployment) else 6
    ids = [server.api.submit(kind="bad_lock", payload={"seconds": 8})["id"] for _ in range(count)]
    assert {task["status"] for task in ended(server.api, ids).values()} == {"FAILED"}
    all_done(server.api, submit_many(server.api, 20))


@pytest.mark.services
@pytest.mark.parametrize(
    "payload",
    [{"how": "os._exit"}, {"how": "os._exit", "code": 1}, {"how": "kill"}],
    ids=["exit 0", "exit 1", "kill -9"],
)
def test_a_handler_that_ends_its_process_fails_its_task(prefork: Deployment, payload: dict[str, Any]) -> None:
    assert _failed(prefork, "bad_end", **payload)["error_code"] == "worker_lost"
    assert prefork.api.wait(prefork.api.submit("Afterwards")["id"])["status"] == "DONE"


@pytest.mark.services
def test_killers_do_not_keep_others_from_being_done(prefork: Deployment) -> None:
    killers = [prefork.api.submit(kind="bad_end", payload={"how": "kill"})["id"] for _ in range(4)]
    all_done(prefork.api, submit_many(prefork.api, 40))
    tasks = ended(prefork.api, killers).values()
    assert {(task["status"], task["error_code"]) for task in tasks} == {("FAILED", "worker_lost")}


@pytest.mark.services
def test_a_killer_among_31_riders_fails_alone(prefork: Deployment) -> None:
    """What becomes due at the same moment travels in one message; each has a single attempt."""
    due = (datetime.now(timezone.utc) + timedelta(seconds=4)).isoformat()
    whats = [*map(str, range(15)), "kill", *map(str, range(15, 31))]
    ids = [prefork.api.submit(kind="bad_rider", payload={"what": what}, run_at=due)["id"] for what in whats]
    killer = ids[15]

    tasks = ended(prefork.api, ids)

    assert (tasks[killer]["status"], tasks[killer]["error_code"]) == ("FAILED", "worker_lost")
    del tasks[killer]
    assert {task["status"] for task in tasks.values()} == {"DONE"}
    assert {(task["max_attempts"], task["attempts_used"]) for task in tasks.values()} == {(1, 1)}
    assert any(task["attempt"] > 1 for task in tasks.values()), "nobody rode with the killer"


def test_every_misdeed_has_a_name_of_its_own() -> None:
    assert not RAISES.keys() & RETURNS.keys()
