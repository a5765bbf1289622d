"""What travels together, what is stamped as published, and that publishing hurts nobody when the broker is away."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.utils import timezone

from tasks_app import broker, lifecycle, pipeline
from tasks_app.background import Drain
from tasks_app.models import TaskStatus
from tasks_app.pipeline import Sender, Wakeup
from tests.services.processes import PATIENCE, free_port
from tests.tasks_app.making import fresh, submitted


def wakeups(count: int, **fields: Any) -> list[Wakeup]:
    return [Wakeup(task_id=uuid.uuid4(), **fields) for _ in range(count)]


def shape(found: list[Wakeup]) -> list[tuple[int, bool, bool]]:
    """For each batch: how many, solo, tail."""
    return [(len(batch), batch[0].solo, batch[0].tail) for batch in pipeline._batches(found)]


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where nothing listens, and a publisher that has no connection from before."""
    address = f"amqp://guest:guest@127.0.0.1:{free_port()}//"
    monkeypatch.setattr(current_app.conf, "broker_write_url", address)
    monkeypatch.setattr(pipeline, "publisher", Drain("publisher", Sender().send))


# ---- Batches ---------------------------------------------------------------------------------------------------------


def test_solo_work_travels_alone() -> None:
    assert shape(wakeups(3, solo=True)) == [(1, True, False)] * 3


def test_riders_share_a_message_up_to_32() -> None:
    assert shape(wakeups(70, solo=False)) == [(32, False, False), (32, False, False), (6, False, False)]


def test_tails_ride_together_but_never_with_work() -> None:
    mixed = wakeups(2, tail=True) + wakeups(2, solo=False) + wakeups(1, solo=True) + wakeups(40, tail=True, solo=False)
    assert sorted(shape(mixed)) == sorted([(1, True, False), (2, False, False), (32, True, True), (10, False, True)])


def test_riders_of_another_priority_travel_apart_and_the_highest_first() -> None:
    mixed = wakeups(2, solo=False, priority=-5) + wakeups(1, solo=False, priority=9) + wakeups(3, solo=False)
    assert [batch[0].priority for batch in pipeline._batches(mixed)] == [9, 0, -5]


def test_nothing_gets_lost_or_doubled_among_batches() -> None:
    mixed = [
        wakeup
        for number in range(50)
        for wakeup in wakeups(1, solo=number % 3 == 0, tail=number % 7 == 0, priority=number % 4)
    ]
    sent = [wakeup for batch in pipeline._batches(mixed) for wakeup in batch]
    assert sorted(w.task_id for w in sent) == sorted(w.task_id for w in mixed)


def test_the_chain_is_what_the_settings_name(settings: Any) -> None:
    settings.TASK_PIPELINE = ["tasks_app.process_tasks", "first.tail", "second.tail"]
    now = timezone.now()
    batch = wakeups(2, priority=7)
    first, *tail = pipeline._links(batch, now)
    ids = [str(wakeup.task_id) for wakeup in batch]
    assert [first["task"], *(link["task"] for link in tail)] == settings.TASK_PIPELINE
    assert (first["args"], first["kwargs"]) == ((ids,), {"sent_at": now.isoformat()})
    assert first["options"]["priority"] == 7
    assert all(link["args"] == (ids,) and link["immutable"] for link in tail)


def test_a_tail_leaves_the_first_link_out() -> None:
    links = pipeline._links(wakeups(1, tail=True), timezone.now())
    assert [link["task"] for link in links] == ["notifications.send_webhooks"]


@pytest.mark.parametrize("priority, sent", [(-100, 0), (0, 0), (9, 9), (100, 9)])
def test_a_priority_is_bounded_to_what_brokers_know(priority: int, sent: int) -> None:
    (first, _) = pipeline._links(wakeups(1, priority=priority), timezone.now())
    assert first["options"]["priority"] == sent


# ---- Stamps ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_was_confirmed_is_stamped() -> None:
    tasks = [submitted(now=timezone.now()) for _ in range(3)]
    assert pipeline.publish_now(tasks) == 3
    assert all(fresh(task).published_at for task in tasks)


@pytest.mark.django_db
def test_what_changed_meanwhile_is_not_stamped() -> None:
    now = timezone.now()
    kept, claimed, done, moved, retried = (submitted(now=now) for _ in range(5))
    batch = [pipeline._wakeup(task) for task in (kept, claimed, done, moved, retried)]
    lifecycle.start([claimed.pk], worker="w1", now=now)
    lifecycle.complete(done.pk, who="me", now=now)
    lifecycle.update(moved.pk, {"run_at": now + timedelta(hours=1)}, who="me", now=now)
    (again,) = lifecycle.start([retried.pk], worker="w1", now=now)
    lifecycle.settle(
        [lifecycle.Outcome(task_id=again.pk, attempt=1, verb="retry_later", retry_at=now)], who="w", now=now
    )

    sent = pipeline._Sent()
    sent.add(batch, now)
    sent.stamp()

    stamps = {name: fresh(task).published_at for name, task in
              {"kept": kept, "claimed": claimed, "done": done, "moved": moved, "retried": retried}.items()}  # fmt: skip
    assert stamps == {"kept": now, "claimed": None, "done": None, "moved": None, "retried": None}


def test_a_submitted_task_is_published_once_it_is_committed(committed: None) -> None:
    task = submitted(now=timezone.now())
    assert pipeline.publisher.flush(timeout=PATIENCE)
    assert fresh(task).published_at is not None
    assert fresh(task).status == TaskStatus.PENDING


# ---- The broker is away ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_without_a_broker_nothing_is_raised_and_nothing_counts_as_published(no_broker: None) -> None:
    tasks = [submitted(now=timezone.now()) for _ in range(3)]
    assert Sender().send([pipeline._wakeup(task) for task in tasks]) == 0
    assert [fresh(task).published_at for task in tasks] == [None] * 3


@pytest.mark.django_db
def test_once_the_broker_is_back_the_same_sender_goes_on(no_broker: None, monkeypatch: pytest.MonkeyPatch) -> None:
    sender, task = Sender(), submitted(now=timezone.now())
    assert sender.send([pipeline._wakeup(task)]) == 0
    monkeypatch.setattr(current_app.conf, "broker_write_url", current_app.conf.broker_url)
    assert sender.send([pipeline._wakeup(task)]) == 1
    assert fresh(task).published_at is not None


def test_a_submission_commits_without_a_broker_and_waits_for_the_sweep(no_broker: None, committed: None) -> None:
    task = submitted(now=timezone.now())
    assert pipeline.publisher.flush(timeout=PATIENCE)
    assert fresh(task).published_at is None


def test_a_closed_port_is_refused_within_the_limits(no_broker: None) -> None:
    with pytest.raises(Exception, match="refused"):
        broker.connect()


# ---- On RabbitMQ -----------------------------------------------------------------------------------------------------


@pytest.mark.services
@pytest.mark.django_db
def test_a_queue_that_was_deleted_is_declared_again_and_nothing_lost(services: Any) -> None:
    sender = Sender()
    first, second = submitted(now=timezone.now()), submitted(now=timezone.now())
    assert sender.send([pipeline._wakeup(first)]) == 1
    services.rabbitmq.wipe()
    assert sender.send([pipeline._wakeup(second)]) == 1
    assert services.rabbitmq.queues()["task_created"].messages == 1
    assert fresh(second).published_at is not None


@pytest.mark.services
@pytest.mark.django_db
def test_a_connection_that_is_given_up_is_closed(services: Any) -> None:
    sender = Sender()
    assert sender.send([pipeline._wakeup(submitted(now=timezone.now()))]) == 1
    given_up = sender._connection
    services.rabbitmq.wipe()
    assert sender.send([pipeline._wakeup(submitted(now=timezone.now()))]) == 1
    assert sender._connection is not given_up and not given_up.connected


@pytest.mark.services
@pytest.mark.django_db
def test_under_a_memory_alarm_publishing_gives_up_instead_of_hanging(services: Any) -> None:
    sender, task = Sender(), submitted(now=timezone.now())
    services.rabbitmq.set_memory_alarm(True)
    try:
        assert sender.send([pipeline._wakeup(task)]) == 0
        assert fresh(task).published_at is None
    finally:
        services.rabbitmq.set_memory_alarm(False)
    assert sender.send([pipeline._wakeup(task)]) == 1
