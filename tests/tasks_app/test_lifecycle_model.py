"""Random sequences of verbs, stale attempts included, against a model of a few lines of plain Python."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings, stateful
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tasks_app import lifecycle
from tasks_app.exceptions import TaskNotFound, TransitionRefused
from tasks_app.models import Task, TaskEvent
from tasks_app.validation import NewTask
from tests.tasks_app.making import NOW, SECOND


@dataclass
class Model:
    """What a task must be, by the words of DESIGN.md."""

    status: str = "PENDING"
    attempt: int = 0
    uncounted: int = 0
    version: int = 1
    cancel: bool = False
    solo: bool = False
    due: datetime = NOW
    ends: list[int | None] = field(default_factory=list)

    def change(self, status: str) -> None:
        self.status, self.version = status, self.version + 1

    def end(self, status: str, attempt: int | None) -> None:
        self.change(status)
        self.ends.append(attempt)


WORKERS_VERBS = {"succeed": "DONE", "fail": "FAILED", "retry_later": "PENDING", "release": "PENDING"}
FINISHED = {"DONE", "FAILED", "CANCELLED"}


number = st.integers(0, 11)
"""Which of the tasks or attempts there are; Hypothesis's own bundles were drawn from so rarely that little happened."""


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.models: dict[Any, Model] = {}
        self.keys: list[Any] = []
        """Of every task that ever was, the deleted ones too."""
        self.attempts: list[tuple[Any, int]] = []

    # ---- coming in, time ----

    @initialize(limits=st.lists(st.integers(1, 3), min_size=3, max_size=3))
    def begin(self, limits: list[int]) -> None:
        for limit in limits:
            self.submit(ahead=0, limit=limit)

    @rule(ahead=st.integers(0, 3), limit=st.integers(1, 3))
    def submit(self, ahead: int, limit: int) -> None:
        new = NewTask(title="x", run_at=self.now + ahead * SECOND, max_attempts=limit)
        task = lifecycle.submit(new, owner_id=None, who="me", now=self.now)
        self.models[task.pk] = Model(due=self.now + ahead * SECOND)
        self.keys.append(task.pk)

    def key(self, number: int) -> Any:
        return self.keys[number % len(self.keys)]

    @rule(seconds=st.integers(1, 5))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    # ---- workers ----

    @rule(numbers=st.lists(number, min_size=1, max_size=4))
    def start(self, numbers: list[int]) -> None:
        keys = list(dict.fromkeys(self.key(n) for n in numbers))
        claimed = lifecycle.start(keys, worker="w1", now=self.now)
        alone = len(keys) == 1
        due = [k for k in keys if (m := self.models.get(k)) and m.status == "PENDING" and m.due <= self.now]
        expected = [k for k in due if alone or not self.models[k].solo]
        assert [task.pk for task in claimed] == expected
        for task in claimed:
            model = self.models[task.pk]
            model.attempt, model.cancel, model.solo = model.attempt + 1, False, model.solo or alone
            model.change("PROCESSING")
            self.attempts.append((task.pk, task.attempt))

    @precondition(lambda self: self.attempts)
    @rule(ago=number, verb=st.sampled_from(sorted(WORKERS_VERBS)), ahead=st.integers(0, 3))
    def settle(self, ago: int, verb: Any, ahead: int) -> None:
        key, attempt = self.attempts[-1 - ago % len(self.attempts)]
        outcome = lifecycle.Outcome(
            task_id=key, attempt=attempt, verb=verb, uncounted=verb == "release",
            retry_at=self.now + ahead * SECOND if verb == "retry_later" else None,
        )  # fmt: skip
        settled = lifecycle.settle([outcome], who="w1", now=self.now)
        model = self.models.get(key)
        mine = model is not None and model.status == "PROCESSING" and model.attempt == attempt
        assert [task.pk for task in settled] == ([key] if mine else [])
        if not mine:
            return
        assert model is not None
        model.uncounted += verb == "release"
        model.solo = model.solo or verb != "succeed"
        after = "CANCELLED" if model.cancel else WORKERS_VERBS[verb]
        if verb == "retry_later":
            model.due = self.now + ahead * SECOND
        model.change(after) if after == "PENDING" else model.end(after, attempt)

    @precondition(lambda self: self.attempts)
    @rule(ago=number)
    def report_progress(self, ago: int) -> None:
        key, attempt = self.attempts[-1 - ago % len(self.attempts)]
        mine = lifecycle.report_progress(key, attempt=attempt, progress=1, message="", now=self.now)
        model = self.models.get(key)
        assert mine == (model is not None and model.status == "PROCESSING" and model.attempt == attempt)

    @rule(which=number)
    def reclaim(self, which: int) -> None:
        key = self.key(which)
        model, row = self.models.get(key), Task.objects.filter(pk=key).first()
        if row is None or model is None:
            return
        settled = lifecycle.reclaim([row], who="sweep", why="gone", now=self.now)
        assert bool(settled) == (model.status == "PROCESSING")
        if not settled:
            return
        spent = model.solo and model.attempt - model.uncounted >= row.max_attempts
        if not model.solo:
            model.uncounted += 1
        model.solo = True
        if model.cancel or spent:
            model.end("CANCELLED" if model.cancel else "FAILED", model.attempt)
        else:
            model.change("PENDING")

    # ---- people ----

    def _refused(self, verb: Any, key: Any, allowed: set[str]) -> bool:
        """Calls a verb of people's; whether the model says that it could not do anything."""
        model = self.models.get(key)
        if model is None:
            with pytest.raises(TaskNotFound):
                verb(key, who="me", now=self.now)
            return True
        if model.status not in allowed:
            with pytest.raises(TransitionRefused):
                verb(key, who="me", now=self.now)
            return True
        verb(key, who="me", now=self.now)
        return False

    @rule(which=number)
    def complete(self, which: int) -> None:
        key = self.key(which)
        if self._refused(lifecycle.complete, key, {"PENDING", "PROCESSING"} | FINISHED):
            return
        model = self.models[key]
        if model.status != "DONE":
            model.end("DONE", model.attempt if model.status == "PROCESSING" else None)

    @rule(which=number)
    def cancel(self, which: int) -> None:
        key = self.key(which)
        if self._refused(lifecycle.cancel, key, {"PENDING", "PROCESSING", "CANCELLED"}):
            return
        model = self.models[key]
        if model.status == "PENDING":
            model.end("CANCELLED", None)
        elif model.status == "PROCESSING" and not model.cancel:
            model.cancel = True
            model.change("PROCESSING")

    @rule(which=number)
    def reopen(self, which: int) -> None:
        key = self.key(which)
        if not self._refused(lifecycle.reopen, key, FINISHED):
            model = self.models[key]
            model.uncounted, model.cancel, model.due = model.attempt, False, self.now
            model.change("PENDING")

    @rule(which=number, title=st.sampled_from(["x", "y"]))
    def update(self, which: int, title: str) -> None:
        key = self.key(which)
        model = self.models.get(key)
        if model is None:
            return
        before = Task.objects.get(pk=key).title
        lifecycle.update(key, {"title": title}, who="me", now=self.now)
        model.version += title != before

    @precondition(lambda self: len(self.keys) > 4)
    @rule(which=number)
    def delete(self, which: int) -> None:
        key = self.key(which)
        if not self._refused(lifecycle.delete, key, {"PENDING", "PROCESSING"} | FINISHED):
            del self.models[key]

    # ---- always ----

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        rows = {task.pk: task for task in Task.objects.filter(pk__in=self.models)}
        assert set(rows) == set(self.models)
        for key, model in self.models.items():
            row = rows[key]
            found = (row.status, row.attempt, row.attempts_uncounted, row.version, row.solo)
            assert found == (model.status, model.attempt, model.uncounted, model.version, model.solo)
            assert (row.lease_expires_at is not None) == (model.status == "PROCESSING")
            assert (row.finished_at is not None) == (model.status in FINISHED)

    def teardown(self) -> None:
        for key, model in self.models.items():
            events = TaskEvent.objects.filter(task_id=key).order_by("pk")
            assert list(events.values_list("version", flat=True)) == list(range(1, model.version + 1))
            assert list(events.filter(is_terminal=True).values_list("attempt", flat=True)) == model.ends
            counted = [attempt for attempt in model.ends if attempt is not None]
            assert len(counted) == len(set(counted))


@pytest.mark.django_db
def test_no_sequence_of_verbs_departs_from_the_model() -> None:
    stateful.run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # shrinking a failure over a database takes five minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
