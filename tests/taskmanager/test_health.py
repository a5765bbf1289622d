"""`/livez` asks nobody; `/healthz` names what does not answer, within its limit."""

import json
import threading
import time
from typing import Any

import pytest
import redis
from django.db import DatabaseError, OperationalError
from django.test import RequestFactory

from notifications import layers
from taskmanager import health
from taskmanager.health import Check
from tasks_app import recovery
from tests.services.processes import PATIENCE, eventually
from tests.services.stack import Services

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def known(settings: Any) -> None:
    """Details are for those whom the API lets in."""
    settings.ANONYMOUS_API = "on"


def healthz() -> tuple[int, dict[str, Any]]:
    answer = health.healthz(RequestFactory().get("/healthz", headers={"Host": "localhost"}))
    return answer.status_code, json.loads(answer.content)


def test_when_all_answer_it_is_200_and_names_each(settings: Any) -> None:
    status, body = healthz()
    assert (status, body["status"], body["version"]) == (200, "ok", settings.VERSION)
    assert set(body["checks"]) == {"database", "broker", "channel_layer"}
    assert all(check["ok"] and check["name"] and check["ms"] >= 0 for check in body["checks"].values())


@pytest.mark.services
def test_it_says_which_services_these_are() -> None:
    _, body = healthz()
    assert {name: check["name"] for name, check in body["checks"].items()} == {
        "database": "postgresql", "broker": "rabbitmq", "channel_layer": "redis",
    }  # fmt: skip


def test_what_does_not_answer_is_named_but_not_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away() -> str:
        raise ConnectionError("no route to secret-host")

    monkeypatch.setattr(health, "CHECKS", [Check("fine", lambda: "fine"), Check("broker", away)])
    status, body = healthz()
    assert (status, body["status"]) == (503, "unavailable")
    assert body["checks"]["fine"]["ok"] and not body["checks"]["broker"]["ok"]
    assert "secret-host" not in json.dumps(body)
    assert "secret-host" in caplog.text


def test_what_answers_and_cannot_write_or_is_full_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only() -> None:
        raise DatabaseError("cannot execute INSERT in a read-only transaction")

    monkeypatch.setattr(recovery, "try_writing", read_only)
    status, body = healthz()
    assert status == 503 and body["checks"]["database"]["error"].startswith("cannot write")

    def full() -> str:
        raise OperationalError('FATAL: too many connections for role "x"')

    monkeypatch.setattr(health, "CHECKS", [Check("database", full)])
    assert healthz()[1]["checks"]["database"]["error"] == "has no connection free"


@pytest.mark.services
def test_a_broker_that_takes_no_messages_is_named(services: Services) -> None:
    """RabbitMQ goes on answering everything else."""
    services.rabbitmq.set_memory_alarm(True)
    try:
        eventually(lambda: not healthz()[1]["checks"]["broker"]["ok"])
    finally:
        services.rabbitmq.set_memory_alarm(False)
    eventually(lambda: healthz()[1]["checks"]["broker"]["ok"])


@pytest.mark.services
def test_a_redis_that_forbids_announcements_is_named(services: Services) -> None:
    with redis.Redis(port=services.redis.port) as client:
        client.acl_setuser(
            "mute", enabled=True, nopass=True, categories=["+@all"], commands=["-publish"], channels=["*"]
        )
        layer = layers.RedisLayer(hosts=[f"redis://mute:x@127.0.0.1:{services.redis.port}/0"])
        with pytest.raises(redis.exceptions.NoPermissionError):
            layer.try_out()
        client.acl_deluser("mute")


def test_what_hangs_is_given_up_and_asked_by_one_thread_only() -> None:
    let_go, asked = threading.Event(), list[int]()

    def hang() -> str:
        asked.append(1)
        assert let_go.wait(PATIENCE)
        return "late"

    check = Check("slow", hang)
    for _ in range(3):
        soon = time.monotonic() + 0.05
        assert "does not answer within" in check.run(deadline=soon)["error"]
    assert len(asked) == 1
    let_go.set()
    deadline = time.monotonic() + PATIENCE
    assert check.run(deadline=deadline)["name"] == "late"


def test_what_failed_once_is_fine_again_when_it_answers() -> None:
    answers: list[Any] = [ConnectionError("away"), "back"]

    def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    check = Check("service", ask)
    deadline = time.monotonic() + PATIENCE
    assert check.run(deadline=deadline)["ok"] is False
    assert check.run(deadline=deadline) == {"ok": True, "name": "back", "ms": pytest.approx(0, abs=PATIENCE * 1000)}


def test_livez_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECKS", None)
    assert health.livez(RequestFactory().get("/livez")).status_code == 200
