"""One push: reads what changed once, renders each part once, and puts together what every open page is sent."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse

from notifications.live import NO_STATUS
from notifications.pages.viewers import NOTHING_ABOVE, Viewer
from tasks_app.models import FINISHED, Task, TaskEvent, TaskStatus, Watch
from tasks_app.pages.filters import BadQuery

MOST_NEWS = 1000
MOST_TOASTS = 3
TOAST_SECONDS = 6.0
CHANGED = "changed"
"""To the page of one task, which then reads its own part again over HTTP."""
NOT_SHOWN = ("description", "metadata", "result", "callback_url")
NO_TOAST = NO_STATUS | {TaskEvent.What.SUBMITTED, TaskEvent.What.UPDATED, TaskEvent.What.CANCEL_REQUESTED}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What was announced of one task since the last push."""

    owner_id: int | None
    status: str
    version: int
    is_gone: bool
    is_told: bool
    is_counted: bool

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Change":
        """From one item of `live.announce`."""
        what = item["what"]
        gone = what == TaskEvent.What.DELETED
        return cls(
            owner_id=item["owner_id"], status=item["status"], version=item["version"], is_gone=gone,
            is_told=what not in NO_TOAST, is_counted=gone or what not in NO_STATUS,
        )  # fmt: skip

    def then(self, later: "Change") -> "Change":
        """Both in one: how the newer version stands, and all that is to be told."""
        newest = later if later.version >= self.version else self
        return replace(
            newest, is_gone=self.is_gone or later.is_gone, is_told=self.is_told or later.is_told,
            is_counted=self.is_counted or later.is_counted,
        )  # fmt: skip


class Push:
    """Made in a thread, since it reads and renders; afterwards the feed sends `messages`."""

    def __init__(
        self, changes: Mapping[str, Change], viewers: Iterable[Viewer], *, audiences: Iterable[int | None]
    ) -> None:
        self._changes = changes
        self._parts: dict[tuple[Any, ...], str] = {}
        self._fits: dict[tuple[Any, ...], set[str]] = {}
        # What a page says from here on is for the next push.
        self._stale = {viewer for viewer in viewers if viewer.is_stale}
        for viewer in self._stale:
            viewer.is_stale = False
        self._views = {viewer: viewer.view for viewer in viewers}
        self._watched = self._read_watched()
        told = {viewer: self._told(viewer) for viewer in self._views}
        self._tasks = self._read(told.values())
        started = time.monotonic()
        counts = {audience: self._count(audience) for audience in audiences}
        self.counting_seconds = time.monotonic() - started
        self.messages: list[tuple[Viewer, str]] = []
        for viewer, view in self._views.items():
            toasts = self._toasts(viewer, told[viewer])
            if view.task:
                if viewer in self._stale or self._is_told_of(viewer, view.task):
                    self.messages.append((viewer, CHANGED))
                parts = [toasts]
            else:
                parts = [self._rows(viewer), counts.get(viewer.audience, ""), self._news(viewer), toasts]
            if text := "".join(parts):
                self.messages.append((viewer, text))

    def _is_told_of(self, viewer: Viewer, key: str) -> bool:
        return key in self._changes and viewer.sees(self._changes[key].owner_id)

    def _read(self, told: Iterable[list[str]]) -> dict[str, Task]:
        wanted = {key for viewer in self._stale for key in self._views[viewer].shown}
        wanted |= {key for view in self._views.values() for key in view.shown.keys() & self._changes.keys()}
        wanted |= {key for keys in told for key in keys[:MOST_TOASTS]}
        rows = Task.objects.filter(pk__in=wanted).defer(*NOT_SHOWN) if wanted else []
        return {str(task.pk): task for task in rows}

    def _rows(self, viewer: Viewer) -> str:
        shown, is_stale = self._views[viewer].shown, viewer in self._stale
        text = ""
        for key in shown if is_stale else shown.keys() & self._changes.keys():
            task = self._tasks.get(key)
            if task is None or not viewer.sees(task.owner_id):
                text += self._part("_task_gone.html", id=key)
            # Progress does not count as a version.
            elif not is_stale or task.version != shown[key] or task.status == TaskStatus.PROCESSING:
                rights = {f"may_{action}": viewer.access.may(action, task) for action in ("change", "delete")}
                text += self._part("_task_row.html", task=task, key=key, **rights)
        return text

    def _news(self, viewer: Viewer) -> str:
        view, before = self._views[viewer], len(viewer.news)
        if viewer in self._stale:
            viewer.news = self._missed(viewer)
        seen = {key for key, change in self._changes.items() if viewer.sees(change.owner_id)}
        lacking = {key for key in seen if not self._changes[key].is_gone and view.lacks(key, self._changes[key].status)}
        viewer.news -= seen - lacking
        if view.filters.beyond_status and (lacking := lacking - viewer.news):
            # What is left out of very many is found when the page is compared.
            lacking = self._fitting(viewer, frozenset(islice(lacking, MOST_NEWS)))
        viewer.news |= lacking
        if len(viewer.news) == before and viewer not in self._stale:
            return ""
        return self._part("_news.html", number=min(len(viewer.news), MOST_NEWS), url=view.filters.url())

    def _fitting(self, viewer: Viewer, keys: frozenset[str]) -> set[str]:
        """Those of the tasks that fit the page's filters; asked once for all pages with the same."""
        filters = self._views[viewer].filters
        asked = (viewer.audience, filters.query(), keys)
        if asked not in self._fits:
            with suppress(BadQuery):  # an owner, of somebody who sees their own only
                found = filters.tasks(viewer.access).filter(pk__in=keys).values_list("pk", flat=True)
                self._fits[asked] = {str(key) for key in found}
        return self._fits.get(asked, set())

    def _missed(self, viewer: Viewer) -> set[str]:
        view = self._views[viewer]
        if view.floor == NOTHING_ABOVE:
            return set()
        try:
            tasks = view.filters.tasks(viewer.access).exclude(pk__in=list(view.shown))
        except BadQuery:
            return set()
        if view.floor:
            # The order and the bound of the list's own indexes; the id alone would be looked for among all tasks.
            tasks = tasks.filter(pk__gt=view.floor, created_at__gte=view.made_since)
        newest = tasks.order_by("-created_at", "-id").values_list("pk", flat=True)
        return {str(key) for key in newest[:MOST_NEWS]}

    def _read_watched(self) -> dict[tuple[int, str], bool]:
        """What the viewers said of watching those of the tasks that there is something to tell of. One query."""
        keys = [key for key, change in self._changes.items() if change.is_told and not change.is_gone]
        if not keys or not self._views:
            return {}
        people = {viewer.access.user.pk for viewer in self._views}
        found = Watch.objects.filter(user_id__in=people, task_id__in=keys)
        return {(user, str(task)): is_on for user, task, is_on in found.values_list("user_id", "task_id", "is_on")}

    def _told(self, viewer: Viewer) -> list[str]:
        """Tasks that the viewer is to be told of: their own, and those they watch. Not the one the page is of."""
        me, here = viewer.access.user.pk, self._views[viewer].task
        return [
            key
            for key, change in self._changes.items()
            if change.is_told and not change.is_gone and key != here
            and viewer.sees(change.owner_id) and self._watched.get((me, key), change.owner_id == me)
        ]  # fmt: skip

    def _toasts(self, viewer: Viewer, keys: list[str]) -> str:
        """A note for each of a few tasks; where there are more, one for all that ended since it was last quiet."""
        if not keys:
            return ""
        now = time.monotonic()
        if now - viewer.toasted_at > TOAST_SECONDS:
            viewer.toasts, viewer.toasts_grouped = set(), Counter()
        viewer.toasted_at = now
        if not viewer.toasts_grouped and len(viewer.toasts | set(keys)) <= MOST_TOASTS:
            viewer.toasts |= set(keys)
            return "".join(self._toast(self._tasks[key]) for key in keys if key in self._tasks)
        ended = Counter(status for key in keys if (status := self._changes[key].status) in FINISHED)
        if not ended:
            return ""
        viewer.toasts_grouped += ended
        worst = TaskStatus.FAILED if viewer.toasts_grouped[TaskStatus.FAILED] else TaskStatus.DONE
        numbers = [f"{number} {TaskStatus(status).label.lower()}" for status, number in viewer.toasts_grouped.items()]
        return self._part("_toast.html", key="many", status=worst, word="Tasks ended:", title=", ".join(numbers))

    def _toast(self, task: Task) -> str:
        word = "Waiting" if task.status == TaskStatus.PENDING else task.get_status_display()
        text = task.error_message if task.status == TaskStatus.FAILED else ""
        return self._part("_toast.html", key=str(task.pk), status=task.status, word=word, title=task.title, text=text,
                          url=reverse("tasks:detail", args=[task.pk]))  # fmt: skip

    def _count(self, audience: int | None) -> str:
        tasks = Task.objects.all() if audience is None else Task.objects.filter(owner_id=audience)
        numbers = tasks.counts()
        every = {"ALL": sum(numbers.values()), **{status: numbers.get(status, 0) for status in TaskStatus.values}}
        return "".join(self._part("_count.html", status=status, number=every[status]) for status in every)

    def _part(self, name: str, *, task: Task | None = None, **context: Any) -> str:
        """A partial of the page, rendered once for all who are sent the same. `task` is named by `context` already."""
        known = (name, *context.items())
        if known not in self._parts:
            self._parts[known] = render_to_string(f"tasks_app/{name}", {**context, "task": task, "oob": True})
        return self._parts[known]
