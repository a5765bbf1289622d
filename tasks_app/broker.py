"""Connections to the broker outside Celery's own, and where messages go that cannot be worked on.

The two work queues are Celery's (`app.conf.task_queues`); dead letters go to exchange `dlx_tasks`, queue `tasks_failed`.
The arguments of a queue can never change under its name.
"""

from typing import Any

from amqp.exceptions import AMQPError
from celery import current_app
from kombu import Connection, Exchange, Producer, Queue
from kombu.exceptions import OperationalError

TIMEOUT_SECONDS = 2
UNREADABLE = "x-unreadable"
"""The only header of a message whose own cannot be read."""

DEAD_LETTERS = Exchange("dlx_tasks", type="topic", durable=True)
FAILED = Queue("tasks_failed", DEAD_LETTERS, routing_key="#", durable=True, queue_arguments={"x-queue-type": "quorum"})


ERRORS: tuple[type[BaseException], ...] = (OSError, OperationalError, AMQPError)
"""What a broker that is away, or refuses, comes as. NO_ROUTE is none of kombu's own errors."""


def has_dead_letters() -> bool:
    """True on AMQP; the in-process broker drops what it is given back."""
    return str(current_app.conf.broker_url).startswith("amqp")


def work_queues() -> dict[str, Queue]:
    """Celery's queues by name."""
    return dict(current_app.amqp.queues)


def connect(**transport_options: Any) -> Connection:
    """A connection that answers or raises within a few seconds, whatever state the broker is in: the app sees to that."""
    connection = current_app.connection_for_write(transport_options=transport_options)
    connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT_SECONDS)
    return connection


def declare(connection: Connection, *queues: Queue) -> None:
    """Makes sure that `queues` exist, by default every queue that work needs.

    Only AMQP has dead letters and other readers; an in-process broker dies with its queues.
    """
    if not has_dead_letters():
        return
    with connection.channel() as channel:
        for queue in queues or (FAILED, *current_app.amqp.queues.values()):
            queue(channel).declare()


def try_out() -> None:
    """Publishes a message that nobody gets, as tasks are published. Raises one of ERRORS if that cannot be done."""
    with connect() as connection:
        if not has_dead_letters():
            return
        exchange = Exchange(current_app.conf.task_default_exchange, type="topic", durable=True)
        producer = Producer(connection)
        # Confirmed although it has no queue. Refused under an alarm, without the right to write, and so on.
        options: dict[str, Any] = {"declare": [exchange], "confirm_timeout": TIMEOUT_SECONDS, "expiration": 1.0}
        producer.publish("", exchange=exchange, routing_key="health", **options)


def is_empty(queue: str) -> bool:
    """True if no message waits in `queue`, by asking for it (a passive declare). Raises kombu's many errors."""
    with connect() as connection:
        found: Any = current_app.amqp.queues[queue](connection.default_channel).queue_declare(passive=True)
        return bool(found.message_count == 0)
