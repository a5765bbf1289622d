"""Celery's entry points, worked on by the notifier; each hands over at once."""

import uuid
from typing import Any

from celery import shared_task
from celery.exceptions import Reject

from notifications import deliveries
from tasks_app import database


@shared_task(name="notifications.send_webhooks", typing=False)
def send_webhooks(*arguments: Any, **options: Any) -> None:
    """Last link of the pipeline: sends what is due for these tasks. One endpoint here, the others by messages of their own,
    so that none waits for another."""
    task_ids = _read(_keys, arguments, options)
    waiting = database.patiently(lambda: deliveries.waiting_endpoints(task_ids))
    for endpoint_id in waiting[1:]:
        send_to_endpoint.delay(str(endpoint_id))
    for endpoint_id in waiting[:1]:
        if deliveries.drain(endpoint_id):
            send_to_endpoint.delay(str(endpoint_id))


@shared_task(name="notifications.send_to_endpoint", typing=False)
def send_to_endpoint(*arguments: Any, **options: Any) -> None:
    """Sends what is due for one endpoint; after a second the rest has a message of its own."""
    endpoint_id = _read(uuid.UUID, arguments, options)
    if deliveries.drain(endpoint_id):
        send_to_endpoint.delay(str(endpoint_id))


def _keys(ids: list[str]) -> list[uuid.UUID]:
    return [uuid.UUID(key) for key in ids]


def _read(read: Any, arguments: Any, options: Any) -> Any:
    try:
        return read(*arguments, **options)
    except (ValueError, TypeError, AttributeError) as error:
        raise Reject(f"This is no message of ours: {error}", requeue=False) from error  # to tasks_failed
