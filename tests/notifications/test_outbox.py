"""Promises of webhooks commit with the fact, or not at all."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from notifications.models import Delivery, Event
from tasks_app import lifecycle
from tests.tasks_app.making import NOW, end, fresh, started, submitted

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def told(settings: Any) -> None:
    settings.WEBHOOK_URL, settings.WEBHOOK_EVENTS = "https://receiver.example/hook", ["task.completed"]
    settings.WEBHOOK_SIGNING_KEY = "a signing key for tests only"


CALLBACK = "https://callback.example/done"


def promised() -> list[tuple[str, str, str]]:
    """Event type, receiver and URL of every delivery."""
    return list(Delivery.objects.order_by("pk").values_list("event__type", "endpoint__source", "url"))


def test_an_end_promises_what_the_default_receiver_wants_to_hear() -> None:
    task = started()
    assert promised() == []
    end(task, "succeed")
    assert promised() == [("task.completed", "default", "https://receiver.example/hook")]
    event = Event.objects.get()
    assert (event.task_id, event.sequence, event.created_at) == (task.pk, 3, NOW)
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.next_attempt_at, delivery.expires_at) == (
        "PENDING",
        NOW,
        NOW + Delivery.LIFETIME,
    )
    assert timedelta(hours=80) == Delivery.LIFETIME


def test_what_nobody_wants_to_hear_is_not_written_down() -> None:
    end(started(), "fail")
    assert (Event.objects.count(), Delivery.objects.count()) == (0, 0)


def test_patterns_widen_what_is_told(settings: Any) -> None:
    settings.WEBHOOK_EVENTS = ["task.*"]
    task = submitted()
    lifecycle.start([task.pk], worker="w1", now=NOW)
    lifecycle.update(task.pk, {"title": "Other"}, who="me")
    lifecycle.complete(task.pk, who="me")
    lifecycle.reopen(task.pk, who="me")
    lifecycle.cancel(task.pk, who="me")
    lifecycle.delete(task.pk, who="me")
    assert [event_type for event_type, _, _ in promised()] == [
        "task.created", "task.started", "task.updated", "task.completed", "task.updated", "task.cancelled", "task.deleted",
    ]  # fmt: skip


@pytest.mark.parametrize("verb, told", [("succeed", "task.completed"), ("fail", "task.failed")])
def test_a_callback_hears_every_end(verb: str, told: str, settings: Any) -> None:
    settings.WEBHOOK_URL = ""
    task = started(callback_url=CALLBACK)
    end(task, verb)
    assert promised() == [(told, "callback", CALLBACK)]
    assert Event.objects.get().flat_body == ""


def test_both_receivers_share_one_event_and_its_id() -> None:
    task = started(callback_url=CALLBACK)
    end(task, "succeed")
    assert [receiver for _, receiver, _ in promised()] == ["default", "callback"]
    assert Event.objects.count() == 1


def test_retries_progress_and_logs_are_told_to_nobody(settings: Any) -> None:
    settings.WEBHOOK_EVENTS = ["*"]
    task = started(callback_url=CALLBACK)
    before = len(promised())
    lifecycle.report_progress(task.pk, attempt=1, progress=3, message="", logs=["a line"])
    end(task, "retry_later", retry_at=NOW, logs=["another"])
    assert len(promised()) == before


def test_each_end_of_a_reopened_task_is_told() -> None:
    task = submitted()
    for _ in range(2):
        lifecycle.complete(task.pk, who="me")
        lifecycle.reopen(task.pk, who="me")
    assert [event_type for event_type, _, _ in promised()] == ["task.completed"] * 2
    assert len(set(Event.objects.values_list("sequence", flat=True))) == 2


def test_the_body_is_frozen_when_it_happens() -> None:
    task = started(title="Before")
    end(task, "succeed")
    lifecycle.update(task.pk, {"title": "After"}, who="me")
    assert '"Before"' in Event.objects.get().body


def test_a_deleted_task_is_still_told_of() -> None:
    task = started()
    end(task, "succeed")
    lifecycle.delete(task.pk, who="me")
    assert Delivery.objects.get().event.task_id == task.pk


def test_a_fact_that_is_undone_promises_nothing() -> None:
    task = started()

    def refuse() -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        end(task, "succeed", on_success=(refuse,))
    with pytest.raises(ArithmeticError), transaction.atomic():
        lifecycle.complete(task.pk, who="me")
        refuse()
    assert (fresh(task).status, promised()) == ("PROCESSING", [])


def test_a_promise_that_cannot_be_written_undoes_the_fact(settings: Any) -> None:
    task = started()
    settings.WEBHOOK_EVENTS = [None]
    with pytest.raises(TypeError), transaction.atomic():
        end(task, "succeed")
    assert fresh(task).status == "PROCESSING"


def test_settling_a_batch_plans_in_three_statements_however_large(django_assert_max_num_queries: Any) -> None:
    tasks = lifecycle.start([submitted().pk for _ in range(32)], worker="w1", now=NOW)
    outcomes = [lifecycle.Outcome(task_id=task.pk, attempt=1, verb="succeed") for task in tasks]
    end(started(), "succeed")  # the row for WEBHOOK_URL is made once
    # savepoint, settle, task events, revision, endpoints, events, deliveries, release
    with django_assert_max_num_queries(8):
        lifecycle.settle(outcomes, who="w1")
    assert Delivery.objects.count() == 33
