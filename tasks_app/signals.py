"""The two announcements of the domain; whoever wants to know connects here, the domain knows nobody.

`task_recorded` is sent *inside* the transaction with `events`, a list of saved TaskEvents whose `.task` is loaded, and
with the `revision` of the audience (models.Audience) as it was when they were written: what a receiver writes commits with
the fact, and its exception undoes the fact. `task_changed` is sent after the commit with
`changes`, a list of `TaskChange`; its receivers must not block, and their exceptions are only logged.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.dispatch import Signal

if TYPE_CHECKING:
    from tasks_app.models import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskChange:
    """What happened to one task. `event_id` is the cursor; `task` is the row as it was then, for readers in this process."""

    task_id: uuid.UUID
    owner_id: int | None
    what: str
    status: str
    version: int
    attempt: int
    updated_at: datetime
    message: str
    event_id: int
    task: "Task | None" = field(default=None, compare=False, repr=False)


task_recorded = Signal()
task_changed = Signal()
