"""WEBHOOK_URL: the default receiver of the task-manager clients (CONTRACTS, 1), checked with a public verifier."""

from collections.abc import Callable, Iterator

import pytest

from tests.contracts.clients import JSON, LATER, Server, about, run_in_shell, verified, webhook
from tests.servers import Deployment, Gate, Standalone, told
from tests.services.processes import eventually
from tests.services.receiver import Receiver, Request


def _told(hooks: Receiver, task_id: str) -> list[JSON]:
    return [verified(request) for request in hooks.requests if about(task_id)(request)]


def _nothing_waits(server: Server) -> bool:
    """Whether every promised webhook was sent."""
    code = (
        "from notifications.models import Delivery as D; print('open:', D.objects.exclude(status='DELIVERED').count())"
    )
    return "open: 0" in run_in_shell(server, code)


def test_one_signed_webhook_is_sent_when_a_task_ends(server: Server, hooks: Receiver) -> None:
    task = server.api.submit("Buy milk", description="Two litres")
    body = webhook(hooks, task["id"])
    assert (body["id"], body["title"], body["description"], body["done"]) == (
        task["id"], "Buy milk", "Two litres", True,
    )  # fmt: skip
    [request] = [request for request in hooks.requests if about(task["id"])(request)]
    assert (request.method, request.path) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize("by", ["complete", "done"])
def test_ending_a_task_by_hand_sends_the_same_webhook(server: Server, hooks: Receiver, by: str) -> None:
    task_id = server.api.submit("By hand", description="D", run_at=LATER)["id"]
    if by == "complete":
        server.api.call("PUT", f"/tasks/{task_id}/complete")
    else:
        server.api.call("PUT", f"/tasks/{task_id}", json={"done": True})
    body = webhook(hooks, task_id)
    assert (body["id"], body["title"], body["description"], body["done"]) == (task_id, "By hand", "D", True)
    assert body["type"] == "task.completed"


def test_the_webhook_of_a_task_done_by_hand_has_the_fields_of_one_done_by_a_worker(
    server: Server, hooks: Receiver
) -> None:
    by_worker = webhook(hooks, server.api.submit()["id"])
    task_id = server.api.submit(run_at=LATER)["id"]
    server.api.call("PUT", f"/tasks/{task_id}/complete")
    of_results = {"result_omitted", "result_url"}  # which only a handler has
    assert webhook(hooks, task_id).keys() == by_worker.keys() - of_results


def test_completing_twice_sends_one_webhook_and_failing_sends_none(server: Server, hooks: Receiver) -> None:
    failed = server.api.wait(server.api.submit(payload={})["id"], status="FAILED")["id"]
    task_id = server.api.submit()["id"]
    server.api.wait(task_id)
    server.api.call("PUT", f"/tasks/{task_id}/complete")
    server.api.call("PUT", f"/tasks/{task_id}", json={"done": True})
    webhook(hooks, task_id)
    eventually(lambda: _nothing_waits(server))
    assert len(_told(hooks, task_id)) == 1
    assert _told(hooks, failed) == []


def test_a_title_corrected_before_the_end_is_in_the_webhook(server: Server, hooks: Receiver, gate: Gate) -> None:
    task_id = server.api.submit("Tpyo", **gate.order)["id"]
    server.api.call("PUT", f"/tasks/{task_id}", json={"title": "Typo"})
    gate.open()
    assert webhook(hooks, task_id)["title"] == "Typo"


def test_a_reopened_task_is_told_of_again(server: Server, hooks: Receiver) -> None:
    task_id = server.api.submit()["id"]
    webhook(hooks, task_id)
    server.api.call("PUT", f"/tasks/{task_id}", json={"done": False})
    hooks.wait_for(2, where=about(task_id))
    first, second = [request for request in hooks.requests if about(task_id)(request)]
    assert first.headers["webhook-id"] != second.headers["webhook-id"]
    assert verified(second)["sequence"] > verified(first)["sequence"]


@pytest.fixture
def refuse(hooks: Receiver) -> Iterator[Callable[[str], None]]:
    """Has the first webhook with this text answered by 500."""

    def first(text: str) -> None:
        refused: list[Request] = []

        def answer(request: Request) -> int:
            if text.encode() in request.body and not refused:
                refused.append(request)
                return 500
            return 200

        hooks.respond(answer)

    yield first
    hooks.respond(200)


def test_a_webhook_that_was_not_taken_is_sent_again(
    server: Server, hooks: Receiver, refuse: Callable[[str], None]
) -> None:
    title = f"Not at first on {server.name}"
    refuse(title)
    task_id = server.api.submit(title)["id"]
    first, second = hooks.wait_for(2, where=about(task_id))[:2]
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert verified(second)["done"] is True


def test_webhook_events_widens_what_the_embedded_server_tells(hooks: Receiver) -> None:
    with Standalone(**told(hooks), WEBHOOK_EVENTS="task.*") as server:
        task_id = server.api.submit()["id"]
        server.api.wait(task_id)
        failed = server.api.submit(payload={})["id"]
        server.api.wait(failed, status="FAILED")
        server.api.call("DELETE", f"/tasks/{failed}")
        hooks.wait_for(3, where=about(task_id))
        hooks.wait_for(4, where=about(failed))
    assert {body["type"] for body in _told(hooks, task_id)} == {"task.created", "task.started", "task.completed"}
    assert {body["type"] for body in _told(hooks, failed)} == {
        "task.created", "task.started", "task.failed", "task.deleted",
    }  # fmt: skip


@pytest.mark.services
def test_webhook_events_widens_what_a_production_role_tells(told_deployment: Deployment, hooks: Receiver) -> None:
    with told_deployment.extra("web", WEBHOOK_EVENTS="task.created,task.upd*") as web:
        task_id = web.api.submit(run_at=LATER)["id"]
        web.api.call("PUT", f"/tasks/{task_id}", json={"title": "Other"})
        hooks.wait_for(2, where=about(task_id))
    assert {body["type"] for body in _told(hooks, task_id)} == {"task.created", "task.updated"}
