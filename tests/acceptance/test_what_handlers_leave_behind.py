"""Handlers that leave something behind: ordinary tasks after each find everything as it was, and start at once.

There is one place to work, and no lease ends during the test: what was lost for as long would never be done.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import psutil
import pytest

from tests.acceptance.test_main_job import ended, submit_many
from tests.bad_handlers.leavings import ERRORS, LEAVES
from tests.contracts.clients import JSON
from tests.servers import Deployment, Standalone
from tests.services.stack import Services

ONE_AT_A_TIME = {
    "EXTRA_APPS": "tests.bad_handlers", "WORKER_CONCURRENCY": "1", "GRACE_SECONDS": "0.5", "LEASE_SECONDS": "3600",
}  # fmt: skip
MAX_LINES = 120
"""That a server may log about one such handler and the tasks after it."""
Server: TypeAlias = Standalone | Deployment


@pytest.fixture(scope="module")
def threads() -> Iterator[Standalone]:
    server = Standalone(**ONE_AT_A_TIME)
    server.command += ["--threads", "1"]
    with server:
        yield server


@pytest.fixture(scope="module")
def prefork(services: Services) -> Iterator[Deployment]:
    with Deployment(services, **ONE_AT_A_TIME) as server:
        yield server


@pytest.fixture(params=["threads", pytest.param("prefork", marks=pytest.mark.services)])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def log_of(server: Server) -> list[str]:
    role = server.worker if isinstance(server, Deployment) else server
    return role.log.read_text(errors="replace").splitlines()


def what_a_handler_finds(server: Server) -> JSON:
    task = server.api.wait(server.api.submit(kind="finds")["id"])
    assert task["status"] == "DONE", task
    return dict(task["result"])


def task_before_others(server: Server, **fields: Any) -> JSON:
    """This task once it has ended, and six after it: in one attempt, each, and with few lines in the log."""
    before, lines = what_a_handler_finds(server), len(log_of(server))
    first = server.api.submit(**fields)["id"]
    after = [*submit_many(server.api, 3, kind="finds"), *submit_many(server.api, 3)]
    tasks = ended(server.api, [first, *after])
    assert {tasks[key]["status"] for key in after} == {"DONE"}, tasks
    assert {task["attempt"] for task in tasks.values()} == {1}
    assert [tasks[key]["result"] for key in after[:3]] == [before] * 3
    assert len(log_of(server)) - lines < MAX_LINES
    return dict(tasks[first])


@pytest.mark.parametrize("what", LEAVES)
def test_what_a_handler_leaves_behind_is_gone_after_it(server: Server, what: str) -> None:
    task = task_before_others(server, kind="leaves", payload={"what": what})
    assert task["status"] == "DONE" or "Error" in task["error_message"]  # there is nothing to commit, as it says


@pytest.mark.parametrize("what", LEAVES)
def test_what_is_left_behind_in_the_settlement_is_gone_after_it(server: Server, what: str) -> None:
    """Where it spoils the settlement itself, its task is FAILED and says so, history and all."""
    task = task_before_others(server, kind="leaves", payload={"what": what, "in_effect": True})
    assert task["status"] == "DONE" or (task["error_code"] == "settle_failed" and task["error_message"])
    events = server.api.call("GET", f"/api/v1/tasks/{task['id']}/events").json()["events"]
    ends = [event["what"] for event in events if event["what"] in ("succeeded", "failed")]
    assert ends == ["succeeded" if task["status"] == "DONE" else "failed"]


@pytest.mark.parametrize("in_effect", [False, True], ids=["handler", "settlement"])
@pytest.mark.parametrize("what", [name for name in ERRORS if name != "hangs"])
def test_an_exception_that_is_hard_to_print_is_printed_in_part(server: Server, what: str, in_effect: bool) -> None:
    task = task_before_others(server, kind="bad_error", payload={"what": what, "in_effect": in_effect})
    assert task["status"] == "FAILED" and task["error_message"].strip()
    assert task["error_code"] == ("settle_failed" if in_effect else "handler_error")


@pytest.mark.services
@pytest.mark.parametrize("in_effect", [False, True], ids=["handler", "settlement"])
def test_a_message_that_never_ends_is_the_handlers_own_time(prefork: Deployment, in_effect: bool) -> None:
    payload = {"what": "hangs", "in_effect": in_effect}
    task = task_before_others(prefork, kind="bad_error", payload=payload, timeout=2)
    assert (task["status"], task["error_code"]) == ("FAILED", "timeout")


def test_a_handler_may_start_processes(server: Server) -> None:
    task = task_before_others(server, kind="bad_processes", payload={"what": "pool", "method": "spawn"})
    assert (task["status"], task["result"]) == ("DONE", [0, 1, 4, 9, 16])


@pytest.mark.services
def test_processes_that_a_handler_leaves_end_with_it(prefork: Deployment, tmp_path: Path) -> None:
    payload = {"what": "left_running", "file": str(tmp_path / "pid")}
    assert task_before_others(prefork, kind="bad_processes", payload=payload)["status"] == "DONE"
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


@pytest.mark.services
def test_processes_of_a_handler_that_is_stopped_by_force_end_with_it(prefork: Deployment, tmp_path: Path) -> None:
    payload = {"what": "left_and_deaf", "file": str(tmp_path / "pid")}
    task = task_before_others(prefork, kind="bad_processes", payload=payload, timeout=2)
    assert (task["status"], task["error_code"]) == ("FAILED", "timeout")
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


@pytest.mark.services
def test_a_worker_process_that_was_killed_is_replaced_though_its_own_processes_live_on(
    prefork: Deployment, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    killed = prefork.api.submit(kind="bad_processes", payload={"what": "left_and_killed", "file": str(file)})["id"]
    tasks = ended(prefork.api, submit_many(prefork.api, 6))
    psutil.Process(int(file.read_text())).kill()
    assert {(task["status"], task["attempt"]) for task in tasks.values()} == {("DONE", 1)}
    assert prefork.api.task(killed)["status"] == "PROCESSING"  # until its lease ends


def test_a_handler_that_takes_all_memory_fails_alone(server: Server) -> None:
    task = task_before_others(server, kind="bad_memory")
    assert (task["status"], task["error_code"]) == ("FAILED", "handler_error")
    assert "MemoryError" in task["error_message"]


@pytest.mark.parametrize("in_effect", [False, True], ids=["handler", "settlement"])
def test_a_handler_that_is_given_up_lets_go_of_its_locks(server: Server, tmp_path: Path, in_effect: bool) -> None:
    payload = {"in_effect": in_effect, "until": str(tmp_path / "until")}
    try:
        task = server.api.wait(server.api.submit(kind="bad_hold", payload=payload, timeout=1)["id"])
        afterwards = server.api.submit("Afterwards")["id"]
    finally:
        (tmp_path / "until").touch()
    assert (task["status"], task["error_code"], task["attempt"]) == ("FAILED", "timeout", 1)
    assert server.api.wait(afterwards)["attempt"] == 1
