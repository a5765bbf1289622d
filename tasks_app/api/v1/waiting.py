"""`?wait=`: holds a request until its task has ended. A few at a time in each process, and no connection meanwhile."""

import threading
import time
import uuid

from django.conf import settings
from django.db import connection

from tasks_app.models import FINISHED, Task

MOST_SECONDS = 30
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0

sleep = time.sleep
_places = threading.BoundedSemaphore(max(1, settings.LONG_POLLS))


def until_finished(task_id: uuid.UUID, *, seconds: float) -> bool:
    """Returns when the task has ended or is gone, or the time is over. False, at once: too many wait already."""
    if not settings.LONG_POLLS or not _places.acquire(blocking=False):
        return False
    try:
        _poll(task_id, until=time.monotonic() + seconds)
    finally:
        _places.release()
    return True


def _poll(task_id: uuid.UUID, *, until: float) -> None:
    pause = FIRST_PAUSE
    while (left := until - time.monotonic()) > 0:
        if not connection.in_atomic_block:  # tests only
            connection.close()
        sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE)
        status = Task.objects.filter(pk=task_id).values_list("status", flat=True).first()
        if status is None or status in FINISHED:
            return
