"""Celery's entry points, worked on by the notifier; each hands over at once."""

import uuid

from celery import shared_task

from notifications import deliveries


@shared_task(name="notifications.send_webhooks")
def send_webhooks(ids: list[str]) -> None:
    """Last link of the pipeline: sends what is due for these tasks; what a second does not suffice for, one by one."""
    for delivery_id in deliveries.send_for_tasks([uuid.UUID(key) for key in ids]):
        send_delivery.delay(str(delivery_id))


@shared_task(name="notifications.send_delivery")
def send_delivery(delivery_id: str) -> None:
    """Makes one attempt at one delivery, if it is due."""
    deliveries.send(uuid.UUID(delivery_id))
