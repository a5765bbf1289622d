"""Every change of a task goes through a verb here; nothing else writes one.

A verb changes the row, writes one TaskEvent and sends `task_recorded` in one transaction; after the commit it announces
`task_changed` and hands the id to the publisher where there is something to do. TRANSITIONS says which verb is allowed
where. Verbs of a worker (start, settle, report_progress) lose races quietly: a row that is no longer theirs is not
returned. Verbs of people raise TaskNotFound or TransitionRefused.
"""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.db import transaction
from django.db.models import F

from tasks_app import clock, effects, handlers, history, pipeline, statements, strict_json, validation
from tasks_app.exceptions import InvalidTask, TaskNotFound, TransitionRefused, VersionConflict
from tasks_app.models import Task, TaskEvent, TaskStatus
from tasks_app.validation import NewTask

What = TaskEvent.What
_P, _R, _D, _F, _C = (
    TaskStatus.PENDING, TaskStatus.PROCESSING, TaskStatus.DONE, TaskStatus.FAILED, TaskStatus.CANCELLED,
)  # fmt: skip

TRANSITIONS: Mapping[str, Mapping[TaskStatus, TaskStatus]] = {
    "start": {_P: _R},
    "report_progress": {_R: _R},
    "report_stopping": {_R: _R},
    "succeed": {_R: _D},
    "fail": {_R: _F},
    "retry_later": {_R: _P},
    "release": {_R: _P},
    "reclaim": {_R: _P},  # FAILED when no attempt is left
    "complete": {_P: _D, _R: _D, _F: _D, _C: _D, _D: _D},  # nothing happens to one that is done
    "cancel": {_P: _C, _R: _R, _C: _C},  # a running one is asked to stop; nothing happens to a cancelled one
    "reopen": {_D: _P, _F: _P, _C: _P},
    "update": {status: status for status in TaskStatus},
    "delete": {status: status for status in TaskStatus},
}
"""verb → status before → status after."""

ONLY_WHILE_PENDING = frozenset({"payload", "priority", "run_at", "max_attempts", "timeout", "callback_url"})
_PARTICIPLES = {
    "cancel": "cancelled",
    "reopen": "reopened",
    "complete": "completed",
    "update": "changed",
    "delete": "deleted",
}
EDITABLE = frozenset({"title", "description", "tags", "metadata"}) | ONLY_WHILE_PENDING
MAX_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one attempt ended. `retry_at` goes with `retry_later`; `uncounted` gives the attempt back (`release`)."""

    task_id: uuid.UUID
    attempt: int
    verb: Literal["succeed", "fail", "retry_later", "release", "reclaim"]
    progress: int = 0
    message: str = ""
    result: str | None = None
    error_code: str = ""
    error_message: str = ""
    traceback: str = ""
    retry_at: datetime | None = None
    uncounted: bool = False
    solo: bool = False
    logs: Sequence[str] = ()
    on_success: Sequence[Callable[[], None]] = field(default_factory=list)


_END_EVENT: Mapping[str, TaskEvent.What] = {_D: What.SUCCEEDED, _F: What.FAILED, _C: What.CANCELLED}
_BACK_EVENT = {"retry_later": What.RETRYING, "release": What.RELEASED, "reclaim": What.RECLAIMED}


# ---- Coming in ------------------------------------------------------------------------------------------------------


def submit(new: NewTask, *, owner_id: int | None, who: str, why: str = "", now: datetime | None = None) -> Task:
    """Takes one task in. Raises InvalidTask. When this returns, the task is committed (or will be with the caller)."""
    return submit_many([new], owner_id=owner_id, who=who, why=why, now=now)[0]


def submit_many(
    batch: Sequence[NewTask], *, owner_id: int | None, who: str, why: str = "", now: datetime | None = None
) -> list[Task]:
    """Takes all or none in. The errors of InvalidTask carry the index of the task where there are several."""
    now = now or clock.now()
    errors: dict[str, str] = {}
    tasks = []
    for index, new in enumerate(batch):
        try:
            tasks.append(_new_row(new, validation.check_new(new, now=now), owner_id=owner_id, now=now))
        except InvalidTask as error:
            prefix = f"{index}." if len(batch) > 1 else ""
            errors |= {prefix + name: text for name, text in error.errors.items()}
    if errors:
        raise InvalidTask(errors)
    with transaction.atomic():
        events = [history.event(task, What.SUBMITTED, who=who, why=why, at=now) for task in tasks]
        history.record(events, tasks=tasks)
        pipeline.publish_after_commit([task for task in tasks if task.run_at <= now])
    return tasks


def rerun(task_id: uuid.UUID, *, who: str, owner_id: int | None, payload: Any = None, why: str = "") -> Task:
    """A new task like this one, linked to it; the payload may be another."""
    old = get(task_id)
    new = NewTask(
        title=old.title, description=old.description, kind=old.kind, payload=old.payload if payload is None else payload,
        tags=old.tags, metadata=old.metadata, callback_url=old.callback_url, priority=old.priority,
        max_attempts=old.max_attempts, timeout=old.timeout, rerun_of=old.pk,
    )  # fmt: skip
    return submit(new, owner_id=owner_id, who=who, why=why)


def _new_row(new: NewTask, handler: handlers.Handler, *, owner_id: int | None, now: datetime) -> Task:
    return Task(
        owner_id=owner_id, title=new.title, description=new.description, kind=new.kind, payload=new.payload,
        tags=list(new.tags), metadata=dict(new.metadata), callback_url=new.callback_url, priority=new.priority,
        max_attempts=handler.max_attempts if new.max_attempts is None else new.max_attempts,
        timeout=handler.timeout if new.timeout is None else new.timeout,
        solo=not handler.is_short(new.payload or {}), rerun_of_id=new.rerun_of,
        run_at=max(now, new.run_at or now), created_at=now, updated_at=now,
    )  # fmt: skip


# ---- A worker's verbs -----------------------------------------------------------------------------------------------


def start(
    ids: Sequence[uuid.UUID], *, worker: str, sent_at: datetime | None = None, now: datetime | None = None
) -> list[Task]:
    """Claims those of `ids` that are PENDING and due. What is not returned is not the caller's to do."""
    now = now or clock.now()
    with transaction.atomic():
        events, revision = statements.claim(
            ids,
            worker=worker,
            now=now,
            lease_expires_at=lease_end(now),
            sent_at=sent_at,
            data={"release": settings.RELEASE},
        )
        history.announce(events, revision=revision)
    return [event.task for event in events]


def report_progress(
    task_id: uuid.UUID,
    *,
    attempt: int,
    progress: int,
    message: str,
    logs: Sequence[str] = (),
    now: datetime | None = None,
) -> bool:
    """Writes down what a running attempt says. False: the attempt was taken away, nothing was written."""
    now = now or clock.now()
    with transaction.atomic():
        mine = Task.objects.filter(pk=task_id, attempt=attempt, status__in=TRANSITIONS["report_progress"])
        if not mine.update(progress=progress, message=message, updated_at=now):
            return False
        history.record_progress(Task.objects.get(pk=task_id), lines=logs, at=now)
    return True


def report_stopping(task_id: uuid.UUID, *, attempt: int, who: str, why: str, now: datetime | None = None) -> bool:
    """Writes down that a running handler was asked to stop. False: the attempt is over, or was taken away."""
    now = now or clock.now()
    with transaction.atomic():
        mine = Task.objects.filter(pk=task_id, attempt=attempt, status__in=TRANSITIONS["report_stopping"])
        if not mine.update(version=F("version") + 1, updated_at=now):
            return False
        task = Task.objects.get(pk=task_id)
        history.record([history.event(task, What.STOPPING, who=who, why=why, at=now, attempt=attempt)])
    return True


def settle(outcomes: Sequence[Outcome], *, who: str, now: datetime | None = None) -> list[Task]:
    """Ends attempts: succeed, fail, retry_later, release or reclaim. Returns the tasks settled; the rest was superseded.

    A cancellation requested meanwhile wins. `on_success` functions run inside the transaction, for those that will be DONE;
    their exception undoes the whole call.
    """
    now = now or clock.now()
    by_id = {outcome.task_id: outcome for outcome in outcomes}
    if not by_id:
        return []
    with transaction.atomic():
        if any(outcome.on_success for outcome in outcomes):
            with transaction.atomic():  # a savepoint: it cannot be released if a function ended the transaction
                effects.run(outcomes)
        tasks = statements.settle([_settle_item(outcome) for outcome in by_id.values()], now=now)
        events = []
        for task in tasks:
            outcome = by_id[task.pk]
            events += history.logs(task, outcome.logs, attempt=outcome.attempt, at=now)
            what = _END_EVENT.get(task.status) or _BACK_EVENT[outcome.verb]
            why = outcome.message if task.status == _D else outcome.error_message or outcome.message
            data = {"release": settings.RELEASE}
            if outcome.error_code:
                data["error_code"] = outcome.error_code
            if outcome.traceback:
                data["traceback"] = outcome.traceback
            if outcome.retry_at:
                data["retry_at"] = outcome.retry_at.isoformat()
            events.append(history.event(task, what, who=who, why=why, at=now, attempt=outcome.attempt, data=data))
        history.record(events)
        pipeline.publish_after_commit([task for task in tasks if task.status == _P and task.run_at <= now])
    return tasks


def _settle_item(outcome: Outcome) -> statements.SettleItem:
    (after,) = TRANSITIONS[outcome.verb].values()
    return {
        "id": outcome.task_id, "attempt": outcome.attempt, "status": after, "progress": outcome.progress,
        "message": outcome.message, "result": outcome.result, "error_code": outcome.error_code,
        "error_message": outcome.error_message, "run_at": outcome.retry_at, "uncounted": int(outcome.uncounted),
        "solo": outcome.solo or outcome.verb != "succeed",
    }  # fmt: skip


def reclaim(tasks: Sequence[Task], *, who: str, why: str, now: datetime | None = None) -> list[Task]:
    """Takes tasks back from a worker that was lost: PENDING again, or FAILED `worker_lost` without attempts left.

    One that rode in a batch gets its attempt back, since a neighbour may have been the killer, and is alone from now on.
    """
    return settle([_reclaimed(task, why=why) for task in tasks], who=who, now=now)


def _reclaimed(task: Task, *, why: str) -> Outcome:
    lost = Outcome(task_id=task.pk, attempt=task.attempt, verb="reclaim", progress=task.progress, message=why)
    if not task.solo:
        return replace(lost, uncounted=True)
    if task.attempts_left:
        return lost
    return replace(lost, verb="fail", error_code="worker_lost", error_message=why)


def lease_end(now: datetime) -> datetime:
    """Until when an attempt is left alone without a sign of life."""
    return now + timedelta(seconds=settings.LEASE_SECONDS)


# ---- People's verbs -------------------------------------------------------------------------------------------------


def get(task_id: uuid.UUID) -> Task:
    """The task as it is. Raises TaskNotFound."""
    try:
        return Task.objects.get(pk=task_id)
    except Task.DoesNotExist:
        raise TaskNotFound from None


def complete(task_id: uuid.UUID, *, who: str, why: str = "", now: datetime | None = None) -> Task:
    """Ends the task by hand as DONE, from any status; a running attempt is fenced. Nothing happens to one that is done."""
    now = now or clock.now()
    with transaction.atomic():
        task = _locked(task_id, "complete")
        if task.status != _D:
            _finish(task, _D, What.COMPLETED, who=who, why=why or "Completed by hand", now=now)
    return task


def cancel(task_id: uuid.UUID, *, who: str, why: str = "", now: datetime | None = None) -> Task:
    """Stops the task: a waiting one at once, a running one as soon as its handler heeds it or the grace time is over."""
    now = now or clock.now()
    with transaction.atomic():
        task = _locked(task_id, "cancel")
        if task.status == _P:
            _finish(task, _C, What.CANCELLED, who=who, why=why or "Cancelled", now=now)
        elif task.status == _R and task.cancel_requested_at is None:
            task.cancel_requested_at = now
            _save(task, ["cancel_requested_at"], now=now)
            asked = history.event(task, What.CANCEL_REQUESTED, who=who, why=why, at=now, attempt=task.attempt)
            history.record([asked])
    return task


def reopen(task_id: uuid.UUID, *, who: str, why: str = "", now: datetime | None = None) -> Task:
    """Makes a finished task PENDING again with a new budget of attempts."""
    now = now or clock.now()
    with transaction.atomic():
        task = _locked(task_id, "reopen")
        task.status, task.finished_at, task.published_at, task.run_at = _P, None, None, now
        task.attempts_uncounted, task.progress, task.message, task.result = task.attempt, 0, "", None
        task.error_code = task.error_message = ""
        task.cancel_requested_at = None
        _save(task, [
            "status", "finished_at", "published_at", "run_at", "attempts_uncounted", "progress", "message", "result",
            "error_code", "error_message", "cancel_requested_at",
        ], now=now)  # fmt: skip
        history.record([history.event(task, What.REOPENED, who=who, why=why, at=now)])
        pipeline.publish_after_commit([task])
    return task


def update(
    task_id: uuid.UUID,
    changes: Mapping[str, Any],
    *,
    who: str,
    versions: Collection[int] | None = None,
    now: datetime | None = None,
) -> Task:
    """Changes fields. Title, description, tags and metadata at any time, the others only while PENDING.

    Raises InvalidTask, TransitionRefused for a field whose time is over, and VersionConflict where the task's version
    is none of `versions`. Equal values change nothing.
    """
    now = now or clock.now()
    if unknown := set(changes) - EDITABLE:
        raise InvalidTask(dict.fromkeys(sorted(unknown), "This field cannot be changed."))
    with transaction.atomic():
        task = _locked(task_id, "update", versions=versions)
        changed = {name: value for name, value in changes.items() if not strict_json.same(getattr(task, name), value)}
        errors = validation.field_errors({"kind": task.kind, **changed}, now=now)
        if "payload" in changed and validation.is_sound(errors, "payload") and (handler := handlers.get(task.kind)):
            errors |= handler.problems(changed["payload"])
        if errors:
            raise InvalidTask(errors)
        late = sorted(ONLY_WHILE_PENDING & set(changed))
        if late and task.status != _P:
            raise TransitionRefused(
                f"{', '.join(late)} can be changed only while the task is PENDING; it is {task.status}."
            )
        if not changed:
            return task
        for name, value in changed.items():
            setattr(task, name, value)
        if "payload" in changed and (handler := handlers.get(task.kind)):
            # Only a first attempt rides along: one that came back may be what ended its worker.
            task.solo = task.attempt > 0 or not handler.is_short(task.payload or {})
        if "run_at" in changed:
            task.published_at = None
        _save(task, [*changed, "solo", "published_at"], now=now)
        history.record([history.event(task, What.UPDATED, who=who, at=now, data={"fields": sorted(changed)})])
        pipeline.publish_after_commit([task] if "run_at" in changed and task.run_at <= now else [])
    return task


def delete(
    task_id: uuid.UUID, *, who: str, versions: Collection[int] | None = None, now: datetime | None = None
) -> None:
    """Removes the task and its history, in any status; a running attempt then has nothing to settle.

    Raises VersionConflict where the task's version is none of `versions`.
    """
    now = now or clock.now()
    with transaction.atomic():
        task = _locked(task_id, "delete", versions=versions)
        task.version += 1
        task.updated_at = now
        history.record([history.event(task, What.DELETED, who=who, at=now)])
        task.delete()
        pipeline.publish_tail_after_commit(task_id)


def _locked(task_id: uuid.UUID, verb: str, *, versions: Collection[int] | None = None) -> Task:
    # On SQLite the transaction itself holds the only write lock; there select_for_update() is a no-op by design.
    try:
        task = Task.objects.select_for_update().get(pk=task_id)
    except Task.DoesNotExist:
        raise TaskNotFound from None
    if versions is not None and task.version not in versions:
        raise VersionConflict
    if task.status not in TRANSITIONS[verb]:
        raise TransitionRefused(f"A task that is {task.status} cannot be {_PARTICIPLES[verb]}.")
    return task


def _finish(task: Task, status: TaskStatus, what: TaskEvent.What, *, who: str, why: str, now: datetime) -> None:
    # The running attempt ends here. An end that no attempt earned has no attempt number.
    attempt = task.attempt if task.status == _R else None
    if task.status == _P:  # its message was not worked on; the sweep must not conclude that it overtook others
        task.published_at = None
    task.status, task.finished_at, task.message = status, now, why
    task.lease_expires_at, task.worker, task.error_code, task.error_message = None, "", "", ""
    if status == _D:
        task.progress = 100
    _save(task, [
        "status", "finished_at", "message", "lease_expires_at", "worker", "error_code", "error_message", "progress",
        "published_at",
    ], now=now)  # fmt: skip
    history.record([history.event(task, what, who=who, why=why, at=now, attempt=attempt)])
    pipeline.publish_tail_after_commit(task.pk)


def _save(task: Task, fields: Sequence[str], *, now: datetime) -> None:
    task.version += 1
    task.updated_at = now
    task.save(update_fields=[*fields, "version", "updated_at"])
