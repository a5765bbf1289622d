"""Fields that are the server's to set: /api/v1 refuses them by name, the root paths ignore them. Nobody sets them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts.clients import LATER
from tests.security.hostile.world import World, refused

OTHER = "00000000-0000-7000-8000-000000000001"
TIME = "2001-01-01T00:00:00Z"
SET: dict[str, Any] = {
    "id": OTHER, "pk": OTHER, "task_id": OTHER, "owner": "bob", "owner_id": 1, "user": "bob", "user_id": 1, "who": "root",
    "status": "DONE", "progress": 100, "message": "forged", "result": {"forged": True}, "error_code": "forged",
    "error_message": "forged", "attempt": 99, "attempts_used": 99, "version": 99, "created_at": TIME, "updated_at": TIME,
    "started_at": TIME, "finished_at": TIME, "published_at": TIME, "sent_at": TIME, "cancel_requested_at": TIME,
    "lease_expires_at": TIME, "leased_until": TIME, "worker": "forged", "rerun_of": OTHER, "solo": True, "events": [],
    "is_superuser": True, "is_staff": True, "groups": [1], "scopes": ["*"], "password": "x", "__class__": "x",
    "__proto__": {"is_staff": True}, "_state": {}, "Title": "x", "title ": "x", "title\0": "x", "": "x", "x" * 5000: "x",
}  # fmt: skip
OF_A_TOKEN: dict[str, Any] = {
    "id": 1, "owner": "bob", "owner_id": 1, "user": "bob", "prefix": "tm_forged", "digest": "0" * 64, "token": "tm_forged",
    "created_at": TIME, "revoked_at": None, "last_used_at": TIME, "is_staff": True,
}  # fmt: skip


def _name(value: str) -> str:
    return ascii(value)[1:30] or "empty"


@pytest.mark.parametrize("field", SET, ids=_name)
def test_a_new_task_one_of_a_batch_a_change_and_a_rerun_refuse_it(world: World, field: str) -> None:
    new, own = {"title": "x", field: SET[field]}, f"/api/v1/tasks/{world.own['id']}"
    for method, path, body, prefix in (
        ("POST", "/api/v1/tasks", new, ""),
        ("POST", "/api/v1/tasks/batch", {"tasks": [new]}, "tasks.0."),
        ("PATCH", own, {field: SET[field]}, ""),
        ("POST", f"{own}/rerun", {field: SET[field]}, ""),
        ("POST", f"{own}/complete", {field: SET[field]}, ""),
        ("POST", f"{own}/cancel", {field: SET[field]}, ""),
    ):
        errors = refused(world.call(method, path, json=body), 400, "invalid")["errors"]
        assert errors == {prefix + field[:100]: "There is no such field."}


@pytest.fixture(scope="module")
def plain(world: World) -> Iterator[dict[str, Any]]:
    """A task of the root paths with nothing but a title."""
    task = world.call("POST", "/tasks", json={"title": "x", "run_at": LATER}).json()["task"]
    yield task
    world.remove(task["id"])


@pytest.mark.parametrize("field", SET, ids=_name)
def test_the_root_paths_ignore_it(world: World, plain: dict[str, Any], field: str) -> None:
    made = world.call("POST", "/tasks", json={"title": "x", "run_at": LATER, field: SET[field]})
    assert made.status_code == 201
    task = made.json()["task"]
    changed = world.call("PUT", f"/tasks/{task['id']}", json={"title": "x", field: SET[field]})
    assert changed.status_code == 200
    owner = world.call("GET", f"/api/v1/tasks/{task['id']}").json()["owner"]
    world.remove(task["id"])
    assert owner == "alice"
    for found in (task, changed.json()["task"]):
        for name in found.keys() - {"id", "task_id", "created_at", "updated_at", "version"}:
            assert found[name] == plain[name], name
        assert found["id"] == found["task_id"] == task["id"] != OTHER
        assert found["version"] < 99
        assert found["created_at"] > plain["created_at"]


@pytest.mark.parametrize("field", OF_A_TOKEN)
def test_a_new_token_refuses_it(world: World, field: str) -> None:
    body = {"name": "x", "scopes": ["tasks:read"], field: OF_A_TOKEN[field]}
    assert refused(world.call("POST", "/api/v1/tokens", json=body), 400, "invalid")["errors"].keys() == {field}


def test_a_token_makes_none_that_may_more(world: World) -> None:
    made = world.call("POST", "/api/v1/tokens", json={"name": "weak", "scopes": ["tokens:write", "tokens:read"]}).json()
    weak = {"Authorization": f"Bearer {made['token']}"}
    for scopes in (["tasks:read"], ["tasks:write", "tokens:write"], ["tokens:write", "webhooks:write"]):
        answer = world.call("POST", "/api/v1/tokens", json={"name": "x", "scopes": scopes}, headers=weak)
        refused(answer, 403, "forbidden")
    refused(world.call("GET", "/api/v1/tasks", headers=weak), 403, "forbidden")
    assert world.call("DELETE", f"/api/v1/tokens/{made['id']}").status_code == 204


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/kinds/message", "/api/v1/tokens/{token}", "/api/v1/schema"])
def test_what_is_only_read_takes_nothing(world: World, method: str, path: str) -> None:
    path = path.format(token=world.people["alice"]["token_id"])
    answer = world.call(method, path, json={"is_staff": True, "scopes": ["*"], "user": "bob", "kind": "x"})
    refused(answer, 405, "method_not_allowed")
    assert world.call("GET", "/api/v1/me").json()["is_staff"] is False
