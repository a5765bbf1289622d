"""Celery's consumer, but for what it cannot read or should not believe, without the queues for delays, and never deaf."""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from amqp.exceptions import NotFound, RecoverableConnectionError
from celery import bootsteps
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer.tasks import Tasks
from kombu import Connection, Exchange
from kombu.message import Message

from taskmanager import incoming
from taskmanager.questions import Questions
from tasks_app import broker

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
MAX_REASON = 300


class Hearing(bootsteps.StartStopStep):
    """Has the consumer begin anew when its queue was deleted and RabbitMQ did not say so.

    When a quorum queue is deleted, RabbitMQ first tries to move its consumers to the queue that now has the name. If a
    publisher has just declared it again, that succeeds: no basic.cancel comes, and never a message, while the queue counts
    the consumer and gives it messages until its prefetch is full. (Celery also drops a basic.cancel that comes within a
    tenth of a second of its start.) Neither the length nor the consumers of the queue show it. So each worker ties an
    exchange to the queue, which goes with it and which nobody else makes again, and looks whether it is there.
    """

    requires = (Tasks,)

    def __init__(self, consumer: Any, **_: Any) -> None:
        self._ties: dict[str, Exchange] = {}
        self._connection: Connection | None = None
        super().__init__(consumer)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """After the queues were declared and before they are consumed from; Celery ends the timer with the connection."""
        if consumer.connection.transport.driver_type != "amqp":
            return
        with consumer.connection.channel() as channel:
            for queue in consumer.task_consumer.queues:
                # RabbitMQ deletes it with its only binding, that is with the queue.
                name = f"taskmanager.consumer.{queue.name}.{consumer.hostname}"
                tie = self._ties[queue.name] = Exchange(name, type="fanout", durable=False, auto_delete=True)
                tie(channel).delete()  # our own of before, in case that it is still there
                tie(channel).declare()
                queue(channel).bind_to(tie)
        hub.call_repeatedly(LOOK_SECONDS, self.look)

    def look(self) -> None:
        """Raises RecoverableConnectionError if a queue is not the one that this consumer began with."""
        for queue, tie in self._ties.items():
            if self._is_gone(tie):
                logger.warning("Queue %s was deleted: consuming anew", queue)
                raise RecoverableConnectionError(f"queue {queue} was deleted")

    def stop(self, consumer: Any) -> None:
        """Closes the connection over which we look."""
        self._disconnect()

    def shutdown(self, consumer: Any) -> None:
        """Leaves nothing behind. Whoever is killed leaves an exchange that costs nothing and ends with queue or broker."""
        with suppress(Exception):
            if self._ties:
                with broker.connect() as connection, connection.channel() as channel:
                    for tie in self._ties.values():
                        tie(channel).delete()
        self._disconnect()

    def _is_gone(self, tie: Exchange) -> bool:
        """Asked over a connection with time limits: this is the thread of the event loop."""
        try:
            if self._connection is None:
                self._connection = broker.connect()
            with self._connection.channel() as channel:
                tie(channel).declare(passive=True)
        except NotFound:
            return True
        except Exception as error:  # that the broker is away is for the consumer's own connection to find out
            logger.debug("Cannot ask for exchange %s: %s", tie.name, error)
            self._disconnect()
        return False

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.collect()
        self._connection = None


class Consumer(CeleryConsumer):
    """Celery acknowledges a message that it cannot decode, and it is gone. Here it goes to the dead letters."""

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[valid-type,misc]
        """Without 28 queues and exchanges `celery_delayed_…`: waits are rows with a `run_at`, never countdowns."""

        default_steps = [
            *(
                step
                for step in CeleryConsumer.Blueprint.default_steps
                if not step.endswith(("delayed_delivery:DelayedDelivery", "control:Control"))
            ),
            Hearing,
            Questions,
        ]

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Message], None]:
        """Celery's own, for what `incoming` lets through."""
        work = super().create_task_handler(*arguments, **options)
        consumer: Any = self
        queues = {queue.name for queue in consumer.task_consumer.queues}
        route = self.app.amqp.router.route
        names = {name for name in self.app.tasks if not name.startswith("celery.")}
        names = {name for name in names if route({}, name)["queue"].name in queues}

        def on_message(message: Message) -> None:
            try:
                incoming.check(message, names=names)
            except incoming.Refused as error:
                self.on_decode_error(message, error)
            else:
                work(message)

        return on_message

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Rejects without requeueing: RabbitMQ moves the message to `tasks_failed`."""
        logger.error("Refused a message, it goes to tasks_failed: %s", str(exc)[:MAX_REASON])
        message.reject()
