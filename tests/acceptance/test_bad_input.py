"""Bad input at the root paths: always a 4xx problem document that names the field, never a 500, nothing half-written."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance import bad_requests as table
from tests.contracts.clients import JSON, LATER, Server, is_problem, logs
from tests.services.processes import PATIENCE

JSON_TYPE = {"Content-Type": "application/json"}


def _newest(server: Server) -> str:
    return str(server.api.call("GET", "/tasks?limit=1").json()["tasks"][0]["id"])


untouched: dict[str, JSON] = {}
"""The task below, by server: since nothing touches it, it serves test after test."""


@pytest.fixture
def task(server: Server) -> Iterator[JSON]:
    """A task that waits. It must be as it was, and the newest, whatever the test sent."""
    if server.url not in untouched or _newest(server) != untouched[server.url]["id"]:
        submitted = server.api.submit("Untouched", run_at=LATER, payload={"message": "hi"})
        untouched[server.url] = server.api.task(submitted["id"])
    before = untouched[server.url]
    yield before
    assert server.api.task(before["id"]) == before
    assert _newest(server) == before["id"]


def _names(body: JSON, field: str) -> bool:
    """Whether a problem is about this field, for programs and for people."""
    named = [name for name in body["errors"] if name == field or name.startswith(f"{field}.")]
    return bool(named) and field in body["detail"]


def test_the_table_is_long_enough() -> None:
    assert len(table.NEW) + len(table.CHANGES) + len(table.BODIES) > 150


@pytest.mark.parametrize(("field", "value"), table.NEW, ids=table.case_id)
def test_a_new_task_with_a_bad_field_is_refused_by_name(server: Server, task: JSON, field: str, value: Any) -> None:
    answer = server.api.call("POST", "/tasks", json={"title": "A task", field: value})
    assert _names(is_problem(answer, 400), field)


@pytest.mark.parametrize(("field", "value"), table.CHANGES, ids=table.case_id)
def test_a_change_to_something_bad_is_refused_by_name(server: Server, task: JSON, field: str, value: Any) -> None:
    changes = {"description": "half-written", "title": "half-written", field: value}
    answer = server.api.call("PUT", f"/tasks/{task['id']}", json=changes)
    assert _names(is_problem(answer, 400), field)


@pytest.mark.parametrize("title", [False, 0])
def test_several_bad_fields_are_all_named(server: Server, task: JSON, title: object) -> None:
    answer = server.api.call("POST", "/tasks", json={"title": title, "tags": 7, "priority": "high", "payload": []})
    assert is_problem(answer, 400)["errors"].keys() == {"title", "tags", "priority", "payload"}


@pytest.mark.parametrize("name", table.BODIES)
def test_a_body_that_is_no_json_object_is_refused(server: Server, task: JSON, name: str) -> None:
    is_problem(server.api.call("POST", "/tasks", data=table.BODIES[name], headers=JSON_TYPE), 400)
    if name not in ("nothing", "empty object"):  # which change nothing
        path = f"/tasks/{task['id']}"
        is_problem(server.api.call("PUT", path, data=table.BODIES[name], headers=JSON_TYPE), 400)


@pytest.mark.parametrize("query", table.QUERIES)
def test_a_bad_page_is_refused_by_name(server: Server, query: str) -> None:
    assert _names(is_problem(server.api.call("GET", f"/tasks?{query}"), 400), query.split("=")[0])


@pytest.mark.parametrize(("method", "path"), table.METHODS, ids=str)
def test_a_wrong_method_is_refused_and_the_right_ones_named(server: Server, task: JSON, method: str, path: str) -> None:
    answer = server.api.call(method, path.format(id=task["id"]), json={"title": "x"})
    is_problem(answer, 405)
    assert answer.headers["Allow"]


@pytest.mark.parametrize("content_type", table.TYPES)
def test_a_wrong_content_type_is_refused(server: Server, task: JSON, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    is_problem(server.api.call("POST", "/tasks", data=b'{"title": "x"}', headers=headers), 415)
    is_problem(server.api.call("PUT", f"/tasks/{task['id']}", data=b'{"title": "x"}', headers=headers), 415)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;x=y"]
)
def test_a_right_content_type_may_be_written_in_other_ways(server: Server, content_type: str) -> None:
    body = f'{{"title": "x", "run_at": "{LATER}"}}'.encode()
    assert server.api.call("POST", "/tasks", data=body, headers={"Content-Type": content_type}).status_code == 201


@pytest.mark.parametrize("task_id", table.NO_IDS, ids=table.case_id)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_no_id_is_not_found(server: Server, task: JSON, method: str, task_id: str) -> None:
    answer = server.api.call(method, f"/tasks/{task_id}", json={"title": "x"})
    is_problem(answer, 404)


@pytest.mark.parametrize("size", [1_048_577, 3_000_000, 40_000_000])
def test_a_huge_body_is_too_large(server: Server, task: JSON, size: int) -> None:
    body = b'{"title": "x", "description": "' + b"x" * size + b'"}'
    is_problem(server.api.call("POST", "/tasks", data=body, headers=JSON_TYPE, timeout=PATIENCE), 413)
    is_problem(server.api.call("PUT", f"/tasks/{task['id']}", data=body, headers=JSON_TYPE, timeout=PATIENCE), 413)


@pytest.mark.parametrize("pieces", [2, 400])
def test_a_huge_body_in_chunks_is_too_large(server: Server, task: JSON, pieces: int) -> None:
    def body() -> Iterator[bytes]:
        yield b'{"title": "x", "description": "'
        for _ in range(pieces):
            yield b"x" * (1_048_576 if pieces == 2 else 8_192)
        yield b'"}'

    is_problem(server.api.call("POST", "/tasks", data=body(), headers=JSON_TYPE, timeout=PATIENCE), 413)


def test_a_small_body_in_chunks_is_taken(server: Server) -> None:
    body = (part for part in (b'{"title": ', f'"x", "run_at": "{LATER}"}}'.encode()))
    assert server.api.call("POST", "/tasks", data=body, headers=JSON_TYPE).status_code == 201


def test_a_broken_form_is_refused_with_a_problem_too(server: Server, task: JSON) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    is_problem(server.api.call("POST", "/tasks", data=b"x=y", headers=headers), 415)


@pytest.mark.parametrize("path", ["/nothing", "/tasks/x/y/z", "/%00", "/%FF%FE", "/" + "x" * 4000, "//tasks", "/TASKS"])
def test_an_unknown_path_is_not_found(server: Server, path: str) -> None:
    is_problem(server.api.call("GET", path), 404)


def test_the_count_of_tasks_is_that_of_the_taken_ones_and_nothing_was_an_error_of_ours(server: Server) -> None:
    """Runs last: whatever was refused above left neither a row nor a traceback."""
    before = len(server.api.all())
    for field, value in table.NEW:
        server.api.call("POST", "/tasks", json={"title": "A task", field: value})
    assert len(server.api.all()) == before
    printed = logs(server)
    assert "Internal Server Error" not in printed
    # Handlers of the tests in tests/bad_handlers may print tracebacks of their own; requests may not.
    assert not re.findall(r"Traceback[^\x00]{0,4000}?tasks_app/api/", printed)
