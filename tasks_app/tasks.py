"""Celery's entry points; each hands over at once."""

import uuid
from datetime import datetime
from typing import Any

from celery import shared_task
from celery.exceptions import Reject

from tasks_app import database, runner

MAX_IDS = 1_000
"""Of one message; ours have up to 32."""


@shared_task(name="tasks_app.process_tasks", typing=False)
def process_tasks(*arguments: Any, **options: Any) -> None:
    """First link of the pipeline: does what is due of these ids. Returns also after failures, which are recorded state."""
    try:
        ids, sent_at = _read(*arguments, **options)
    except (ValueError, TypeError, AttributeError) as error:
        raise Reject(f"This is no message of ours: {error}", requeue=False) from error  # to tasks_failed
    try:
        runner.run(ids, sent_at=sent_at)
    except database.AWAY as error:  # for longer than one waits: the message is for another time
        raise Reject(f"The database is away: {error}", requeue=True) from error


def _read(ids: list[str], *, sent_at: str | None = None) -> tuple[list[uuid.UUID], datetime | None]:
    if not isinstance(ids, list) or len(ids) > MAX_IDS:
        raise ValueError(f"the ids are a list of at most {MAX_IDS:,}")
    at = None if sent_at is None else datetime.fromisoformat(sent_at)
    if at is not None and at.utcoffset() is None:
        raise ValueError("`sent_at` has no time zone")
    return [uuid.UUID(key) for key in ids], at
