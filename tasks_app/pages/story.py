"""What happened to one task, as its page tells it: steps from the POST on, log lines, and how long it waited and ran."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks_app.models import Task, TaskEvent, TaskStatus

MOST_STEPS = 200
MOST_LINES = 200

What = TaskEvent.What


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of the timeline. `status` gives icon and colour."""

    at: datetime
    status: str
    title: str
    text: str = ""
    attempt: int | None = None
    who: str = ""
    release: str = ""
    traceback: str = ""


@dataclass(frozen=True, kw_only=True)
class Story:
    """`skipped` lines after the first are left out; then the two times are those of the lines shown."""

    steps: Sequence[Step]
    skipped: bool
    lines: Sequence[TaskEvent]
    lines_skipped: bool
    waited: timedelta
    ran: timedelta


def story(task: Task, *, for_staff: bool, now: datetime) -> Story:
    """Reads a bounded part of the history: the newest lines, and the first. Tracebacks are for staff."""
    history = task.events.exclude(what=What.LOG)
    events = list(history.order_by("-id")[: MOST_STEPS + 1])[::-1]
    skipped = len(events) > MOST_STEPS
    if skipped:
        events = [*history.order_by("id")[:1], *events[1:]]
    lines = list(task.events.filter(what=What.LOG).order_by("-id")[: MOST_LINES + 1])[::-1]
    waited, ran = _times(events, now=now)
    return Story(
        steps=[_step(event, for_staff=for_staff) for event in events], skipped=skipped, lines=lines[-MOST_LINES:],
        lines_skipped=len(lines) > MOST_LINES, waited=waited, ran=ran,
    )  # fmt: skip


def _step(event: TaskEvent, *, for_staff: bool) -> Step:
    text = event.why
    if event.what == What.UPDATED:
        text = "Changed: " + ", ".join(map(str, event.data.get("fields", [])))
    trace = str(event.data.get("traceback", "")) if for_staff else ""
    return Step(
        at=event.at, status=event.status, title=event.get_what_display(), text=text, attempt=event.attempt,
        who=event.who, release=str(event.data.get("release", "")), traceback=trace,
    )  # fmt: skip


def _times(events: Sequence[TaskEvent], *, now: datetime) -> tuple[timedelta, timedelta]:
    # Between two lines a task is what the first of them made it. A start that lies ahead counts as waiting too.
    waited = ran = timedelta()
    for event, end in zip(events, [*(event.at for event in events[1:]), now], strict=False):
        if event.status == TaskStatus.PENDING:
            waited += max(end - event.at, timedelta())
        elif event.status == TaskStatus.PROCESSING:
            ran += max(end - event.at, timedelta())
    return waited, ran
