"""The sweep: what is taken back, what is published again, and above all what is not."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import connection, transaction
from django.utils import timezone

from tasks_app import broker, lifecycle, pipeline, recovery
from tasks_app.models import Task, TaskEvent, TaskStatus
from tasks_app.signals import task_recorded
from tasks_app.validation import NewTask
from tests.services.processes import PATIENCE, eventually, free_port
from tests.tasks_app.making import NOW, SECOND, end, fresh, in_status, started, started_together, submitted

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def waiting_message() -> None:
    """The queue is not empty: then only rules (a) and (c) apply."""
    with broker.connect() as link:
        broker.declare(link)
        _purge(link)
        queue = current_app.amqp.queues["task_created"]
        queue(link.default_channel).declare()
        producer = current_app.amqp.Producer(link)
        producer.publish("somebody else's", exchange=queue.exchange, routing_key="task_created", serializer="json")


def empty_queue() -> None:
    with broker.connect() as link:
        _purge(link)
    eventually(lambda: broker.is_empty("task_created"))


def _purge(link: Any) -> None:
    current_app.amqp.queues["task_created"](link.default_channel).purge()


def published(ago: float, *, now: datetime = NOW, **fields: Any) -> Task:
    """PENDING since long ago, and published so many seconds before `now`."""
    task = submitted(now=now - timedelta(days=1), **fields)
    Task.objects.filter(pk=task.pk).update(published_at=now - timedelta(seconds=ago))
    return task


def unpublished(ago: float, *, now: datetime = NOW) -> Task:
    return submitted(now=now - timedelta(seconds=ago))


def republished(*, now: datetime = NOW) -> set[Any]:
    """Ids that a round at `now` publishes."""
    before = dict(Task.objects.values_list("pk", "published_at"))
    recovery.republish(now=now)
    return {key for key, at in Task.objects.values_list("pk", "published_at") if at != before[key]}


# ---- (a) never published ---------------------------------------------------------------------------------------------


def test_a_row_that_stays_unpublished_for_five_seconds_is_published() -> None:
    lost, new = unpublished(5.1), unpublished(4.9)
    assert republished() == {lost.pk}
    assert fresh(new).published_at is None


def test_a_start_that_was_ahead_is_published_the_moment_it_is_due() -> None:
    task = submitted(now=NOW, run_at=NOW + 60 * SECOND)
    assert republished(now=NOW + 59 * SECOND) == set()
    assert republished(now=NOW + 60 * SECOND) == {task.pk}


def test_a_retry_is_published_the_moment_it_is_due() -> None:
    task = started()
    end(task, "retry_later", retry_at=NOW + 3 * SECOND)
    assert republished(now=NOW + 2 * SECOND) == set()
    assert republished(now=NOW + 3 * SECOND) == {task.pk}


def test_what_was_just_published_is_not_published_by_the_next_round() -> None:
    now = timezone.now()
    submitted(now=now - timedelta(seconds=10))
    assert len(republished(now=now)) == 1
    assert republished(now=now + 10 * SECOND) == set()


@pytest.mark.parametrize("status", ["PROCESSING", "DONE", "FAILED", "CANCELLED"])
def test_only_what_waits_is_published(status: Any) -> None:
    in_status(status)
    assert republished(now=NOW + timedelta(hours=1)) == set()


# ---- (b) the queue is empty ------------------------------------------------------------------------------------------


def test_a_row_published_30_s_ago_is_published_again_if_the_queue_is_empty() -> None:
    lost, fine = published(31), published(29)
    assert republished() == set()
    empty_queue()
    assert republished() == {lost.pk}
    assert fresh(fine).published_at == NOW - 29 * SECOND


def test_a_queue_that_does_not_answer_counts_as_full(monkeypatch: pytest.MonkeyPatch) -> None:
    published(1000)
    monkeypatch.setattr(current_app.conf, "broker_write_url", f"amqp://guest:guest@127.0.0.1:{free_port()}//")
    assert republished() == set()


@pytest.mark.services
def test_rabbitmq_is_asked_whether_its_queue_is_empty(services: Any) -> None:
    assert connection.vendor == "postgresql"
    assert not broker.is_empty("task_created")
    empty_queue()
    assert services.rabbitmq.queues()["task_created"].messages == 0


# ---- (c) overtaken ---------------------------------------------------------------------------------------------------


def worked_on(published_ago: float, *, finish: Callable[[Task], object] = end, **fields: Any) -> Task:
    """Finished just now; its message was sent so many seconds ago."""
    task = published(published_ago, **fields)
    (task,) = lifecycle.start([task.pk], worker="w1", now=NOW)
    finish(task)
    return fresh(task)


def test_a_row_is_published_again_once_a_message_sent_60_s_later_was_worked_on() -> None:
    overtaken, behind = published(1000), published(939)
    worked_on(939.5)
    assert republished() == {overtaken.pk}
    assert fresh(behind).published_at == NOW - 939 * SECOND


def test_a_deep_healthy_backlog_is_never_published_again() -> None:
    """An hour of messages wait; the oldest are being worked on."""
    for ago in range(60, 3600, 120):
        published(ago)
    worked_on(3600)
    worked_on(3590)
    assert republished() == set()


@pytest.mark.parametrize("verb", ["complete", "cancel"])
def test_ending_the_newest_of_a_backlog_by_hand_does_not_make_it_look_overtaken(verb: str) -> None:
    published(1000)
    newest = published(1)
    getattr(lifecycle, verb)(newest.pk, who="me", now=NOW)
    assert republished() == set()


def test_being_overtaken_by_work_of_a_higher_priority_is_nothing_unusual() -> None:
    urgent, normal, later = published(1000, priority=5), published(1000), published(1000, priority=-5)
    worked_on(1, priority=0)
    assert republished() == {urgent.pk, normal.pk}
    assert fresh(later).published_at == NOW - 1000 * SECOND


# ---- The one number --------------------------------------------------------------------------------------------------


def test_what_the_sweep_should_have_set_moving_over_a_minute_ago_is_unaccounted_for() -> None:
    unpublished(64)
    assert recovery.unaccounted(now=NOW) == 0
    unpublished(66)
    assert recovery.unaccounted(now=NOW) == 1
    submitted(now=NOW - timedelta(hours=1), run_at=NOW - 59 * SECOND)
    assert recovery.unaccounted(now=NOW) == 1
    submitted(now=NOW - timedelta(hours=1), run_at=NOW - 61 * SECOND)
    assert recovery.unaccounted(now=NOW) == 2


def test_a_lost_message_is_unaccounted_for_only_when_the_sweep_does_not_act() -> None:
    empty_queue()
    published(89)
    assert recovery.unaccounted(now=NOW) == 0
    published(91)
    assert recovery.unaccounted(now=NOW) == 1
    recovery.republish(now=NOW)
    assert recovery.unaccounted(now=NOW) == 0


def test_one_overtaken_for_a_minute_is_unaccounted_for() -> None:
    published(1000)
    worked_on(881)
    assert recovery.unaccounted(now=NOW) == 0
    worked_on(879)
    assert recovery.unaccounted(now=NOW) == 1


def test_an_expired_lease_counts_after_a_minute() -> None:
    task = started()
    assert task.lease_expires_at
    assert recovery.unaccounted(now=task.lease_expires_at + 59 * SECOND) == 0
    assert recovery.unaccounted(now=task.lease_expires_at + 61 * SECOND) == 1


def test_a_deep_healthy_backlog_and_finished_tasks_are_accounted_for() -> None:
    for ago in range(60, 3600, 120):
        published(ago)
    worked_on(3600)
    assert recovery.unaccounted(now=NOW) == 0


def test_counting_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "MOST_COUNTED", 2)
    for _ in range(3):
        unpublished(1000)
    assert recovery.unaccounted(now=NOW) == 2


# ---- Bounds ----------------------------------------------------------------------------------------------------------


def test_the_most_urgent_come_first_and_a_round_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "MOST_PUBLISHED", 3)
    new = [NewTask(title="x", priority=priority) for priority in (0, 5, -5, 9)]
    tasks = lifecycle.submit_many(new, owner_id=None, who="me", now=NOW - 10 * SECOND)
    assert republished() == {tasks[0].pk, tasks[1].pk, tasks[3].pk}


def test_without_a_broker_a_round_raises_nothing_and_stamps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    unpublished(10)
    monkeypatch.setattr(current_app.conf, "broker_write_url", f"amqp://guest:guest@127.0.0.1:{free_port()}//")
    monkeypatch.setattr(pipeline, "_sweeper", pipeline.Sender())
    assert republished() == set()


# ---- Expired leases --------------------------------------------------------------------------------------------------


def test_an_attempt_is_reclaimed_once_its_lease_is_over(settings: Any) -> None:
    settings.LEASE_SECONDS = 30
    task = started(max_attempts=2)
    assert recovery.reclaim_expired(now=NOW + 30 * SECOND) == 0
    assert recovery.reclaim_expired(now=NOW + 30.1 * SECOND) == 1
    assert (fresh(task).status, fresh(task).attempts_left) == ("PENDING", 1)


def test_riders_get_their_attempt_back_and_one_alone_without_attempts_fails() -> None:
    riders, alone = started_together(2, max_attempts=1), started(max_attempts=1)
    assert recovery.reclaim_expired(now=NOW + 60 * SECOND) == 3
    assert [(fresh(task).status, fresh(task).solo, fresh(task).attempts_left) for task in riders] == [
        ("PENDING", True, 1)
    ] * 2
    assert (fresh(alone).status, fresh(alone).error_code) == ("FAILED", "worker_lost")


def test_a_lease_renewed_at_the_last_moment_is_respected() -> None:
    task = started()
    Task.objects.filter(pk=task.pk).update(lease_expires_at=NOW + 90 * SECOND)
    assert recovery.reclaim_expired(now=NOW + 60 * SECOND) == 0


def test_a_reclaimed_task_is_published_after_the_commit(django_capture_on_commit_callbacks: Any) -> None:
    started(max_attempts=2)
    with django_capture_on_commit_callbacks() as callbacks:
        recovery.reclaim_expired(now=NOW + 60 * SECOND)
    assert len(callbacks) == 2  # announce, publish


@pytest.mark.services
def test_a_row_that_somebody_else_holds_is_left_for_the_next_round(committed: None) -> None:
    import threading

    held, task = threading.Event(), started(max_attempts=2)
    done = threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Task.objects.select_for_update().get(pk=task.pk)
            held.set()
            assert done.wait(PATIENCE)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(PATIENCE)
    try:
        assert recovery.reclaim_expired(now=NOW + 60 * SECOND) == 0
    finally:
        done.set()
        thread.join()
    assert recovery.reclaim_expired(now=NOW + 60 * SECOND) == 1


def test_a_start_that_knows_itself_alone_takes_everything_back() -> None:
    tasks = [started(max_attempts=2) for _ in range(3)]
    recovery.expire_leases(now=NOW)
    assert {fresh(task).status for task in tasks} == {"PENDING"}
    Task.objects.update(published_at=NOW)
    recovery.forget_published(now=NOW)
    assert set(Task.objects.values_list("published_at", flat=True)) == {None}


# ---- Retention -------------------------------------------------------------------------------------------------------


def test_finished_tasks_go_after_their_time_and_others_never(settings: Any) -> None:
    settings.TASK_RETENTION_DAYS = 10
    kept = [in_status("PENDING"), in_status("PROCESSING")]  # type: ignore[arg-type]
    old = in_status("DONE")  # type: ignore[arg-type]
    assert recovery.forget_old(now=NOW + timedelta(days=9.9)) == 0
    assert recovery.forget_old(now=NOW + timedelta(days=10.1)) == 1
    assert not Task.objects.filter(pk=old.pk).exists()
    assert Task.objects.count() == len(kept)


def test_without_a_retention_everything_is_kept(settings: Any) -> None:
    settings.TASK_RETENTION_DAYS = 0
    in_status("DONE")  # type: ignore[arg-type]
    assert recovery.forget_old(now=NOW + timedelta(days=36_500)) == 0


@pytest.mark.django_db
def test_one_task_that_cannot_be_taken_back_does_not_hold_up_the_others() -> None:
    first, second = (lifecycle.submit(NewTask(title=title), owner_id=None, who="test") for title in ("bad", "good"))
    lifecycle.start([first.pk, second.pk], worker="lost")
    Task.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))

    def refuse(events: list[TaskEvent], **_: object) -> None:
        if any(event.task.pk == first.pk for event in events):
            raise ValueError("This receiver cannot write that down")

    task_recorded.connect(refuse)
    try:
        reclaimed = recovery.reclaim_expired(now=timezone.now())
    finally:
        task_recorded.disconnect(refuse)

    assert reclaimed == 1
    assert Task.objects.get(pk=first.pk).status == TaskStatus.PROCESSING
    assert Task.objects.get(pk=second.pk).status == TaskStatus.PENDING
