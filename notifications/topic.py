"""Plain JSON events for other services: exchange `task.topic`, and the queue `task_updated` bound to it.

Best effort and never waited for: who must not miss anything takes webhooks.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.conf import settings
from kombu import Exchange, Producer, Queue

from notifications import payloads
from tasks_app import broker
from tasks_app.background import Drain
from tasks_app.signals import TaskChange

logger = logging.getLogger(__name__)

TOPIC = Exchange("task.topic", type="topic", durable=True)
UPDATED = Queue(
    "task_updated", TOPIC, routing_key="task.updated", durable=True,
    # Nobody of ours reads it: bounded, so that it cannot grow for ever. One day, 10,000 messages.
    queue_arguments={"x-queue-type": "quorum", "x-max-length": 10_000, "x-message-ttl": 86_400_000},
)  # fmt: skip


class TopicSender:
    """Owns a broker connection; used by one thread only."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._producer: Producer | None = None
        self._broken = False

    def send(self, changes: Sequence[TaskChange]) -> None:
        """Sends what gathered, or drops it with one line in the log while the broker is away."""
        told = [change for change in changes if payloads.event_type(change.what)]
        try:
            for change in told:
                self._publish(payloads.event_type(change.what), payloads.topic_event(change))
        except Exception as error:  # kombu's errors are many
            if not self._broken:
                logger.warning("Cannot send task.topic events, dropping them until the broker is back: %s", error)
            self._broken = True
            self._close()
            return
        self._broken = False

    def _publish(self, routing_key: str, body: dict[str, Any]) -> None:
        if self._producer is None:
            self._connection = broker.connect(confirm_publish=False)
            broker.declare(self._connection, UPDATED)
            self._producer = Producer(self._connection, exchange=TOPIC, serializer="json", auto_declare=False)
        self._producer.publish(body, routing_key=routing_key, delivery_mode=2)

    def _close(self) -> None:
        if self._producer is not None:
            with suppress(Exception):
                self._connection.collect()
        self._producer = None


publisher: Drain[TaskChange] = Drain("topic", TopicSender().send, capacity=10_000)


def on_task_changed(changes: Sequence[TaskChange], **_: Any) -> None:
    """Receiver of `task_changed`."""
    if settings.TASK_TOPIC:
        publisher.put(changes)
