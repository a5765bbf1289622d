"""Who watches a dashboard, and what this page shows at the moment."""

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl

import orjson

from tasks_app.access import Access
from tasks_app.pages.filters import Filters

MOST_SHOWN = 200
MOST_CHARACTERS = 20_000
LATEST_MS = 200_000_000_000_000
NOTHING_ABOVE = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, kw_only=True)
class View:
    """What one page shows: the version of each task on it, its filters, and the id above which all belong on it.

    Before the page has spoken nothing does. `task` is the id of the one task of a page that shows no list."""

    shown: Mapping[str, int] = field(default_factory=dict)
    filters: Filters = field(default_factory=Filters)
    floor: str = NOTHING_ABOVE
    task: str = ""

    @classmethod
    def parse(cls, text: str) -> "View | None":
        """From the page's message; None if it makes no sense. Ids come out in their one canonical form."""
        try:
            said = orjson.loads(text)
            shown = {str(uuid.UUID(key)): int(version) for key, version in said["shown"].items()}
            floor = str(uuid.UUID(said["floor"])) if said["floor"] else ""
            filters = Filters.read(dict(parse_qsl(str.strip(said["query"]))))  # no text: TypeError
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return None
        return None if len(shown) > MOST_SHOWN else cls(shown=shown, filters=filters, floor=floor)

    @property
    def made_since(self) -> datetime:
        """When the task `floor` was made, by its id, and a little before."""
        milliseconds = min(uuid.UUID(self.floor).int >> 80, LATEST_MS) if self.floor else 0
        return datetime.fromtimestamp(milliseconds / 1000, tz=timezone.utc) - timedelta(seconds=1)

    def lacks(self, task_id: str, status: str) -> bool:
        """As far as status and age say it, the task belongs on this page and is not there. Ids are UUIDv7: their text
        sorts by time of creation."""
        return self.filters.status in ("", status) and task_id > self.floor and task_id not in self.shown


@dataclass(kw_only=True, eq=False)
class Viewer:
    """One open page.

    The consumer replaces `view` and sets `is_stale`; all else changes only while a push is made, one at a time.
    """

    access: Access
    sees_all: bool
    send: Callable[[str], Awaitable[None]]
    view: View = View()
    is_stale: bool = False
    news: set[str] = field(default_factory=set)
    toasts: set[str] = field(default_factory=set)
    toasts_grouped: Counter[str] = field(default_factory=Counter)
    toasted_at: float = 0.0

    def sees(self, owner_id: int | None) -> bool:
        return self.sees_all or owner_id == self.access.user.pk

    @property
    def audience(self) -> int | None:
        """Those who see the same tasks: None for all tasks, else the user's id."""
        return None if self.sees_all else self.access.user.pk
