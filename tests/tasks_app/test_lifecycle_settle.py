"""What happens inside the transaction that ends an attempt, and what the database itself refuses."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from tasks_app import lifecycle
from tasks_app.models import Task, TaskEvent, TaskStatus
from tests.tasks_app.making import NOW, SECOND, end, fresh, in_status, started, started_together, story, submitted

pytestmark = pytest.mark.django_db


def test_on_success_runs_once_inside_the_settling_transaction() -> None:
    task = started()
    inside: list[bool] = []

    def effect() -> None:
        inside.append(connection.in_atomic_block and fresh(task).status == TaskStatus.PROCESSING)

    end(task, "succeed", on_success=(effect,))
    end(task, "succeed", on_success=(effect,))
    assert inside == [True]


@pytest.mark.parametrize("verb", ["fail", "retry_later", "release"])
def test_on_success_never_runs_for_an_attempt_that_did_not_succeed(verb: str) -> None:
    ran: list[int] = []
    end(started(), verb, retry_at=NOW, on_success=(lambda: ran.append(1),))
    assert ran == []


def test_on_success_never_runs_for_a_zombie() -> None:
    task, ran = started(), list[int]()
    lifecycle.complete(task.pk, who="me")
    end(task, "succeed", on_success=(lambda: ran.append(1),))
    assert ran == []


def test_an_exception_in_on_success_undoes_the_settling(committed: None) -> None:
    task = started()
    other = submitted()

    def effect() -> None:
        Task.objects.filter(pk=other.pk).update(title="Changed")
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        end(task, "succeed", on_success=(effect,))
    assert (fresh(task).status, fresh(other).title) == ("PROCESSING", "A task")
    assert story(task) == ["submitted", "started"]


def test_log_lines_become_events_before_the_end_and_count_as_no_versions() -> None:
    task = started()
    end(task, "succeed", logs=["one", "two"], message="all well")
    events = list(TaskEvent.objects.filter(task=task).order_by("pk").values_list("what", "why", "version"))
    assert events[-3:] == [("log", "one", 3), ("log", "two", 3), ("succeeded", "all well", 3)]


def test_one_bad_neighbour_is_left_out_of_what_a_batch_returns() -> None:
    first, second, third = started_together(3)
    lifecycle.complete(second.pk, who="me")
    outcomes = [lifecycle.Outcome(task_id=task.pk, attempt=1, verb="succeed") for task in (first, second, third)]
    assert {task.pk for task in lifecycle.settle(outcomes, who="w1")} == {first.pk, third.pk}


def test_versions_have_no_gap_over_a_long_life() -> None:
    task = started()
    end(task, "retry_later", retry_at=NOW)
    lifecycle.update(task.pk, {"title": "Other"}, who="me")
    (task,) = lifecycle.start([task.pk], worker="w1", now=NOW)
    lifecycle.report_progress(task.pk, attempt=task.attempt, progress=3, message="", logs=["x"])
    lifecycle.cancel(task.pk, who="me")
    end(task, "fail")
    lifecycle.reopen(task.pk, who="me")
    lifecycle.complete(task.pk, who="me")
    events = TaskEvent.objects.filter(task=task).exclude(what="log").order_by("pk")
    assert list(events.values_list("version", flat=True)) == list(range(1, fresh(task).version + 1))


# ---- Taken back from a lost worker -----------------------------------------------------------------------------------


def test_a_rider_gets_its_attempt_back_and_is_alone_from_then_on() -> None:
    first, second = started_together(2, max_attempts=1)
    lifecycle.reclaim([first, second], who="sweep", why="gone")
    for task in (first, second):
        now = fresh(task)
        assert (now.status, now.solo, now.attempts_left, now.attempt) == ("PENDING", True, 1, 1)


def test_one_that_was_alone_uses_its_attempt_up() -> None:
    task = started(max_attempts=2)
    lifecycle.reclaim([task], who="sweep", why="gone")
    assert (fresh(task).status, fresh(task).attempts_left) == ("PENDING", 1)


def test_one_that_was_alone_on_its_last_attempt_fails() -> None:
    task = started(max_attempts=1)
    lifecycle.reclaim([task], who="sweep", why="gone")
    now = fresh(task)
    assert (now.status, now.error_code, now.error_message) == ("FAILED", "worker_lost", "gone")


def test_a_killer_among_riders_is_found_out() -> None:
    """Reclaimed as a rider it is tried once more, alone; that attempt counts."""
    killer, neighbour = started_together(2, max_attempts=1)
    lifecycle.reclaim([killer, neighbour], who="sweep", why="gone", now=NOW)
    (killer,) = lifecycle.start([killer.pk], worker="w2", now=NOW)
    (neighbour,) = lifecycle.start([neighbour.pk], worker="w2", now=NOW)
    end(neighbour, "succeed")
    lifecycle.reclaim([killer], who="sweep", why="gone", now=NOW)
    assert (fresh(killer).status, fresh(neighbour).status) == ("FAILED", "DONE")


# ---- The database refuses what no verb does --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, values",
    [
        (TaskStatus.PENDING, {"status": "UNHEARD"}),
        (TaskStatus.PENDING, {"status": "PROCESSING"}),
        (TaskStatus.PENDING, {"status": "DONE"}),
        (TaskStatus.PENDING, {"lease_expires_at": NOW}),
        (TaskStatus.PENDING, {"progress": 101}),
        (TaskStatus.PENDING, {"attempts_uncounted": 1}),
        (TaskStatus.PROCESSING, {"lease_expires_at": None}),
        (TaskStatus.PROCESSING, {"finished_at": NOW}),
        (TaskStatus.DONE, {"finished_at": None}),
        (TaskStatus.DONE, {"status": "PENDING"}),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(status: TaskStatus, values: dict[str, Any]) -> None:
    task = in_status(status)
    with pytest.raises(IntegrityError), transaction.atomic():
        Task.objects.filter(pk=task.pk).update(**values)


def test_an_attempt_has_one_end_by_constraint() -> None:
    task = started()
    end(task)
    with pytest.raises(IntegrityError), transaction.atomic():
        TaskEvent.objects.create(
            task=task, what="failed", at=NOW, status="FAILED", attempt=task.attempt, version=9, is_terminal=True
        )


# ---- Progress --------------------------------------------------------------------------------------------------------


def test_progress_is_written_and_shown_but_is_no_version(changed: Any, django_capture_on_commit_callbacks: Any) -> None:
    task = started()
    with django_capture_on_commit_callbacks(execute=True):
        assert lifecycle.report_progress(
            task.pk, attempt=1, progress=40, message="less than half", logs=["a line"], now=NOW + SECOND
        )
    now = fresh(task)
    assert (now.progress, now.message, now.version) == (40, "less than half", task.version)
    assert [(change.what, change.message) for change in changed] == [("progress", "less than half")]
    assert story(task)[-1] == "log"


def test_a_lease_lasts_as_long_as_the_settings_say(settings: Any) -> None:
    settings.LEASE_SECONDS = 7
    assert started().lease_expires_at == NOW + 7 * SECOND
