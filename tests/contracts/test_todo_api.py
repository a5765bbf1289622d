"""The task-manager clients: a to-do style API (CONTRACTS, 1), on both ways to run the server."""

from typing import Any

import pytest

from tests.contracts.clients import LATER, Server, Watcher, cancel, is_problem, logs, statuses
from tests.servers import Gate
from tests.services.processes import eventually


def test_the_list_is_an_envelope(server: Server) -> None:
    task_id = server.api.submit()["id"]
    answer = server.api.call("GET", "/tasks")
    assert answer.status_code == 200
    tasks = answer.json()["tasks"]
    assert isinstance(tasks, list) and tasks[0]["id"] == task_id


def test_a_created_task_comes_back_as_task(server: Server) -> None:
    answer = server.api.call("POST", "/tasks", json={"title": "Buy milk", "description": "Two litres"})
    assert answer.status_code == 201
    task = answer.json()["task"]
    assert isinstance(task["id"], str)
    assert (task["title"], task["description"], task["done"]) == ("Buy milk", "Two litres", False)


def test_the_description_may_be_left_out(server: Server) -> None:
    assert server.api.call("POST", "/tasks", json={"title": "Buy milk"}).json()["task"]["description"] == ""


def test_a_task_without_payload_ends_done(server: Server) -> None:
    task = server.api.wait(server.api.submit("Buy milk")["id"])
    assert task["done"] is True
    assert task["status"] == "DONE"


@pytest.mark.parametrize(
    "changes",
    [{"title": "B"}, {"description": "D"}, {"done": True}, {"title": "B", "description": "D", "done": True}, {}],
    ids=lambda changes: "+".join(changes) or "nothing",
)
def test_put_changes_any_of_title_description_and_done(server: Server, changes: dict[str, Any]) -> None:
    before = server.api.submit("A", description="C", run_at=LATER)
    answer = server.api.call("PUT", f"/tasks/{before['id']}", json=changes)
    assert answer.status_code == 200
    wanted = {name: before[name] for name in ("id", "title", "description", "done")} | changes
    assert {name: answer.json()["task"][name] for name in wanted} == wanted
    assert {name: server.api.task(before["id"])[name] for name in wanted} == wanted


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}], ids=["bare", "as JSON"])
def test_complete_ends_a_task_by_hand_without_a_body(server: Server, headers: dict[str, str]) -> None:
    task_id = server.api.submit(run_at=LATER)["id"]
    answer = server.api.call("PUT", f"/tasks/{task_id}/complete", headers=headers)
    assert answer.status_code == 200
    assert answer.json()["task"]["done"] is True
    assert server.api.task(task_id)["done"] is True


def test_completing_what_is_done_is_no_error(server: Server) -> None:
    before = server.api.wait(server.api.submit()["id"])
    again = server.api.call("PUT", f"/tasks/{before['id']}/complete")
    and_again = server.api.call("PUT", f"/tasks/{before['id']}", json={"done": True})
    assert again.status_code == and_again.status_code == 200
    assert again.json()["task"]["done"] is and_again.json()["task"]["done"] is True
    assert server.api.task(before["id"])["version"] == before["version"]


def test_completing_a_running_task_ends_it_for_good(server: Server, gate: Gate) -> None:
    task_id = server.api.submit(**gate.order)["id"]
    server.api.wait(task_id, status="PROCESSING")
    with Watcher(server, f"?task_id={task_id}") as watcher:
        assert server.api.call("PUT", f"/tasks/{task_id}/complete").json()["task"]["done"] is True
        watcher.wait_for(task_id, "DONE")
        gate.open()
        eventually(lambda: f"Processed task_id={task_id}" in logs(server), message="its handler has not ended")
        server.api.wait(server.api.submit()["id"])
        assert statuses(watcher.of(task_id)) == ["DONE"]
    assert server.api.task(task_id)["result"] is None


def test_completing_a_failed_task_makes_it_done(server: Server) -> None:
    task_id = server.api.wait(server.api.submit(payload={})["id"], status="FAILED")["id"]
    task = server.api.call("PUT", f"/tasks/{task_id}/complete").json()["task"]
    assert (task["done"], task["status"], task["error_code"]) == (True, "DONE", "")


def test_done_false_reopens_a_finished_task_and_it_is_processed_again(server: Server) -> None:
    task_id = server.api.submit()["id"]
    server.api.wait(task_id)
    with Watcher(server, f"?task_id={task_id}") as watcher:
        reopened = server.api.call("PUT", f"/tasks/{task_id}", json={"done": False}).json()["task"]
        assert (reopened["done"], reopened["status"], reopened["finished_at"]) == (False, "PENDING", None)
        assert statuses(watcher.wait_for(task_id, "DONE")) == ["PENDING", "PROCESSING", "DONE"]
    assert server.api.task(task_id)["attempt"] == 2


def test_done_false_changes_nothing_on_an_unfinished_task(server: Server) -> None:
    before = server.api.submit(run_at=LATER)
    task = server.api.call("PUT", f"/tasks/{before['id']}", json={"done": False}).json()["task"]
    assert (task["status"], task["version"]) == ("PENDING", before["version"])


def test_delete_answers_with_a_message_and_the_task_is_gone(server: Server) -> None:
    task_id = server.api.submit()["id"]
    answer = server.api.call("DELETE", f"/tasks/{task_id}")
    assert answer.status_code == 200
    assert isinstance(answer.json()["message"], str) and answer.json()["message"]
    is_problem(server.api.call("GET", f"/tasks/{task_id}"), 404)
    is_problem(server.api.call("DELETE", f"/tasks/{task_id}"), 404)


@pytest.mark.parametrize("status", ["PENDING", "PROCESSING", "DONE", "FAILED", "CANCELLED"])
def test_delete_works_in_every_status(server: Server, gate: Gate, status: str) -> None:
    fields: dict[str, dict[str, Any]] = {
        "PENDING": {"run_at": LATER},
        "PROCESSING": gate.order,
        "FAILED": {"payload": {}},
        "CANCELLED": {"run_at": LATER},
    }
    task_id = server.api.submit(**fields.get(status, {}))["id"]
    if status == "CANCELLED":
        cancel(server, task_id)
    server.api.wait(task_id, status=status)

    assert server.api.call("DELETE", f"/tasks/{task_id}").status_code == 200

    is_problem(server.api.call("GET", f"/tasks/{task_id}"), 404)
    assert server.api.wait(server.api.submit()["id"])["done"] is True


@pytest.mark.parametrize(
    "body",
    ["{}", '{"description": "x"}', "[]", '"title"', "7", "null", "true", "", "title=x", '[{"title": "x"}]'],
)
def test_a_missing_title_or_a_body_that_is_no_object_is_refused(server: Server, body: str) -> None:
    answer = server.api.call("POST", "/tasks", data=body, headers={"Content-Type": "application/json"})
    is_problem(answer, 400)


@pytest.mark.parametrize("task_id", ["0192e4a0-0000-7000-8000-000000000001", "7", "no-uuid", "0" * 400])
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("PUT", ""), ("PUT", "/complete"), ("DELETE", "")])
def test_an_unknown_id_is_not_found(server: Server, method: str, path: str, task_id: str) -> None:
    options: dict[str, Any] = {"json": {"title": "x"}} if (method, path) == ("PUT", "") else {}
    is_problem(server.api.call(method, f"/tasks/{task_id}{path}", **options), 404)


def test_no_path_ends_in_a_slash(server: Server) -> None:
    task_id = server.api.submit()["id"]
    for method, path in [
        ("GET", "/tasks/"), ("POST", "/tasks/"), ("GET", f"/tasks/{task_id}/"), ("DELETE", f"/tasks/{task_id}/"),
        ("PUT", f"/tasks/{task_id}/complete/"),
    ]:  # fmt: skip
        is_problem(server.api.call(method, path, json={"title": "x"}), 404)


@pytest.mark.parametrize("status", ["PENDING", "PROCESSING", "DONE", "FAILED"])
def test_title_and_description_may_be_changed_at_any_time(server: Server, gate: Gate, status: str) -> None:
    fields: dict[str, dict[str, Any]] = {
        "PENDING": {"run_at": LATER},
        "PROCESSING": gate.order,
        "FAILED": {"payload": {}},
    }
    task_id = server.api.submit("Tpyo", **fields.get(status, {}))["id"]
    server.api.wait(task_id, status=status)

    answer = server.api.call("PUT", f"/tasks/{task_id}", json={"title": "Typo", "description": "mended"})

    task = answer.json()["task"]
    assert answer.status_code == 200
    assert (task["title"], task["description"], task["status"]) == ("Typo", "mended", status)
    if status == "PROCESSING":
        gate.open()
        ended = server.api.wait(task_id)
        assert (ended["title"], ended["status"]) == ("Typo", "DONE")


def test_a_change_of_both_fields_and_done_is_one_step(server: Server) -> None:
    task_id = server.api.submit(run_at=LATER)["id"]
    refused = server.api.call("PUT", f"/tasks/{task_id}", json={"title": "", "done": True})
    is_problem(refused, 400)
    assert server.api.task(task_id)["done"] is False


def test_an_update_is_told_to_who_watches(server: Server) -> None:
    task_id = server.api.submit(run_at=LATER)["id"]
    with Watcher(server, f"?task_id={task_id}&since=0") as watcher:
        server.api.call("PUT", f"/tasks/{task_id}", json={"title": "Other"})
        server.api.call("PUT", f"/tasks/{task_id}/complete")
        frames = watcher.wait_for(task_id, "DONE")
    assert frames[-1]["version"] == 3 and 2 in {frame["version"] for frame in frames}
