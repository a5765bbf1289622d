"""POST /api/v1/tasks/batch."""

from typing import Any

import pytest

from tasks_app.models import Task, TaskEvent
from tests.tasks_app.api.conftest import Caller, problem

PATH = "/api/v1/tasks/batch"


def test_a_batch_is_taken_in_whole_and_in_order(ada: Caller) -> None:
    answer = ada.post(PATH, {"tasks": [{"title": f"No. {number}", "priority": number % 9} for number in range(1000)]})
    assert answer.status_code == 201
    tasks = answer.json()["tasks"]
    assert [task["title"] for task in tasks] == [f"No. {number}" for number in range(1000)]
    assert {task["owner"] for task in tasks} == {"ada"}
    assert Task.objects.count() == TaskEvent.objects.count() == 1000


def test_one_bad_task_refuses_them_all_and_is_named(ada: Caller) -> None:
    tasks: list[Any] = [{"title": "Good"} for _ in range(10)]
    tasks[3] = {"title": "Bad", "kind": "none"}
    tasks[7] = {"title": "Bad", "payload": {"seconds": -1}}
    errors = problem(ada.post(PATH, {"tasks": tasks}), 400, "invalid")["errors"]
    assert set(errors) == {"tasks.3.kind", "tasks.7.payload.seconds"}
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("item", "path"),
    [({}, "title"), ({"title": 1}, "title"), ({"title": "x", "y": 1}, "y"), ([], ""), (None, ""), ("x", "")],
    ids=repr,
)
def test_a_wrong_shape_is_named_by_its_index(ada: Caller, item: Any, path: str) -> None:
    errors = problem(ada.post(PATH, {"tasks": [{"title": "Good"}, item]}), 400, "invalid")["errors"]
    assert list(errors) == ["tasks.1" + (f".{path}" if path else "")]


def test_in_a_batch_of_one_too(ada: Caller) -> None:
    errors = problem(ada.post(PATH, {"tasks": [{"title": " "}]}), 400, "invalid")["errors"]
    assert list(errors) == ["tasks.0.title"]


@pytest.mark.parametrize(
    "body", [{}, {"tasks": []}, {"tasks": {}}, [], {"tasks": [{"title": "x"}] * 1001}, {"task": []}]
)
def test_a_batch_holds_one_to_a_thousand(ada: Caller, body: Any) -> None:
    problem(ada.post(PATH, body), 400, "invalid")
    assert not Task.objects.exists()


@pytest.mark.parametrize("count", [2, 500])
def test_a_batch_costs_few_statements_however_large(
    ada: Caller, count: int, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(60):  # SQLite takes rows in portions
        answer = ada.post("/api/v1/tasks/batch", {"tasks": [{"title": "x"}] * count})
    assert len(answer.json()["tasks"]) == count
