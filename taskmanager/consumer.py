"""Celery's consumer, but for what it cannot read, and without the queues for delays that nobody here uses."""

import logging
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

logger = logging.getLogger(__name__)


class Consumer(CeleryConsumer):
    """Celery acknowledges a message that it cannot decode, and it is gone. Here it goes to the dead letters."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[valid-type,misc]
        """Without 28 queues and exchanges `celery_delayed_…`: waits are rows with a `run_at`, never countdowns."""

        default_steps = [step for step in CeleryConsumer.Blueprint.default_steps if "delayed_delivery" not in step]

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Rejects without requeueing: RabbitMQ moves the message to `tasks_failed`."""
        logger.error("Cannot decode a message, it goes to tasks_failed: %s", exc)
        message.reject()
