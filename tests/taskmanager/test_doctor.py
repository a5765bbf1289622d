"""`manage.py doctor`: what it says of a system that is well, and of each thing that is not."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from kombu import Queue

from notifications.models import Delivery, Endpoint
from taskmanager import doctor
from taskmanager.celery import app
from taskmanager.doctor import Finding
from tasks_app import broker, pipeline, recovery
from tasks_app.handlers import registry
from tasks_app.models import Heartbeat, QuarantinedMessage, Task
from tests.notifications.making import made
from tests.services.processes import PATIENCE, free_port
from tests.tasks_app.making import person, started, submitted

pytestmark = pytest.mark.usefixtures("committed")


BY = {"unaccounted": "tasks", "consumer timeout": "limits"}


def found(check: str) -> list[Finding]:
    """What the one check of that name says."""
    return [
        finding for finding in doctor._bounded(getattr(doctor, f"_{BY.get(check, check)}")) if finding.check == check
    ]


def worst(check: str) -> Finding:
    order = ["ok", "note", "warning", "problem"]
    return max(found(check), key=lambda finding: order.index(finding.level))


def test_every_check_says_something_and_every_trouble_what_to_do() -> None:
    findings = doctor.examine()
    assert {"database", "broker", "redis", "sweep", "unaccounted", "quarantine", "webhooks"} <= {
        f.check for f in findings
    }
    assert all(finding.text for finding in findings)
    assert all(finding.advice for finding in findings if finding.level != "ok")


def test_a_sweep_that_never_ran_or_stopped_is_a_problem_and_one_that_runs_is_none() -> None:
    assert (worst("sweep").level, worst("sweep").text) == ("problem", "The sweep never ran.")
    recovery.sweep()
    assert worst("sweep").level == "ok"
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=5))
    assert "The sweep ran 30" in worst("sweep").text and worst("sweep").level == "problem"


def test_tasks_that_are_unaccounted_for_are_a_problem() -> None:
    assert worst("unaccounted").level == "ok"
    long_ago = timezone.now() - timedelta(minutes=10)
    task = submitted(now=long_ago)
    assert pipeline.publisher.flush(timeout=PATIENCE)
    Task.objects.filter(pk=task.pk).update(published_at=None, updated_at=long_ago)
    assert (worst("unaccounted").level, worst("unaccounted").text) == ("problem", "1 tasks are unaccounted for.")


def test_a_stuck_worker_is_named() -> None:
    task = started(timeout=1)
    now = timezone.now()
    Task.objects.filter(pk=task.pk).update(
        started_at=now - timedelta(hours=1), lease_expires_at=now + timedelta(seconds=20)
    )
    stuck = [finding for finding in found("workers") if "stuck" in finding.text]
    assert len(stuck) == 1 and str(task.pk) in stuck[0].text and task.worker in stuck[0].text


def test_a_kind_that_nobody_knows_is_a_warning() -> None:
    task = submitted(now=timezone.now())
    Task.objects.filter(pk=task.pk).update(kind="gone")
    assert worst("tasks").level == "warning" and "'gone'" in worst("tasks").text


def test_what_is_held_in_quarantine_is_a_warning() -> None:
    QuarantinedMessage.objects.create(reason="foreign", body=b"x", size=1)
    assert (worst("quarantine").level, worst("quarantine").text) == ("warning", "1 messages are held.")


def test_deliveries_that_are_overdue_are_a_problem(settings: Any) -> None:
    settings.WEBHOOK_URL, settings.WEBHOOK_EVENTS = "http://127.0.0.1:9/", ["task.created"]
    submitted(now=timezone.now())
    assert worst("webhooks").level == "ok"
    Delivery.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=5))
    assert worst("webhooks").level == "problem" and worst("webhooks").text.startswith("1 deliveries are overdue")


def test_endpoints_without_the_key_they_were_sealed_with_are_a_problem(settings: Any) -> None:
    assert worst("endpoints").level == "ok"
    made(person("anna", "member"))
    settings.SECRET_KEY = "another key, for tests only"
    assert worst("endpoints").level == "problem" and "WEBHOOK_ENCRYPTION_KEYS" in worst("endpoints").text


def test_disabled_endpoints_are_counted() -> None:
    made(person("anna", "member"))
    Endpoint.objects.update(state="disabled")
    assert (worst("endpoints").level, worst("endpoints").text[:40]) == (
        "note",
        "1 webhook endpoints, 1 of them disabled,",
    )


def test_missing_migrations_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda self, targets: [(_Step(), False)])
    assert "1 migrations are missing: tasks_app.0999_later" in worst("database").text


class _Step:
    app_label, name = "tasks_app", "0999_later"


def test_a_check_that_breaks_or_hangs_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def _broken() -> Iterator[Finding]:
        raise ConnectionError("no such host\nand more")
        yield

    def _hanging() -> Iterator[Finding]:
        threading.Event().wait(PATIENCE)
        yield Finding(check="hanging", level="ok", text="late")

    monkeypatch.setattr(doctor, "LIMIT_SECONDS", 0.2)
    monkeypatch.setattr(doctor, "CHECKS", [_broken, _hanging])
    broken, hanging = doctor.examine()
    assert (broken.check, broken.level, broken.text) == ("broken", "problem", "ConnectionError: no such host")
    assert (hanging.check, hanging.level, hanging.text) == ("hanging", "problem", "No answer within 0.2 s.")


def test_the_command_exits_with_1_where_there_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json")
    assert ended.value.code == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert {"check": "sweep", "level": "problem"}.items() <= next(
        f for f in said["findings"] if f["check"] == "sweep"
    ).items()


def test_the_command_is_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def _fine() -> Iterator[Finding]:
        yield Finding(check="fine", level="ok", text="All is well.")
        yield Finding(check="fine", level="warning", text="But look.", advice="Look.")

    monkeypatch.setattr(doctor, "CHECKS", [_fine])
    call_command("doctor")
    assert capsys.readouterr().out == "ok       fine: All is well.\nWARNING  fine: But look.\n         → Look.\n"


# ---- RabbitMQ --------------------------------------------------------------------------------------------------------


@pytest.mark.services
def test_a_broker_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"amqp://guest:guest@127.0.0.1:{free_port()}//"
    monkeypatch.setattr(app.conf, "broker_write_url", url)
    assert worst("broker").level == "problem" and "RABBITMQ_URL" in worst("broker").advice


@pytest.mark.services
def test_a_queue_with_other_arguments_is_a_problem_and_says_what_to_do() -> None:
    with broker.connect() as link:
        name = broker.FAILED.name
        bound: Any = broker.FAILED(link.default_channel)
        bound.delete()
        wrong: Any = Queue(name, durable=True)(link.default_channel)
        wrong.queue_declare()
        try:
            bad = [finding for finding in found("queues") if finding.level == "problem" and name in finding.text]
        finally:
            wrong.delete()
            broker.declare(link)
    assert len(bad) == 1 and "declared with other arguments" in bad[0].text and "delete it" in bad[0].advice


@pytest.mark.services
def test_a_queue_that_nobody_listens_to_is_a_problem() -> None:
    with broker.connect() as link:
        broker.declare(link)
    (finding,) = [finding for finding in found("queues") if "task_created" in finding.text]
    assert finding.level == "problem" and "manage.py role worker" in finding.advice


@pytest.mark.services
def test_no_worker_is_a_problem() -> None:
    assert "No worker and no notifier answers" in worst("workers").text


@pytest.mark.services
def test_a_kind_that_outlasts_rabbitmqs_patience_is_noted() -> None:
    longest = max(handler.timeout for handler in registry._handlers.values())
    assert f"consumer_timeout = {(longest + 600) * 1000}" in worst("consumer timeout").advice


@pytest.mark.services
@pytest.mark.parametrize(("apart", "level"), [(0.5, "ok"), (5, "warning"), (60, "problem")])
def test_clocks_that_differ_are_named(monkeypatch: pytest.MonkeyPatch, apart: float, level: str) -> None:
    real = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + timedelta(seconds=apart))
    (finding,) = found("clocks")
    assert finding.level == level
