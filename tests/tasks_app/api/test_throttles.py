"""API_RATE and LOGIN_RATE."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.test import Client

from taskmanager import login_limit
from tasks_app import identity
from tasks_app.api import throttles
from tests.tasks_app.api.conftest import Caller, problem


@pytest.fixture(autouse=True)
def one_period(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The clock stands still, so that no test runs into the next minute; passwords are hashed at once."""
    monkeypatch.setattr(throttles, "clock", lambda: 1_000_060.0)  # 20 s before the next minute
    monkeypatch.setattr(throttles, "PAUSE", 3600.0)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr(throttles._requests, "_asleep_until", 0.0)
    monkeypatch.setattr(login_limit._failures, "_asleep_until", 0.0)


def test_past_the_rate_a_token_is_told_when_to_come_again(ada: Caller, bob: Caller, settings: Any) -> None:
    settings.API_RATE = 3
    seen = [ada.get("/api/v1/me") for _ in range(3)]
    assert [answer.headers["RateLimit-Remaining"] for answer in seen] == ["2", "1", "0"]
    assert {answer.headers["RateLimit-Limit"] for answer in seen} == {"3"}
    refused = ada.get("/tasks")
    problem(refused, 429, "throttled")
    assert refused.headers["Retry-After"] == refused.headers["RateLimit-Reset"] == "20"
    assert refused.headers["RateLimit-Remaining"] == "0"
    assert bob.get("/api/v1/me").status_code == 200


def test_zero_means_no_limit(ada: Caller, settings: Any) -> None:
    settings.API_RATE = 0
    assert "RateLimit-Limit" not in ada.get("/api/v1/me").headers


def test_the_built_in_user_is_not_counted(db: None, settings: Any) -> None:
    settings.API_RATE, settings.ANONYMOUS_API = 1, "on"
    identity._local_user.cache_clear()
    assert [Client().get("/api/v1/me").status_code for _ in range(3)] == [200, 200, 200]
    identity._local_user.cache_clear()


class Broken(BaseCache):
    """A cache that is away."""

    asked = 0

    def __init__(self, *_: Any) -> None:
        super().__init__({})

    def incr(self, *_: Any, **__: Any) -> Any:
        Broken.asked += 1
        raise ConnectionError("refused")


def test_without_its_cache_each_process_counts_alone_and_it_is_not_asked_each_time(
    ada: Caller, bob: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_RATE, Broken.asked = 2, 0
    monkeypatch.setattr(throttles, "cache", Broken())
    assert [ada.get("/api/v1/me").status_code for _ in range(3)] == [200, 200, 429]
    assert bob.get("/api/v1/me").status_code == 200
    assert Broken.asked == 1


class Lying(BaseCache):
    """A cache that answers anything."""

    def __init__(self, answer: Any) -> None:
        super().__init__({})
        self.answer = answer

    def incr(self, *_: Any, **__: Any) -> Any:
        return self.answer


@pytest.mark.parametrize("answer", [0, -5, 10**30, "7", b"\x80\x04.", None, [1], True, 1.5, float("nan")])
def test_a_cache_that_lies_lifts_no_limit_within_a_process_and_breaks_nothing(
    ada: Caller, settings: Any, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    settings.API_RATE = 2
    monkeypatch.setattr(throttles, "cache", Lying(answer))
    assert [ada.get("/api/v1/me").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("data", [b"", b"-1", b"+1", b" 1", b"1e3", b"1_0", b"\x80\x04.", b"9" * 16, b"\xd9\xa1"])
def test_the_cache_holds_counts_and_nothing_else(data: bytes) -> None:
    numbers = throttles.WholeNumbers()
    assert numbers.loads(b"12") == numbers.dumps(12) == 12
    with pytest.raises(ValueError, match="no count"):
        numbers.loads(data)
    values: list[Any] = ["12", True, None, {}]
    for value in values:
        with pytest.raises(TypeError):
            numbers.dumps(value)


def test_names_beyond_the_most_are_counted_by_the_cache_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttles, "MAX_NAMES", 2)
    counter = throttles.Counter("names")
    assert [counter.add(name) for name in ("a", "b", "c", "c", "a")] == [1, 1, 1, 2, 2]


def _login(path: str, name: str = "ada", password: str = "wrong", address: str = "10.0.0.1") -> Any:
    return Client(REMOTE_ADDR=address).post(path, {"username": name, "password": password})


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
def test_after_some_failures_a_name_waits(db: None, settings: Any, path: str) -> None:
    User.objects.create_user("ada", password="right", is_staff=True)
    settings.LOGIN_RATE = 3
    assert [_login(path).status_code for _ in range(3)] == [200, 200, 200]
    refused = _login(path, password="right")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "20")
    assert _login(path, name=" ADA ").status_code == 429
    assert _login(path, name="bob").status_code == 200
    assert _login(path, password="right", address="10.0.0.2").status_code == 302
    page = Client(REMOTE_ADDR="10.0.0.1").post(path, {"username": "ada"}, headers={"Accept": "text/html"})
    assert page.status_code == 429
    assert b"<h1>Too Many Requests</h1>" in page.content


def test_both_forms_count_together(db: None, settings: Any) -> None:
    settings.LOGIN_RATE = 2
    _login("/login/")
    _login("/admin/login/")
    assert _login("/login/").status_code == 429


def test_without_a_limit_everybody_may_try(db: None, settings: Any) -> None:
    settings.LOGIN_RATE = 0
    assert [_login("/login/").status_code for _ in range(3)] == [200, 200, 200]


def test_without_its_cache_a_name_waits_all_the_same(db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LOGIN_RATE = 2
    monkeypatch.setattr(throttles, "cache", Broken())
    assert [_login("/login/").status_code for _ in range(3)] == [200, 200, 429]


def test_the_cache_is_the_process_itself_or_redis(settings: Any) -> None:
    name = type(caches["default"]).__name__
    assert name == ("RedisCache" if settings.REDIS_URL else "LocMemCache")
