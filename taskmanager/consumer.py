"""Celery's consumer, but for what it cannot read."""

import logging
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

logger = logging.getLogger(__name__)


class Consumer(CeleryConsumer):
    """Celery acknowledges a message that it cannot decode, and it is gone. Here it goes to the dead letters."""

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Rejects without requeueing: RabbitMQ moves the message to `tasks_failed`."""
        logger.error("Cannot decode a message, it goes to tasks_failed: %s", exc)
        message.reject()
