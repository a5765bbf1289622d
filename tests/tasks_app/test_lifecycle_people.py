"""Submitting, editing, deleting and running again: what people do with tasks."""

from datetime import timedelta
from typing import Any

import pytest

from tasks_app import lifecycle
from tasks_app.exceptions import InvalidTask, TransitionRefused
from tasks_app.handlers import handler
from tasks_app.models import Task, TaskEvent, TaskStatus
from tasks_app.signals import TaskChange, task_recorded
from tasks_app.validation import NewTask
from tests.tasks_app.making import NOW, SECOND, end, fresh, in_status, row, started, story, submitted

pytestmark = pytest.mark.django_db
LATER = NOW + SECOND


# ---- Submitting ------------------------------------------------------------------------------------------------------


def test_a_batch_with_one_wrong_task_takes_none_in_and_names_it() -> None:
    batch = [NewTask(title="good"), NewTask(title=""), NewTask(title="kind", kind="nobody", priority=1000)]
    with pytest.raises(InvalidTask) as caught:
        lifecycle.submit_many(batch, owner_id=None, who="me")
    assert set(caught.value.errors) == {"1.title", "2.kind", "2.priority"}
    assert Task.objects.count() == 0


def test_one_wrong_task_by_itself_has_no_index() -> None:
    with pytest.raises(InvalidTask) as caught:
        lifecycle.submit(NewTask(title=" "), owner_id=None, who="me")
    assert set(caught.value.errors) == {"title"}


def test_a_batch_keeps_its_order_and_its_ids_sort_that_way() -> None:
    tasks = lifecycle.submit_many([NewTask(title=str(n)) for n in range(50)], owner_id=None, who="me")
    assert [task.title for task in tasks] == [str(n) for n in range(50)]
    assert [task.pk for task in tasks] == sorted(task.pk for task in tasks)


def test_an_empty_batch_is_no_error() -> None:
    assert lifecycle.submit_many([], owner_id=None, who="me") == []


def test_what_the_request_leaves_open_the_kind_decides(own_kinds: None) -> None:
    handler("patient", timeout=77, max_attempts=9, is_short=lambda payload: "quick" in payload)(lambda p, c: None)
    slow, quick, own = lifecycle.submit_many(
        [
            NewTask(title="a", kind="patient"),
            NewTask(title="b", kind="patient", payload={"quick": 1}),
            NewTask(title="c", kind="patient", timeout=5, max_attempts=1),
        ],
        owner_id=None,
        who="me",
    )
    assert [(task.timeout, task.max_attempts, task.solo) for task in (slow, quick, own)] == [
        (77, 9, True),
        (77, 9, False),
        (5, 1, True),
    ]


def test_a_start_in_the_past_means_now() -> None:
    assert submitted(run_at=NOW - timedelta(days=3)).run_at == NOW


def test_a_start_ahead_is_not_claimed_before_its_time() -> None:
    task = submitted(run_at=LATER)
    assert lifecycle.start([task.pk], worker="w1", now=LATER - timedelta(microseconds=1)) == []
    assert [claimed.pk for claimed in lifecycle.start([task.pk], worker="w1", now=LATER)] == [task.pk]


@pytest.mark.parametrize("ahead, wakeups", [(timedelta(0), 1), (SECOND, 0)])
def test_only_what_is_due_wakes_a_worker(
    ahead: timedelta, wakeups: int, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        submitted(run_at=NOW + ahead)
    assert len(callbacks) - 1 == wakeups  # the other one announces


def test_an_exception_of_a_listener_undoes_the_fact() -> None:
    def refuse(**_: object) -> None:
        raise ArithmeticError("the outbox is full")

    task_recorded.connect(refuse)
    try:
        with pytest.raises(ArithmeticError):
            submitted()
    finally:
        task_recorded.disconnect(refuse)
    assert Task.objects.count() == TaskEvent.objects.count() == 0


def test_recorded_is_told_inside_the_transaction_and_changed_after_it(
    recorded: list[TaskEvent], changed: list[TaskChange], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        task = submitted()
    assert [event.what for event in recorded] == ["submitted"]
    assert changed == []
    callbacks[0]()
    (change,) = changed
    assert (change.task_id, change.what, change.status, change.version) == (task.pk, "submitted", "PENDING", 1)
    assert change.event_id == recorded[0].pk


# ---- Editing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", TaskStatus)
def test_title_description_tags_and_metadata_change_at_any_time(status: TaskStatus) -> None:
    task = in_status(status)
    changes = {"title": "Other", "description": "Longer", "tags": ["a"], "metadata": {"b": 1}}
    lifecycle.update(task.pk, changes, who="me")
    now = fresh(task)
    assert {name: getattr(now, name) for name in changes} == changes
    assert now.status == status
    assert TaskEvent.objects.filter(task=task).last().data == {"fields": sorted(changes)}  # type: ignore[union-attr]


LATE: dict[str, Any] = {
    "payload": {"message": "other"}, "priority": 5, "run_at": LATER, "max_attempts": 2, "timeout": 9, "callback_url": "",
}  # fmt: skip


@pytest.mark.parametrize("status", [status for status in TaskStatus if status != TaskStatus.PENDING])
@pytest.mark.parametrize("field", sorted(lifecycle.ONLY_WHILE_PENDING - {"callback_url"}))
def test_what_work_depends_on_changes_only_while_it_waits(field: str, status: TaskStatus) -> None:
    task = in_status(status)
    before = row(task)
    with pytest.raises(
        TransitionRefused, match=f"{field} can be changed only while the task is PENDING; it is {status}"
    ):
        lifecycle.update(task.pk, {field: LATE[field], "title": "Other"}, who="me", now=NOW)
    assert row(task) == before


def test_while_it_waits_everything_editable_changes() -> None:
    task = submitted()
    lifecycle.update(task.pk, {name: value for name, value in LATE.items() if value}, who="me", now=NOW)
    now = fresh(task)
    assert (now.payload, now.priority, now.run_at, now.max_attempts, now.timeout) == tuple(list(LATE.values())[:5])


@pytest.mark.parametrize("field", ["kind", "status", "attempt", "owner_id", "id", "result", "version"])
def test_nothing_else_can_be_changed(field: str) -> None:
    task = submitted()
    with pytest.raises(InvalidTask, match=f"{field}: This field cannot be changed"):
        lifecycle.update(task.pk, {field: "anything"}, who="me")


def test_equal_values_change_nothing() -> None:
    task = in_status(TaskStatus.DONE, payload={"message": "x"})
    before = row(task)
    lifecycle.update(task.pk, {"title": task.title, "payload": {"message": "x"}, "priority": 0}, who="me")
    assert row(task) == before


def test_a_changed_payload_must_fit_its_kind() -> None:
    task = submitted()
    with pytest.raises(InvalidTask) as caught:
        lifecycle.update(task.pk, {"payload": {"seconds": -1}}, who="me")
    assert set(caught.value.errors) == {"payload.seconds"}


def test_a_changed_payload_decides_anew_whether_the_task_rides_along() -> None:
    task = submitted(payload={"message": "x"})
    assert not task.solo
    assert lifecycle.update(task.pk, {"payload": {"message": "x", "seconds": 1}}, who="me").solo
    assert not lifecycle.update(task.pk, {"payload": {"message": "x"}}, who="me").solo


def test_after_its_first_attempt_a_task_stays_alone_whatever_its_payload() -> None:
    task = started(payload={"message": "x"})
    end(task, "release", uncounted=True)
    assert lifecycle.update(task.pk, {"payload": {"message": "y"}}, who="me").solo


def test_moving_the_start_makes_the_task_unpublished() -> None:
    task = submitted()
    Task.objects.filter(pk=task.pk).update(published_at=NOW)
    lifecycle.update(task.pk, {"run_at": LATER}, who="me", now=NOW)
    assert fresh(task).published_at is None


def test_other_edits_leave_it_published() -> None:
    task = submitted()
    Task.objects.filter(pk=task.pk).update(published_at=NOW)
    lifecycle.update(task.pk, {"title": "Other", "priority": 3}, who="me", now=NOW)
    assert fresh(task).published_at == NOW


# ---- Ending by hand, deleting, again ---------------------------------------------------------------------------------


def test_completing_a_running_task_fences_its_attempt() -> None:
    task = started()
    lifecycle.complete(task.pk, who="me", now=LATER)
    now = fresh(task)
    assert (now.status, now.progress, now.lease_expires_at, now.worker, now.finished_at) == (
        "DONE",
        100,
        None,
        "",
        LATER,
    )
    assert TaskEvent.objects.get(task=task, what="completed").attempt == 1


def test_a_task_that_waits_and_is_ended_by_hand_no_longer_counts_as_published() -> None:
    """Else the sweep would take it for a message that was worked on, and all that waits before it for overtaken."""
    for verb in (lifecycle.complete, lifecycle.cancel):
        task = submitted()
        Task.objects.filter(pk=task.pk).update(published_at=NOW)
        verb(task.pk, who="me", now=NOW)
        assert fresh(task).published_at is None


def test_deleting_takes_the_history_along_and_leaves_reruns() -> None:
    task = in_status(TaskStatus.DONE)
    again = lifecycle.rerun(task.pk, who="me", owner_id=None)
    lifecycle.delete(task.pk, who="me")
    assert fresh(again).rerun_of_id is None
    assert not TaskEvent.objects.filter(task_id=task.pk).exists()


@pytest.mark.parametrize("status", TaskStatus)
def test_a_rerun_is_a_new_task_like_the_old_one_and_linked_to_it(status: TaskStatus) -> None:
    old = in_status(status, payload={"message": "x"}, tags=["a"], metadata={"b": 1}, priority=3, timeout=9)
    before = row(old)
    new = fresh(lifecycle.rerun(old.pk, who="me", owner_id=None))
    assert (new.status, new.attempt, new.version, new.rerun_of_id) == ("PENDING", 0, 1, old.pk)
    names = ("title", "kind", "payload", "tags", "metadata", "priority", "timeout", "max_attempts")
    assert [getattr(new, name) for name in names] == [getattr(old, name) for name in names]
    assert row(old) == before


def test_a_rerun_may_have_another_payload_which_must_fit() -> None:
    old = in_status(TaskStatus.FAILED, payload={"message": "x"})
    assert lifecycle.rerun(old.pk, who="me", owner_id=None, payload={"message": "y"}).payload == {"message": "y"}
    with pytest.raises(InvalidTask):
        lifecycle.rerun(old.pk, who="me", owner_id=None, payload={"seconds": "long"})


def test_a_reopened_task_starts_afresh() -> None:
    task = in_status(TaskStatus.FAILED)
    now = lifecycle.reopen(task.pk, who="me", why="fixed", now=LATER)
    assert (now.error_code, now.error_message, now.result, now.progress, now.finished_at) == ("", "", None, 0, None)
    assert (now.run_at, now.published_at, now.attempts_left) == (LATER, None, now.max_attempts)


def test_a_reopened_task_is_no_longer_asked_to_stop() -> None:
    task = in_status(TaskStatus.CANCELLED)
    assert task.cancel_requested_at is not None
    assert lifecycle.reopen(task.pk, who="me").cancel_requested_at is None


def test_completing_reopening_and_completing_again_records_each_end() -> None:
    task = submitted()
    for _ in range(3):
        lifecycle.complete(task.pk, who="me")
        lifecycle.reopen(task.pk, who="me")
    lifecycle.start([task.pk], worker="w1", now=fresh(task).run_at)
    lifecycle.complete(task.pk, who="me")
    assert story(task).count("completed") == 4
    ends = TaskEvent.objects.filter(task=task, is_terminal=True).values_list("attempt", flat=True)
    assert sorted(ends, key=str) == [1, None, None, None]
