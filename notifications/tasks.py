"""Celery's entry points, worked on by the notifier; each hands over at once."""

import uuid
from typing import Any

from celery import shared_task
from celery.exceptions import Reject

from notifications.dispatcher import dispatcher

MAX_IDS = 1_000
"""Of one message; ours have up to 32."""


@shared_task(name="notifications.send_webhooks", typing=False)
def send_webhooks(*arguments: Any, **options: Any) -> None:
    """Last link of the pipeline: has the dispatcher send what is due for these tasks."""
    dispatcher.wake(tasks=_read(_keys, arguments, options))


@shared_task(name="notifications.send_to_endpoint", typing=False)
def send_to_endpoint(*arguments: Any, **options: Any) -> None:
    """Has the dispatcher send what is due for one endpoint."""
    dispatcher.wake(endpoints=[_read(uuid.UUID, arguments, options)])


def _keys(ids: list[str]) -> list[uuid.UUID]:
    if not isinstance(ids, list) or len(ids) > MAX_IDS:
        raise ValueError(f"the ids are a list of at most {MAX_IDS:,}")
    return [uuid.UUID(key) for key in ids]


def _read(read: Any, arguments: Any, options: Any) -> Any:
    try:
        return read(*arguments, **options)
    except (ValueError, TypeError, AttributeError) as error:
        raise Reject(f"This is no message of ours: {error}", requeue=False) from error  # to tasks_failed
