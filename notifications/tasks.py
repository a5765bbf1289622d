"""Celery's entry points, worked on by the notifier; each hands over at once."""

import uuid
from typing import Any

from celery import shared_task
from celery.exceptions import Reject

from notifications import deliveries


@shared_task(name="notifications.send_webhooks", typing=False)
def send_webhooks(*arguments: Any, **options: Any) -> None:
    """Last link of the pipeline: sends what is due for these tasks; what a second does not suffice for, one by one."""
    for delivery_id in deliveries.send_for_tasks(_read(_keys, arguments, options)):
        send_delivery.delay(str(delivery_id))


@shared_task(name="notifications.send_delivery", typing=False)
def send_delivery(*arguments: Any, **options: Any) -> None:
    """Makes one attempt at one delivery, if it is due."""
    deliveries.send(_read(uuid.UUID, arguments, options))


def _keys(ids: list[str]) -> list[uuid.UUID]:
    return [uuid.UUID(key) for key in ids]


def _read(read: Any, arguments: Any, options: Any) -> Any:
    try:
        return read(*arguments, **options)
    except (ValueError, TypeError, AttributeError) as error:
        raise Reject(f"This is no message of ours: {error}", requeue=False) from error  # to tasks_failed
