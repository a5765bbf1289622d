"""Every field that /api/v1 reads, with every wrong value: named in the answer, and nothing changed."""

from typing import Any

import pytest

from tests.acceptance import bad_requests as table
from tests.security.hostile.world import World, refused

NEW = [case for case in table.NEW if case[0] != "done"]
CHANGES = [case for case in table.CHANGES if case[0] != "done"][::2]
LONG, NUL = table.LONG, table.NUL
REASONS: list[Any] = [*table.NO_TEXT, None, "x" * 1001, LONG, NUL, "\0"]
PAYLOADS: list[Any] = [
    "x", 7, 1.5, True, [], ["message"], {"message": NUL}, {NUL: 1}, {"seconds": "1"}, {"seconds": -1}, {"seconds": 10**400},
    {"seconds": [1]}, {"seconds": {"$gt": 0}}, table.nested(65), table.nested(300), {"a": [[[[{"b": NUL}]]]]},
]  # fmt: skip
TOKENS: dict[str, list[Any]] = {
    "name": [*table.NO_TEXT, None, "", "x" * 101, LONG, NUL],
    "scopes": [
        None, "tasks:read", "", 7, True, {}, {"0": "tasks:read"}, [], [None], [7], [[]], [{}], ["*"], [""], ["tasks:READ"],
        ["tasks:read "], ["tasks:read", "root"], ["tasks:read"] * 21, [NUL], [LONG], ["tasks:read\0"],
    ],
    "expires_at": [
        7, 1.5, True, [], {}, "", "never", "2001-01-01T00:00:00Z", "2999-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59", "0000-01-01", "x" * 10_000, NUL,
    ],
}  # fmt: skip
BATCHES: list[Any] = [
    None, "x", 7, True, {}, {"0": {"title": "x"}}, [], [None], [7], ["x"], [[]], [[{"title": "x"}]], [{}], [{"title": 7}],
    [{"title": "x"}, None], [{"title": "x"}, {"title": ""}], [{"title": "x"}] * 1001, [{"title": "x", "tasks": []}],
]  # fmt: skip


def _named(body: dict[str, Any], field: str) -> None:
    assert any(name == field or name.startswith(f"{field}.") for name in body["errors"]), body["errors"]


@pytest.mark.parametrize(("field", "value"), NEW, ids=table.case_id)
def test_a_new_task(world: World, field: str, value: Any) -> None:
    _named(refused(world.call("POST", "/api/v1/tasks", json={"title": "x", field: value}), 400, "invalid"), field)


@pytest.mark.parametrize(("field", "value"), NEW[::4], ids=table.case_id)
def test_one_of_a_batch(world: World, field: str, value: Any) -> None:
    """All or none: its good neighbour is not taken either."""
    tasks = [{"title": "Good"}, {"title": "x", field: value}]
    _named(
        refused(world.call("POST", "/api/v1/tasks/batch", json={"tasks": tasks}), 400, "invalid"), f"tasks.1.{field}"
    )


@pytest.mark.parametrize("value", BATCHES, ids=table.case_id)
def test_a_batch_of_something_else(world: World, value: Any) -> None:
    _named(refused(world.call("POST", "/api/v1/tasks/batch", json={"tasks": value}), 400, "invalid"), "tasks")


@pytest.mark.parametrize(("field", "value"), CHANGES, ids=table.case_id)
def test_a_change(world: World, field: str, value: Any) -> None:
    """The good half of it is not made either."""
    changes = {"description": "half", field: value}
    answer = world.call("PATCH", f"/api/v1/tasks/{world.own['id']}", json=changes)
    _named(refused(answer, 400, "invalid"), field)


@pytest.mark.parametrize("value", ["message", "email", "http_request", None, 7, NUL])
def test_a_kind_is_never_changed(world: World, value: Any) -> None:
    answer = world.call("PATCH", f"/api/v1/tasks/{world.own['id']}", json={"kind": value})
    _named(refused(answer, 400, "invalid"), "kind")


@pytest.mark.parametrize("verb", ["cancel", "reopen"])
@pytest.mark.parametrize("value", REASONS, ids=table.case_id)
def test_a_reason(world: World, verb: str, value: Any) -> None:
    answer = world.call("POST", f"/api/v1/tasks/{world.own['id']}/{verb}", json={"reason": value})
    _named(refused(answer, 400, "invalid"), "reason")


@pytest.mark.parametrize("value", PAYLOADS, ids=table.case_id)
def test_another_payload(world: World, value: Any) -> None:
    """Of a task that is run again, and of one that waits."""
    path = f"/api/v1/tasks/{world.own['id']}"
    for answer in (
        world.call("POST", f"{path}/rerun", json={"payload": value}),
        world.call("PATCH", path, json={"payload": value}),
    ):
        code = "parse_error" if answer.json()["code"] == "parse_error" else "invalid"
        body = refused(answer, 400, code)
        if code == "invalid":
            _named(body, "payload")


@pytest.mark.parametrize(
    ("field", "value"), [(name, value) for name in TOKENS for value in TOKENS[name]], ids=table.case_id
)
def test_a_token(world: World, field: str, value: Any) -> None:
    body = {"name": "x", "scopes": ["tasks:read"], field: value}
    _named(refused(world.call("POST", "/api/v1/tokens", json=body), 400, "invalid"), field)


TWICE = {
    "title": '{"title": "x", "title": "y"}',
    "escaped name": '{"title": "x", "tit\\u006ce": "y"}',
    "equal values": '{"title": "x", "tags": [], "tags": []}',
    "deep": '{"title": "x", "payload": {"seconds": 1, "seconds": 2}}',
    "in a list": '{"title": "x", "payload": {"a": [{"b": 1, "b": 1}]}}',
}


@pytest.mark.parametrize("name", TWICE)
@pytest.mark.parametrize("path", ["/tasks", "/api/v1/tasks", "/api/v1/tasks/batch", "/api/v1/tokens"])
def test_a_key_that_is_there_twice_is_refused(world: World, path: str, name: str) -> None:
    """Readers differ on which of two values counts: nothing comes past a check that looks at the other."""
    body = refused(world.call("POST", path, data=TWICE[name]), 400, "parse_error")
    assert "is there twice" in body["detail"]
