"""What a list of tasks is narrowed by. The address of the page is the state; people type `kind:email tag:nightly words`."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.urls import reverse

from tasks_app import handlers, search
from tasks_app.models import Task, TaskStatus
from tasks_app.pages.viewer import Viewer
from tasks_app.validation import text_error

SIZES = (25, 50, 100)
NAMES = ("status", "kind", "tag", "owner", "text")
LONGEST = {"status": 10, "kind": 100, "tag": 50, "owner": 150, "text": 200}
RECENT = 200
_TYPED = re.compile(r'(?:(status|kind|tag|owner|text):)?(?:"([^"]*)"|(\S+))')


class BadQuery(ValueError):
    """The address asks for a list that cannot be."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Every value may be empty. Raises BadQuery for what makes no sense."""

    status: str = ""
    kind: str = ""
    tag: str = ""
    owner: str = ""
    text: str = ""
    size: int = SIZES[0]

    def __post_init__(self) -> None:
        if self.status and self.status not in TaskStatus.values:
            raise BadQuery(f"There is no status {self.status[:20]!r}. There are: {', '.join(TaskStatus.values)}.")
        for name, value in self.given.items():
            if len(value) > LONGEST[name] or text_error(value):
                raise BadQuery(f"{name}: a text of at most {LONGEST[name]} characters.")
        words = self.text.split()
        if self.text and (len(words) > search.MOST_WORDS or max(map(len, words), default=0) < search.SHORTEST_WORD):
            raise BadQuery(f"text: up to {search.MOST_WORDS} words, one of at least {search.SHORTEST_WORD} characters.")
        if self.size not in SIZES:
            raise BadQuery(f"size: one of {', '.join(map(str, SIZES))}.")

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """From the address. `q`, what a person typed, is laid over the rest."""
        values: dict[str, Any] = {name: query.get(name, "").strip() for name in NAMES}
        typed = query.get("q", "")[:1000]
        words = []
        for name, quoted, plain in _TYPED.findall(typed):
            if name and name != "text":
                values[name] = (quoted or plain).upper() if name == "status" else quoted or plain
            else:
                words.append(quoted or plain)
        if words:
            values["text"] = " ".join(words)
        try:
            values["size"] = int(query.get("size", "") or SIZES[0])
        except ValueError:
            raise BadQuery(f"size: one of {', '.join(map(str, SIZES))}.") from None
        return cls(**values)

    @property
    def given(self) -> dict[str, str]:
        """Those that are not empty."""
        return {name: value for name in NAMES if (value := getattr(self, name))}

    @property
    def beyond_status(self) -> bool:
        return bool(self.given.keys() - {"status"})

    def tasks(self, viewer: Viewer) -> QuerySet[Task]:
        """Those that the viewer sees and that fit."""
        tasks: QuerySet[Task] = viewer.tasks()
        if self.status:
            tasks = tasks.filter(status=self.status)
        if self.kind:
            tasks = tasks.filter(kind=self.kind)
        if self.owner:
            if not viewer.may_any("view"):
                raise BadQuery("owner: you see your own tasks only.")
            owner = User.objects.filter(username=self.owner).values_list("pk", flat=True).first()
            tasks = tasks.filter(owner_id=owner or 0)
        if self.tag:
            tasks = search.with_tag(tasks, self.tag)
        return search.with_words(tasks, self.text) if self.text else tasks

    def chips(self) -> list[dict[str, str]]:
        """Each filter, with the address without it."""
        return [
            {"name": name, "value": value, "without": replace(self, **{name: ""}).url()}  # type: ignore[arg-type]
            for name, value in self.given.items()
        ]

    def sizes(self) -> list[dict[str, Any]]:
        """How many rows a page may have."""
        return [{"size": size, "url": replace(self, size=size).url(), "is_active": size == self.size} for size in SIZES]

    def with_status(self, status: str) -> str:
        """The address that shows this status too."""
        return replace(self, status=status).url()

    def url(self, **more: str) -> str:
        """Of the dashboard, with what is not empty as its query."""
        values = {**asdict(self), **more}
        if self.size == SIZES[0]:
            del values["size"]
        text = urlencode({name: value for name, value in values.items() if value})
        return reverse("tasks:dashboard") + (f"?{text}" if text else "")


def suggestions(viewer: Viewer) -> list[str]:
    """What may be typed: kinds, statuses, and the tags of the newest tasks. One bounded query."""
    tags: dict[str, None] = {}
    for found in viewer.tasks().order_by("-created_at", "-id").values_list("tags", flat=True)[:RECENT]:
        tags |= {tag: None for tag in found if isinstance(tag, str)}
    quoted = [f'tag:"{tag}"' if re.search(r'[\s"]', tag) else f"tag:{tag}" for tag in list(tags)[:100]]
    return [
        *(f"status:{status.lower()}" for status in TaskStatus.values),
        *(f"kind:{k}" for k in handlers.kinds()),
        *quoted,
    ]
