"""The two announcements of the domain; whoever wants to know connects here, the domain knows nobody.

`task_recorded` is sent *inside* the transaction with `events`, a list of saved TaskEvents whose `.task` is loaded: what a
receiver writes commits with the fact, and its exception undoes the fact. `task_changed` is sent after the commit with
`changes`, a list of `TaskChange`; its receivers must not block, and their exceptions are only logged.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.dispatch import Signal


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskChange:
    """What happened to one task, small enough to be sent anywhere. `event_id` is the cursor."""

    task_id: uuid.UUID
    owner_id: int | None
    what: str
    status: str
    version: int
    attempt: int
    updated_at: datetime
    message: str
    event_id: int


task_recorded = Signal()
task_changed = Signal()
