"""Who is to be notified, as far as this process has read it.

What was read is good as long as the audience's revision is the one it was read under. Triggers in the database give it
another after every change of an endpoint that matters here, and whoever records events reads the revision in the same
statement: so an endpoint that was committed before is never missed, and nobody asks where nothing has changed.
"""

import threading
import uuid
from collections.abc import Collection, Mapping, Sequence

from notifications.models import Endpoint

MAX_KEPT = 10_000


class Listeners:
    """Endpoints under one revision, read when they are first needed."""

    def __init__(self, revision: uuid.UUID | None) -> None:
        self.revision = revision
        self._made: dict[int, Sequence[Endpoint]] = {}
        self._kept: dict[str, Endpoint] = {}

    def made_by(self, owner_ids: Collection[int]) -> Mapping[int, Sequence[Endpoint]]:
        """The endpoints that these people have made."""
        if missing := [owner_id for owner_id in owner_ids if owner_id not in self._made]:
            found: dict[int, list[Endpoint]] = {owner_id: [] for owner_id in missing}
            rows = Endpoint.objects.filter(source=Endpoint.Source.ENDPOINT, owner_id__in=missing, deleted_at=None)
            for endpoint in rows:
                if endpoint.owner_id is not None:
                    found[endpoint.owner_id].append(endpoint)
            self._made.update(found)
        return self._made

    def kept(self, rows: Mapping[str, Endpoint]) -> Mapping[str, Endpoint]:
        """The rows under which receivers that nobody made are kept, by key. Those that are missing are made."""
        if not rows.keys() <= self._kept.keys():
            self._read(rows.keys())
        if missing := sorted(rows.keys() - self._kept.keys()):  # in one order: two transactions must not deadlock
            Endpoint.objects.bulk_create([rows[key] for key in missing], ignore_conflicts=True)
            # The revision has changed with them, so they are not remembered under this one.
            found = Endpoint.objects.filter(key__in=missing)
            return {**self._kept, **{str(endpoint.key): endpoint for endpoint in found}}
        return self._kept

    def _read(self, keys: Collection[str]) -> None:
        if len(self._kept) > MAX_KEPT:
            self._kept = {}
        self._kept = {**self._kept, **{str(e.key): e for e in Endpoint.objects.filter(key__in=list(keys))}}


_lock = threading.Lock()
_current = Listeners(None)


def at(revision: uuid.UUID | None) -> Listeners:
    """What is known under this revision. Without one nothing is remembered."""
    global _current
    if revision is None:
        return Listeners(None)
    with _lock:
        if _current.revision != revision:
            _current = Listeners(revision)
        return _current
