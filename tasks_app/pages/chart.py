"""The last hour, minute by minute: accepted, done and failed. Asked at most for a twentieth of the time, however many
rows there are, and kept a few seconds for everybody who sees the same tasks."""

import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, QuerySet
from django.db.models.functions import TruncMinute
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from tasks_app.models import Task, TaskStatus
from tasks_app.pages.viewer import Viewer, for_viewers, is_htmx

MINUTES = 60
KEEP_SECONDS = 5.0
SHARE = 20
MOST_KEPT = 200
WIDTH, HEIGHT = 10, 80
"""Of one minute, in the units of the drawing."""


@dataclass(frozen=True, kw_only=True)
class Minute:
    """Numbers of one minute, and where its bars are drawn."""

    at: datetime
    x: int
    accepted: int
    done: int
    failed: int
    done_y: float = 0
    done_height: float = 0
    failed_y: float = 0
    failed_height: float = 0


@dataclass(frozen=True, kw_only=True)
class Chart:
    """`line` are the points of what was accepted; `top` is the number at the upper edge."""

    minutes: list[Minute]
    line: str
    top: int
    accepted: int
    done: int
    failed: int


def chart(tasks: QuerySet[Task], *, now: datetime) -> Chart:
    """Three queries, each over one range of an index."""
    first = now.replace(second=0, microsecond=0) - timedelta(minutes=MINUTES - 1)
    accepted = _per_minute(tasks.filter(created_at__gte=first), "created_at")
    ended = tasks.filter(finished_at__gte=first)
    done = _per_minute(ended.filter(status=TaskStatus.DONE), "finished_at")
    failed = _per_minute(ended.filter(status=TaskStatus.FAILED), "finished_at")
    moments = [first + timedelta(minutes=number) for number in range(MINUTES)]
    highest = max(max(accepted.get(at, 0), done.get(at, 0) + failed.get(at, 0)) for at in moments)
    top = _round_up(highest)
    minutes = []
    for number, at in enumerate(moments):
        high, low = HEIGHT * done.get(at, 0) / top, HEIGHT * failed.get(at, 0) / top
        minutes.append(Minute(
            at=at, x=number * WIDTH, accepted=accepted.get(at, 0), done=done.get(at, 0), failed=failed.get(at, 0),
            done_y=round(HEIGHT - high, 2), done_height=round(high, 2), failed_y=round(HEIGHT - high - low, 2),
            failed_height=round(low, 2),
        ))  # fmt: skip
    points = [f"{one.x + WIDTH / 2:g},{HEIGHT - HEIGHT * one.accepted / top:.2f}" for one in minutes]
    return Chart(
        minutes=minutes, line=" ".join(points), top=top, accepted=sum(accepted.values()), done=sum(done.values()),
        failed=sum(failed.values()),
    )  # fmt: skip


class Kept:
    """Charts of this process, by who sees the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._charts: dict[int | None, tuple[float, Chart]] = {}

    def get(self, viewer: Viewer, *, now: datetime) -> Chart:
        """A new one, or the last where that is fresh enough for what it cost."""
        audience = None if viewer.may_any("view") else viewer.user.pk
        with self._lock:
            until, kept = self._charts.get(audience, (0.0, None))
            if kept is not None and time.monotonic() < until:
                return kept
        started = time.monotonic()
        made = chart(viewer.tasks(), now=now)
        cost = time.monotonic() - started
        with self._lock:
            if len(self._charts) >= MOST_KEPT:
                self._charts.clear()
            self._charts[audience] = (time.monotonic() + max(KEEP_SECONDS, SHARE * cost), made)
        return made


kept = Kept()


@require_safe
@for_viewers
def last_hour(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The chart for the dashboard, or on a page of its own."""
    template = "tasks_app/_chart.html" if is_htmx(request) else "tasks_app/chart.html"
    return render(
        request, template, {"viewer": viewer, "chart": kept.get(viewer, now=timezone.now()), "oob": is_htmx(request)}
    )


def _per_minute(tasks: QuerySet[Task], column: str) -> dict[datetime, int]:
    rows = tasks.order_by().annotate(minute=TruncMinute(column)).values_list("minute").annotate(Count("pk"))
    return dict(rows)


def _round_up(number: int) -> int:
    """1, 2, 4, 5, 10, 20, 40, 50, 100 …: half of it is a whole number from 2 on."""
    step = 1
    while True:
        for factor in (1, 2, 4, 5):
            if factor * step >= number:
                return factor * step
        step *= 10
