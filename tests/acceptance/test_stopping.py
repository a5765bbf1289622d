"""A server that is told to end: what runs may finish, the rest is handed back, and the next one takes it up."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Deployment, Gate, Standalone
from tests.services.processes import PATIENCE, eventually
from tests.services.stack import Services

SECONDS = 4.0
FOREVER = 3600
"""A worker that waited for it would still run when nobody waits for the worker any more."""


@pytest.fixture(scope="module")
def fleet(services: Services) -> Iterator[Deployment]:
    options = {"SHUTDOWN_SECONDS": str(SECONDS), "GRACE_SECONDS": "2", "EXTRA_APPS": "tests.bad_handlers"}
    with Deployment(services, **options) as started:
        yield started


@pytest.fixture
def deployment(fleet: Deployment) -> Iterator[Deployment]:
    yield fleet
    if not fleet.worker.is_running():
        fleet.worker.start()


def running(server: Deployment | Standalone, title: str = "A task", **fields: Any) -> str:
    task_id: str = server.api.submit(title, **{"max_attempts": 1, **fields})["id"]
    server.api.wait(task_id, status="PROCESSING")
    return task_id


def told_to_end(role: Any, number: signal.Signals = signal.SIGTERM) -> None:
    """Returns when it is gone."""
    role.send_signal(number)
    assert role.wait(PATIENCE) == 0, role.log_tail()


def test_a_task_that_ends_in_time_is_done_and_runs_once(deployment: Deployment, gate: Gate) -> None:
    task_id = running(deployment, **gate.order)
    deployment.worker.send_signal(signal.SIGTERM)
    gate.open()
    assert deployment.worker.wait(PATIENCE) == 0, deployment.worker.log_tail()
    task = deployment.api.task(task_id)
    assert (task["status"], task["attempt"]) == ("DONE", 1)


@pytest.mark.parametrize("kind", ["message", "bad_patience", "bad_lock"])
def test_what_does_not_end_in_time_is_handed_back_without_costing_an_attempt(deployment: Deployment, kind: str) -> None:
    """One that heeds a stop, one that swallows it, one that hangs in C code."""
    payload = {"message": "m", "seconds": FOREVER, "deaf": True}
    # bad_lock has a time limit of one second of its own: its timeout here lies behind the end of the worker.
    task_id = running(deployment, kind=kind, payload=payload, timeout=FOREVER)
    told_to_end(deployment.worker)
    task = deployment.api.call("GET", f"/api/v1/tasks/{task_id}").json()
    assert task["status"] == "PENDING", task
    assert "released" in [event["what"] for event in events(deployment, task_id)]
    deployment.api.call("POST", f"/api/v1/tasks/{task_id}/cancel")


def events(deployment: Deployment, task_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deployment.api.call("GET", f"/api/v1/tasks/{task_id}/events").json()["events"]
    return found


def test_a_deploy_under_load_runs_nothing_twice_and_loses_nothing(deployment: Deployment) -> None:
    """max_attempts=1: a task that was counted twice would have failed."""
    ids = [
        deployment.api.submit(f"Load {n}", payload={"message": "m", "seconds": 0.2}, max_attempts=1)["id"]
        for n in range(40)
    ]
    for _ in range(2):
        told_to_end(deployment.worker)
        deployment.worker.start()
    tasks = [deployment.api.wait(task_id) for task_id in ids]
    assert {(task["status"], task["attempt"]) for task in tasks} == {("DONE", 1)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_embedded_server_hands_back_and_ends_without_waiting_for_what_runs(
    tmp_path: Path, number: signal.Signals
) -> None:
    server = Standalone(tmp_path, EXTRA_APPS="tests.bad_handlers")
    server.start()
    try:
        heeding = running(server, "Heeds", payload={"message": "m", "seconds": FOREVER})
        deaf = running(server, "Deaf", kind="bad_patience", payload={"seconds": FOREVER, "deaf": True})
        told_to_end(server, number)
        server.start()
        for task_id in (heeding, deaf):
            again = eventually(lambda key=task_id: _begun_again(server, key))  # type: ignore[misc]
            assert again["attempt"] == 2
    finally:
        server.stop()


def _begun_again(server: Standalone, task_id: str) -> dict[str, Any]:
    task = server.api.task(task_id)
    return task if task["status"] == "PROCESSING" else {}
