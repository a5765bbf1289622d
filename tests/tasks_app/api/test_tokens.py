"""/api/v1/tokens and /api/v1/me."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tasks_app import identity
from tasks_app.access import SCOPES
from tasks_app.models import ApiToken
from tests.tasks_app.api.conftest import Caller, person, problem

READ = {"name": "reader", "scopes": ["tasks:read"]}


def test_a_new_token_is_shown_once_and_works(ada: Caller) -> None:
    answer = ada.post("/api/v1/tokens", READ)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert made["token"].startswith(made["prefix"])
    assert ada.get("/api/v1/tasks", Authorization=f"Bearer {made['token']}").status_code == 200
    listed = ada.get("/api/v1/tokens").json()["tokens"]
    assert [token["name"] for token in listed] == ["reader", "test"]
    assert made["token"] not in ada.get("/api/v1/tokens").content.decode()
    assert ada.get(answer.headers["Location"]).json()["scopes"] == ["tasks:read"]


def test_a_revoked_token_opens_nothing_and_stays_in_the_list(ada: Caller) -> None:
    made = ada.post("/api/v1/tokens", READ).json()
    assert ada.call("DELETE", f"/api/v1/tokens/{made['id']}").status_code == 204
    problem(ada.get("/api/v1/tasks", Authorization=f"Bearer {made['token']}"), 401, "invalid_token")
    assert ada.get(f"/api/v1/tokens/{made['id']}").json()["revoked_at"] is not None


def test_nobody_sees_or_revokes_the_token_of_another(ada: Caller, operator: Caller) -> None:
    path = f"/api/v1/tokens/{ada.token.pk}"
    problem(operator.get(path), 404, "not_found")
    problem(operator.call("DELETE", path), 404, "not_found")
    ada.token.refresh_from_db()
    assert ada.token.revoked_at is None


def test_a_token_makes_none_that_may_more(db: None) -> None:
    caller = Caller(person("ada", "member"), scopes=["tokens:write", "tasks:read"])
    problem(caller.post("/api/v1/tokens", {"name": "x", "scopes": ["tasks:read", "tasks:write"]}), 403, "forbidden")
    assert caller.post("/api/v1/tokens", {"name": "x", "scopes": ["tasks:read"]}).status_code == 201


def test_a_token_makes_none_that_lives_longer(db: None) -> None:
    end = timezone.now() + timedelta(days=1)
    caller = Caller(person("ada", "member"), expires_at=end)
    problem(caller.post("/api/v1/tokens", READ), 403, "forbidden")
    problem(
        caller.post("/api/v1/tokens", {**READ, "expires_at": (end + timedelta(seconds=1)).isoformat()}),
        403,
        "forbidden",
    )
    assert caller.post("/api/v1/tokens", {**READ, "expires_at": end.isoformat()}).status_code == 201


def test_a_token_needs_the_scope_to_make_tokens(db: None) -> None:
    caller = Caller(person("ada", "member"), scopes=["tasks:read", "tasks:write", "tokens:read", "admin"])
    problem(caller.post("/api/v1/tokens", READ), 403, "forbidden")
    problem(caller.call("DELETE", f"/api/v1/tokens/{caller.token.pk}"), 403, "forbidden")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"), ({"name": "", "scopes": ["tasks:read"]}, "name"), ({"name": "x"}, "scopes"),
        ({"name": "x", "scopes": []}, "scopes"), ({"name": "x", "scopes": ["all"]}, "scopes"),
        ({"name": "x" * 101, "scopes": ["tasks:read"]}, "name"), ({"name": "a\0", "scopes": ["tasks:read"]}, "name"),
        ({**READ, "expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ({**READ, "expires_at": "9999-12-31T23:59:59-23:00"}, "expires_at"),
        ({**READ, "owner": "bob"}, "owner"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_wrong_with_a_token_is_named(ada: Caller, body: dict[str, Any], field: str) -> None:
    assert field in problem(ada.post("/api/v1/tokens", body), 400, "invalid")["errors"]


@pytest.mark.parametrize("text", ["0", "x", "-1", "9" * 30, "1.0", "%00"])
def test_an_id_that_is_none_is_not_found(ada: Caller, text: str) -> None:
    problem(ada.get(f"/api/v1/tokens/{text}"), 404, "not_found")


def test_a_hundred_tokens_are_enough(ada: Caller) -> None:
    tokens = [ApiToken(owner=ada.user, name="x", prefix="x", digest=str(n)) for n in range(99)]
    ApiToken.objects.bulk_create(tokens)
    problem(ada.post("/api/v1/tokens", READ), 403, "forbidden")


def test_the_built_in_user_has_no_tokens(db: None, settings: Any) -> None:
    settings.ANONYMOUS_API = "on"
    identity._local_user.cache_clear()
    answer = Client().post("/api/v1/tokens", READ, content_type="application/json")
    problem(answer, 403, "forbidden")
    identity._local_user.cache_clear()


def test_me_says_who_and_what(ada: Caller, operator: Caller) -> None:
    assert ada.get("/api/v1/me").json() == {
        "user": "ada", "is_staff": False, "roles": ["member"], "scopes": sorted(SCOPES), "may_create": True,
        "may_any": {"view": False, "change": False, "delete": False},
    }  # fmt: skip
    assert operator.get("/api/v1/me").json()["may_any"] == {"view": True, "change": True, "delete": True}
    narrow = Caller(operator.user, scopes=["webhooks:read"])
    said = narrow.get("/api/v1/me").json()
    assert (said["scopes"], said["may_create"], said["may_any"]["view"]) == (["webhooks:read"], False, False)
