"""Tells everyone who watches: one announcement for all changes that gathered, however many watch.

Announcements may be lost (Redis away, a full channel): each carries the version, and whoever missed one reads it again.
"""

import logging
from collections.abc import Sequence
from typing import Any

from notifications import layers, payloads
from tasks_app.background import Drain
from tasks_app.models import TaskEvent
from tasks_app.signals import TaskChange

logger = logging.getLogger(__name__)

GROUP = "tasks"
NO_STATUS = {"progress", TaskEvent.What.LOG, TaskEvent.What.DELETED}
MOST_AT_ONCE = 2_000
"""Changes in one announcement: who listens to Redis accepts a bounded size (redis_replies)."""
_state = {"broken": False}


def announce(changes: list[TaskChange]) -> None:
    """Sends changes to every socket, and status changes to Redis. Never raises."""
    try:
        for start in range(0, len(changes), MOST_AT_ONCE):
            items = [_item(change) for change in changes[start : start + MOST_AT_ONCE]]
            frames = [item["frame"] for item in items if item["frame"]]
            layers.current().announce(GROUP, {"type": "tasks.changed", "items": items}, frames)
    except Exception as error:  # redis's errors are many; watching is never worth a task
        if not _state["broken"]:
            logger.warning("Live updates are not getting through: %s", error)
        _state["broken"] = True
        return
    if _state["broken"]:
        logger.info("Live updates get through again")
    _state["broken"] = False


def _item(change: TaskChange) -> dict[str, Any]:
    """One change on its way to the sockets. `frame` is what `/ws` shows of it: nothing for progress, logs, deletion."""
    return {
        "task_id": str(change.task_id),
        "owner_id": change.owner_id,
        "what": change.what,
        "status": change.status,
        "version": change.version,
        "frame": None if change.what in NO_STATUS else payloads.status_frame(change),
    }


announcer: Drain[TaskChange] = Drain("announcer", announce, announces=True)


def on_task_changed(changes: Sequence[TaskChange], **_: Any) -> None:
    """Receiver of `task_changed`."""
    announcer.put(changes)
