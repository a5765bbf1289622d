"""People of every role with their tokens, and a client for /api/v1 inside this process."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from tasks_app import tokens
from tasks_app.access import SCOPES
from tests import counts


class Caller:
    """Somebody with a token. Answers are Django's; `json()` reads any of them."""

    def __init__(self, user: User, *, scopes: list[str] | None = None, expires_at: datetime | None = None) -> None:
        self.user = user
        self.token, self.text = tokens.issue(user, name="test", scopes=scopes or list(SCOPES), expires_at=expires_at)
        self._client = Client(raise_request_exception=False)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """`headers` by their names with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("Authorization", f"Bearer {self.text}")
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._client.generic(method, path, data, content_type="application/json", headers=named)

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, body, **headers)

    def submit(self, title: str = "A task", **fields: Any) -> dict[str, Any]:
        answer = self.post("/api/v1/tasks", {"title": title, **fields})
        assert answer.status_code == 201, answer.content
        return dict(answer.json())


def person(name: str, *roles: str) -> User:
    """A user with these roles."""
    user = User.objects.create_user(name)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Asserts a problem document and returns it."""
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(answer.content)
    assert (body["status"], body["code"]) == (status, code), body
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body


@pytest.fixture
def ada(db: None) -> Caller:
    """A member."""
    return Caller(person("ada", "member"))


@pytest.fixture
def bob(db: None) -> Caller:
    """Another member."""
    return Caller(person("bob", "member"))


@pytest.fixture
def viewer(db: None) -> Caller:
    return Caller(person("vera", "viewer"))


@pytest.fixture
def operator(db: None) -> Caller:
    return Caller(person("olga", "operator"))


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    """No test counts for the rate of another."""
    counts.forget()
    yield
    counts.forget()
