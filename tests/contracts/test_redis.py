"""Redis Pub/Sub: channel `task.status`, readable by any Redis client (CONTRACTS, 2)."""

from typing import Any

import pytest

from tests.contracts.clients import LATER, Watcher, subscribed
from tests.servers import Deployment
from tests.services.processes import eventually

pytestmark = pytest.mark.services


def _heard(take: Any, task_id: str, status: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def reached() -> bool:
        found.extend(one for one in take() if one["task_id"] == task_id)
        return bool(found) and found[-1]["status"] == status

    eventually(reached)
    return found


def test_every_status_change_is_published_as_json(told_deployment: Deployment) -> None:
    with subscribed(told_deployment, "task.status") as take:
        task_id = told_deployment.api.submit(payload={"message": "hi"})["task_id"]
        heard = _heard(take, task_id, "DONE")
    assert [one["status"] for one in heard] == ["PENDING", "PROCESSING", "DONE"]
    assert all({"task_id", "status", "updated_at"} <= one.keys() for one in heard)
    assert "message" not in heard[0] and heard[-1]["message"] == "hi"


def test_a_failure_says_why(told_deployment: Deployment) -> None:
    with subscribed(told_deployment, "task.status") as take:
        heard = _heard(take, told_deployment.api.submit(payload={})["task_id"], "FAILED")
    assert "message" in heard[-1]["message"]


def test_redis_and_the_socket_say_the_same(told_deployment: Deployment) -> None:
    with subscribed(told_deployment, "task.status") as take, Watcher(told_deployment) as watcher:
        task_id = told_deployment.api.submit(payload={"message": "hi"})["task_id"]
        assert _heard(take, task_id, "DONE") == watcher.wait_for(task_id, "DONE")


def test_what_people_do_is_published_too(told_deployment: Deployment) -> None:
    with subscribed(told_deployment, "task.status") as take:
        task_id = told_deployment.api.submit(run_at=LATER)["task_id"]
        told_deployment.api.call("PUT", f"/tasks/{task_id}/complete")
        assert [one["status"] for one in _heard(take, task_id, "DONE")] == ["PENDING", "DONE"]
