"""The whole status × verb table, and what a verb does besides changing the status."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tasks_app import lifecycle
from tasks_app.exceptions import TaskNotFound, TransitionRefused
from tasks_app.lifecycle import TRANSITIONS
from tasks_app.models import Task, TaskEvent, TaskStatus
from tests.tasks_app.making import NOW, SECOND, end, fresh, in_status, row, started, story, submitted

pytestmark = pytest.mark.django_db
P, R, D, F, C = TaskStatus.PENDING, TaskStatus.PROCESSING, TaskStatus.DONE, TaskStatus.FAILED, TaskStatus.CANCELLED
LATER = NOW + SECOND

Act = Callable[[Task], object]
WORKERS: Mapping[str, Act] = {
    "start": lambda task: lifecycle.start([task.pk], worker="w2", now=LATER),
    "report_progress": lambda task: lifecycle.report_progress(
        task.pk, attempt=task.attempt, progress=50, message="half", now=LATER
    ),
    "report_stopping": lambda task: lifecycle.report_stopping(
        task.pk, attempt=task.attempt, who="w1", why="Cancelled", now=LATER
    ),
    "succeed": lambda task: end(task, "succeed", now=LATER, result="1"),
    "fail": lambda task: end(task, "fail", now=LATER, error_code="broken", error_message="It broke"),
    "retry_later": lambda task: end(task, "retry_later", now=LATER, retry_at=LATER + SECOND),
    "release": lambda task: end(task, "release", now=LATER, uncounted=True),
    "reclaim": lambda task: lifecycle.reclaim([task], who="sweep", why="gone", now=LATER),
}
PEOPLE: Mapping[str, Act] = {
    "complete": lambda task: lifecycle.complete(task.pk, who="me", now=LATER),
    "cancel": lambda task: lifecycle.cancel(task.pk, who="me", now=LATER),
    "reopen": lambda task: lifecycle.reopen(task.pk, who="me", now=LATER),
    "update": lambda task: lifecycle.update(task.pk, {"title": "Another"}, who="me", now=LATER),
    "delete": lambda task: lifecycle.delete(task.pk, who="me", now=LATER),
}
QUIET = {("complete", D), ("cancel", C), ("report_progress", R)}
"""Allowed, but no change of state: neither a version nor an event."""


@pytest.mark.parametrize("status", TaskStatus)
@pytest.mark.parametrize("verb", TRANSITIONS)
def test_a_verb_does_what_the_table_says_in_every_status(
    verb: str, status: TaskStatus, recorded: list[TaskEvent]
) -> None:
    task = in_status(status)
    before, events_before = row(task), story(task)
    recorded.clear()
    after = TRANSITIONS[verb].get(status)

    if after is None:
        if verb in PEOPLE:
            with pytest.raises(TransitionRefused, match=f"A task that is {status} cannot"):
                PEOPLE[verb](task)
        else:
            assert not WORKERS[verb](task)
        assert (row(task), story(task), recorded) == (before, events_before, [])
        return

    (PEOPLE.get(verb) or WORKERS[verb])(task)
    quiet = (verb, status) in QUIET
    assert len(recorded) == (0 if quiet else 1)
    if verb == "delete":
        assert row(task) is None
        assert (recorded[0].what, recorded[0].version) == ("deleted", task.version + 1)
        return
    now = fresh(task)
    assert (now.status, now.version) == (after, task.version if quiet else task.version + 1)
    assert len(story(task)) == len(events_before) + len(recorded)
    if not quiet:
        event = recorded[0]
        assert (event.task_id, event.version, event.status, event.at) == (task.pk, now.version, after, LATER)
        assert event.is_terminal == (after in (D, F, C) and after != status)


def test_the_table_knows_every_verb_that_these_tests_know() -> None:
    assert set(TRANSITIONS) == set(WORKERS) | set(PEOPLE)


@pytest.mark.parametrize("verb", PEOPLE)
def test_what_is_not_there_is_not_found(verb: str) -> None:
    task = submitted()
    lifecycle.delete(task.pk, who="me")
    with pytest.raises(TaskNotFound):
        PEOPLE[verb](task)


# ---- Attempts are fenced ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["succeed", "fail", "retry_later", "release"])
def test_a_superseded_attempt_settles_nothing(verb: str) -> None:
    zombie = started()
    lifecycle.reclaim([zombie], who="sweep", why="gone", now=NOW)
    lifecycle.start([zombie.pk], worker="w2", now=NOW)
    before = row(zombie)

    assert end(zombie, verb, retry_at=LATER, result='"too late"') == []

    assert row(zombie) == before


def test_a_superseded_attempt_reports_nothing() -> None:
    zombie = started()
    lifecycle.reclaim([zombie], who="sweep", why="gone", now=NOW)
    lifecycle.start([zombie.pk], worker="w2", now=NOW)
    before = row(zombie)

    mine = lifecycle.report_progress(zombie.pk, attempt=1, progress=99, message="still here", logs=["a line"])

    assert (mine, row(zombie)) == (False, before)
    assert "log" not in story(zombie)


def test_an_attempt_of_a_task_completed_by_hand_settles_nothing() -> None:
    task = started()
    lifecycle.complete(task.pk, who="me", now=NOW)
    assert end(task, "fail") == []
    assert fresh(task).status == D


def test_an_attempt_of_a_deleted_task_settles_nothing() -> None:
    task = started()
    lifecycle.delete(task.pk, who="me", now=NOW)
    assert end(task) == []


def test_an_attempt_is_never_repeated_over_reopening() -> None:
    task = started(max_attempts=2)
    end(task)
    seen = [task.attempt]
    for _ in range(3):
        lifecycle.reopen(task.pk, who="me", now=NOW)
        (again,) = lifecycle.start([task.pk], worker="w1", now=NOW)
        seen.append(again.attempt)
        assert again.attempts_left == 1
        assert end(task) == []
        end(again, "fail")
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize("verb", ["succeed", "fail", "retry_later", "release", "reclaim"])
def test_a_cancellation_wins_over_however_the_attempt_ends(verb: str) -> None:
    task = started(max_attempts=5)
    lifecycle.cancel(task.pk, who="me", why="no longer wanted", now=NOW)
    ran: list[int] = []

    end(task, verb, now=LATER, result='"done"', retry_at=LATER + SECOND, on_success=(lambda: ran.append(1),))

    now = fresh(task)
    assert (now.status, now.result, now.finished_at, now.lease_expires_at) == (C, None, LATER, None)
    assert story(task)[-2:] == ["cancel_requested", "cancelled"]
    assert ran == []


def test_a_cancellation_wins_over_a_lost_worker() -> None:
    task = started(max_attempts=1)
    lifecycle.cancel(task.pk, who="me", now=NOW)
    lifecycle.reclaim([fresh(task)], who="sweep", why="gone", now=LATER)
    assert fresh(task).status == C


def test_cancelling_twice_asks_once() -> None:
    task = started()
    lifecycle.cancel(task.pk, who="me", now=NOW)
    lifecycle.cancel(task.pk, who="you", now=LATER)
    assert story(task) == ["submitted", "started", "cancel_requested"]
    assert fresh(task).cancel_requested_at == NOW


def test_a_cancellation_does_not_outlive_its_run() -> None:
    task = started()
    lifecycle.cancel(task.pk, who="me", now=NOW)
    end(task, "fail")
    lifecycle.reopen(task.pk, who="me", now=NOW)
    (again,) = lifecycle.start([task.pk], worker="w1", now=NOW)
    end(again, "succeed")
    assert fresh(task).status == D


# ---- Attempts given back ---------------------------------------------------------------------------------------------


def test_release_gives_the_attempt_back_and_the_task_travels_alone() -> None:
    task = started(max_attempts=1)
    end(task, "release", uncounted=True)
    now = fresh(task)
    assert (now.status, now.attempt, now.attempts_used, now.attempts_left, now.solo) == (P, 1, 0, 1, True)


def test_a_retry_uses_the_attempt_up_and_waits() -> None:
    task = started(max_attempts=3)
    end(task, "retry_later", retry_at=LATER, error_code="flaky", error_message="Not now")
    now = fresh(task)
    assert (now.status, now.attempts_left, now.run_at, now.error_code) == (P, 2, LATER, "flaky")
    assert now.published_at is None
    assert lifecycle.start([task.pk], worker="w1", now=NOW) == []
    assert len(lifecycle.start([task.pk], worker="w1", now=LATER)) == 1


def test_a_new_attempt_forgets_what_the_last_one_said() -> None:
    task = started()
    end(task, "retry_later", retry_at=NOW, progress=70, message="so far", error_code="flaky", error_message="Not now")
    (again,) = lifecycle.start([task.pk], worker="w2", now=NOW)
    assert (again.progress, again.message, again.error_code, again.error_message) == (0, "", "", "")


def test_settling_the_same_attempt_twice_ends_it_once() -> None:
    task = started()
    assert len(end(task, "succeed")) == 1
    assert end(task, "fail") == []
    assert TaskEvent.objects.filter(task=task, is_terminal=True).count() == 1


def test_settling_nothing_asks_the_database_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert lifecycle.settle([], who="w1") == []
