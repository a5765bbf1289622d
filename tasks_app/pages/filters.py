"""What a list of tasks is narrowed by. The address of the page is the state; people type `kind:email tag:nightly words`."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db.models import Case, F, JSONField, QuerySet, TextField, When
from django.db.models.functions import Cast, Length
from django.urls import reverse

from tasks_app import handlers, search
from tasks_app.access import Access
from tasks_app.models import Task, TaskStatus
from tasks_app.validation import text_error

SIZES = (25, 50, 100)
NAMES = ("status", "kind", "tag", "owner", "text")
LONGEST = {"status": 10, "kind": 100, "tag": 50, "owner": 150, "text": 200}
RECENT = 200
MOST_SUGGESTED, SMALL_PAYLOAD, SHORT_VALUE = 100, 2000, 40
_TYPED = re.compile(r'(?:(status|kind|tag|owner|text|payload\.[^\s:"]*):\s*)?(?:"([^"]*)"|(\S+))')


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
    payload: Mapping[str, str] = field(default_factory=dict)
    size: int = SIZES[0]

    def __post_init__(self) -> None:
        if self.status and self.status not in TaskStatus.values:
            raise BadQuery(f"There is no status {self.status[:20]!r}. There are: {', '.join(TaskStatus.values)}.")
        for name in self.payload:
            if error := search.path_error(name):
                raise BadQuery(f"{name[:100]}: {error}")
        if len(self.payload) > search.MOST_PATHS:
            raise BadQuery(f"payload: at most {search.MOST_PATHS} of its values at once.")
        for name, value in self.given.items():
            longest = LONGEST.get(name, search.LONGEST_VALUE)
            if len(value) > longest or text_error(value):
                raise BadQuery(f"{name}: a text of at most {longest} characters.")
        words = self.text.split()
        if self.text and (len(words) > search.MOST_WORDS or max(map(len, words), default=0) < search.SHORTEST_WORD):
            raise BadQuery(f"text: up to {search.MOST_WORDS} words, one of at least {search.SHORTEST_WORD} characters.")
        if self.size not in SIZES:
            raise BadQuery(f"size: one of {', '.join(map(str, SIZES))}.")

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """From the address. `q`, what a person typed, is laid over the rest."""
        values: dict[str, Any] = {name: query.get(name, "").strip() for name in NAMES}
        inside = {name: value.strip() for name, value in query.items() if name.startswith(search.IN_PAYLOAD)}
        typed = query.get("q", "")[:1000]
        words = []
        for name, quoted, plain in _TYPED.findall(typed):
            if name.startswith(search.IN_PAYLOAD):
                inside[name] = quoted or plain
            elif name and name != "text":
                values[name] = (quoted or plain).upper() if name == "status" else quoted or plain
            else:
                words.append(quoted or plain)
        if words:
            values["text"] = " ".join(words)
        values["payload"] = {name: value for name, value in inside.items() if value}
        try:
            values["size"] = int(query.get("size", "") or SIZES[0])
        except ValueError:
            raise BadQuery(f"size: one of {', '.join(map(str, SIZES))}.") from None
        return cls(**values)

    @property
    def given(self) -> dict[str, str]:
        """Those that are not empty."""
        return {**{name: value for name in NAMES if (value := getattr(self, name))}, **self.payload}

    @property
    def beyond_status(self) -> bool:
        return bool(self.given.keys() - {"status"})

    def tasks(self, viewer: Access) -> QuerySet[Task]:
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
        for name, value in self.payload.items():
            tasks = search.with_value(tasks, name, value)
        return search.with_words(tasks, self.text) if self.text else tasks

    def chips(self) -> list[dict[str, str]]:
        """Each filter, with the address without it."""
        return [
            {"name": name, "value": value, "without": self._without(name).url()} for name, value in self.given.items()
        ]

    def _without(self, name: str) -> "Filters":
        if name in self.payload:
            return replace(self, payload={key: value for key, value in self.payload.items() if key != name})
        return replace(self, **{name: ""})  # type: ignore[arg-type]

    def sizes(self) -> list[dict[str, Any]]:
        """How many rows a page may have."""
        return [{"size": size, "url": replace(self, size=size).url(), "is_active": size == self.size} for size in SIZES]

    def with_status(self, status: str) -> str:
        """The address that shows this status too."""
        return replace(self, status=status).url()

    def query(self, **more: str) -> str:
        """As it stands in the address: what is not empty."""
        values = {**self.given, "size": "" if self.size == SIZES[0] else str(self.size), **more}
        return urlencode({name: value for name, value in values.items() if value})

    def url(self, **more: str) -> str:
        """Of the dashboard with these filters."""
        text = self.query(**more)
        return reverse("tasks:dashboard") + (f"?{text}" if text else "")


def suggestions(viewer: Access) -> list[str]:
    """What may be typed: kinds, statuses, and of the newest tasks the tags, the owners for those who may ask for them,
    and short values in small payloads. One bounded query."""
    size = Length(Cast("payload", TextField()))
    small = Case(When(size__lte=SMALL_PAYLOAD, then=F("payload")), default=None, output_field=JSONField())
    newest = viewer.tasks().alias(size=size).annotate(small=small).order_by("-created_at", "-id")
    tags: dict[str, None] = {}
    owners: dict[str, None] = {}
    inside: dict[str, None] = {}
    for found, owner, payload in newest.values_list("tags", "owner__username", "small")[:RECENT]:
        tags |= {_typed("tag", tag): None for tag in found if isinstance(tag, str)}
        if owner and viewer.may_any("view"):
            owners[_typed("owner", owner)] = None
        inside |= dict.fromkeys(_inside("payload", payload))
    return [
        *(f"status:{status.lower()}" for status in TaskStatus.values),
        *(f"kind:{k}" for k in handlers.kinds()),
        *(text for texts in (tags, owners, inside) for text in list(texts)[:MOST_SUGGESTED]),
    ]


def _inside(path: str, value: Any) -> Iterator[str]:
    """`payload.customer:42` for each short value that a filter could find."""
    if isinstance(value, dict):
        for key, item in value.items():
            name = f"{path}.{key}"
            if not search.path_error(name):
                yield from _inside(name, item)
    elif isinstance(value, str | int | float) and path.startswith(search.IN_PAYLOAD):
        text = value if isinstance(value, str) else json.dumps(value)
        if 0 < len(text.strip()) <= SHORT_VALUE and '"' not in text:
            yield _typed(path, text)


def _typed(name: str, value: str) -> str:
    return f'{name}:"{value}"' if re.search(r'[\s"]', value) else f"{name}:{value}"
