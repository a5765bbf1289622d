"""Where messages go when they cannot be worked on: exchange `dlx_tasks`, queue `tasks_failed`.

The two work queues are Celery's own (`app.conf.task_queues`). The arguments of a queue can never change under its name.
"""

from celery import current_app
from kombu import Connection, Exchange, Queue

DEAD_LETTERS = Exchange("dlx_tasks", type="topic", durable=True)
FAILED = Queue(
    "tasks_failed", DEAD_LETTERS, routing_key="#", durable=True, queue_arguments={"x-queue-type": "quorum"}
)


def declare(connection: Connection) -> None:
    """Makes sure that every queue of ours exists. Only AMQP has dead letters; an in-process broker dies with its queues."""
    if connection.transport.driver_type != "amqp":
        return
    with connection.channel() as channel:
        for queue in (FAILED, *current_app.amqp.queues.values()):
            queue(channel).declare()
