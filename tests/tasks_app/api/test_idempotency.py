"""Idempotency-Key, on every POST."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import get_resolver
from django.utils import timezone

from tasks_app import idempotency
from tasks_app.models import ApiToken, IdempotencyKey, Task
from tests.tasks_app.api.conftest import Caller, problem

BODY = {"title": "Once"}


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/tasks"])
def test_the_same_request_again_has_the_same_answer_and_no_effect(ada: Caller, path: str) -> None:
    first = ada.post(path, BODY, Idempotency_Key="a key")
    again = ada.post(path, BODY, Idempotency_Key="a key")
    assert (again.status_code, again.content) == (first.status_code, first.content) == (201, first.content)
    for name in ("Location", "Content-Type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers.get("ETag") == first.headers.get("ETag")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert Task.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(ada: Caller) -> None:
    ada.post("/api/v1/tasks", BODY, Idempotency_Key="k")
    answer = ada.post("/api/v1/tasks", {"title": "Another"}, Idempotency_Key="k")
    problem(answer, 409, "idempotency_key_reused")
    assert Task.objects.count() == 1


def test_spaces_and_the_order_of_fields_make_no_other_body(ada: Caller) -> None:
    ada.post("/api/v1/tasks", b'{"title": "a", "priority": 1}', Idempotency_Key="k")
    again = ada.post("/api/v1/tasks", b'{ "priority":1,"title":"a"}', Idempotency_Key="k")
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_key_is_its_owners_and_its_paths(ada: Caller, bob: Caller) -> None:
    made = [
        ada.post("/api/v1/tasks", BODY, Idempotency_Key="k"),
        bob.post("/api/v1/tasks", BODY, Idempotency_Key="k"),
        ada.post("/tasks", BODY, Idempotency_Key="k"),
    ]
    assert [answer.status_code for answer in made] == [201, 201, 201]
    assert len({answer.json()["id"] for answer in made}) == 3


@pytest.mark.parametrize("key", ["", "ü", "a\tb", "x" * 256])
def test_a_key_is_printable_and_short(ada: Caller, key: str) -> None:
    problem(ada.post("/api/v1/tasks", BODY, Idempotency_Key=key), 400, "bad_idempotency_key")
    assert not Task.objects.exists()


@pytest.mark.parametrize("key", ["x" * 255, "a b", '"quoted"', "~!"])
def test_any_printable_key_will_do(ada: Caller, key: str) -> None:
    assert ada.post("/api/v1/tasks", BODY, Idempotency_Key=key).status_code == 201
    assert ada.post("/api/v1/tasks", BODY, Idempotency_Key=key).headers["Idempotent-Replayed"] == "true"


def test_a_refused_request_leaves_its_key_free(ada: Caller) -> None:
    problem(ada.post("/api/v1/tasks", {"title": ""}, Idempotency_Key="k"), 400, "invalid")
    assert not IdempotencyKey.objects.exists()
    assert ada.post("/api/v1/tasks", BODY, Idempotency_Key="k").status_code == 201


def test_the_verbs_obey_it_too(ada: Caller) -> None:
    path = f"/api/v1/tasks/{ada.submit()['id']}"
    first = ada.post(f"{path}/cancel", {"reason": "x"}, Idempotency_Key="k")
    ada.post(f"{path}/reopen")
    again = ada.post(f"{path}/cancel", {"reason": "x"}, Idempotency_Key="k")
    assert again.content == first.content
    assert ada.get(path).json()["status"] == "PENDING"
    rerun = [ada.post(f"{path}/rerun", Idempotency_Key="k") for _ in range(2)]
    assert rerun[0].json()["id"] == rerun[1].json()["id"]
    batch = [ada.post("/api/v1/tasks/batch", {"tasks": [BODY]}, Idempotency_Key="k") for _ in range(2)]
    assert batch[0].content == batch[1].content
    assert Task.objects.count() == 3


def test_a_new_tokens_text_is_replayed_and_not_stored_readably(ada: Caller) -> None:
    body = {"name": "mine", "scopes": ["tasks:read"]}
    first, again = (ada.post("/api/v1/tokens", body, Idempotency_Key="k") for _ in range(2))
    assert first.json()["token"] == again.json()["token"]
    assert ApiToken.objects.filter(name="mine").count() == 1
    assert first.json()["token"].encode() not in bytes(IdempotencyKey.objects.get().body)


def test_every_post_obeys_it(ada: Caller) -> None:
    """By a header that none accepts: a view that does not look at it answers something else."""
    made = ada.submit()
    for route, view in _posts():
        path = "/" + route.replace("<str:task_id>", made["id"])
        problem(ada.post(path, {}, Idempotency_Key=""), 400, "bad_idempotency_key")
        assert view


def _posts() -> list[tuple[str, Any]]:
    found = []

    def walk(patterns: Any, prefix: str) -> None:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                walk(pattern.url_patterns, route)
            elif hasattr(getattr(pattern.callback, "cls", None), "post"):
                found.append((route, pattern.callback.cls))

    walk(get_resolver().url_patterns, "")
    api = [item for item in found if item[0].startswith(("api/v1/", "tasks"))]
    assert len(api) >= 8
    return api


def test_keys_are_forgotten_after_a_day(ada: Caller) -> None:
    ada.post("/api/v1/tasks", BODY, Idempotency_Key="k")
    now = timezone.now()
    assert idempotency.forget_old(now=now + timedelta(hours=23, minutes=59)) == 0
    assert idempotency.forget_old(now=now + timedelta(hours=24, seconds=1)) == 1
    assert ada.post("/api/v1/tasks", BODY, Idempotency_Key="k").status_code == 201
    assert Task.objects.count() == 2
