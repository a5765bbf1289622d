"""Celery's entry points; each hands over at once."""

import uuid
from datetime import datetime

from celery import shared_task
from celery.exceptions import Reject
from django.db import InterfaceError, OperationalError

from tasks_app import runner


@shared_task(name="tasks_app.process_tasks")
def process_tasks(ids: list[str], *, sent_at: str | None = None) -> None:
    """First link of the pipeline: does what is due of `ids`. Returns also after failures, which are recorded state."""
    try:
        keys, sent = [uuid.UUID(key) for key in ids], datetime.fromisoformat(sent_at) if sent_at else None
    except (ValueError, TypeError, AttributeError) as error:
        raise Reject(f"This is no message of ours: {error}", requeue=False) from error  # to tasks_failed
    try:
        runner.run(keys, sent_at=sent)
    except (
        OperationalError,
        InterfaceError,
    ) as error:  # away for longer than one waits: the message is for another time
        raise Reject(f"The database is away: {error}", requeue=True) from error
