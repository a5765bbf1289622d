"""The Celery app and its queues. Both queues live on one durable topic exchange and are quorum queues on RabbitMQ;
the in-process broker ignores what it does not know."""

import os
from typing import Any

from celery import Celery, signals
from kombu import Exchange, Queue

from taskmanager import frames

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskmanager.settings")

SEND_SECONDS = 2.0

frames.install()


class App(Celery):
    """Whoever sends has an answer or an error within seconds. Celery's own pool, which a chain's next link goes out by,
    waits for ever for a broker that is frozen or under an alarm."""

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        """No heartbeats: nobody would send them between two uses; the limits notice a peer that died."""
        limits = {"read_timeout": SEND_SECONDS, "write_timeout": SEND_SECONDS}
        given = options.pop("transport_options", None) or {}
        return super().connection_for_write(
            url, **{"heartbeat": 0, "transport_options": {**limits, **given}, **options}
        )


app = App("taskmanager")
app.config_from_object("django.conf:settings", namespace="CELERY")
# The current app is kept per thread: without this, threads of ours and of the pool would publish to a nameless
# default app, that is to localhost.
app.set_default()

EXCHANGE = Exchange("taskmanager", type="topic", durable=True)


def _queue(name: str) -> Queue:
    # Arguments can never change under a name: RabbitMQ refuses the declaration from then on.
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-dead-letter-exchange": "dlx_tasks",
        "x-dead-letter-routing-key": name,
    }
    return Queue(name, EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)


def _route(queue: str) -> dict[str, Any]:
    return {"queue": queue, "routing_key": queue, "mandatory": True, "confirm_timeout": 2.0}


app.conf.task_queues = [_queue("task_created"), _queue("task_completed")]
app.conf.task_routes = {"tasks_app.*": _route("task_created"), "notifications.*": _route("task_completed")}
app.conf.task_default_queue = "task_created"
app.conf.update(task_default_exchange=EXCHANGE.name)
app.autodiscover_tasks()


@signals.task_prerun.connect
def check_connections(**_: Any) -> None:
    """Drops a database connection that died since the last Celery task (a worker keeps it otherwise)."""
    from django.db import close_old_connections

    close_old_connections()


@signals.worker_shutting_down.connect
def tell_the_handlers(**_: Any) -> None:
    """SIGTERM: tasks that run have SHUTDOWN_SECONDS to end, then they are handed back."""
    from tasks_app import shutdown

    shutdown.request()


@signals.worker_shutdown.connect
def let_requests_end(**_: Any) -> None:
    """A notifier ends: requests under way have what is left of SHUTDOWN_SECONDS."""
    from django.conf import settings

    from notifications.dispatcher import dispatcher
    from tasks_app import shutdown

    dispatcher.finish(timeout=max(0.0, settings.SHUTDOWN_SECONDS - shutdown.seconds()))


@signals.worker_process_init.connect
def let_handlers_start_processes(**_: Any) -> None:
    """A prefork child is a daemon of billiard's, and multiprocessing refuses children to one.

    What multiprocessing left running is ended after the handler (tasks_app/surroundings.py).
    """
    import multiprocessing.process

    from billiard.process import current_process

    process: Any = current_process()
    known: Any = multiprocessing.process  # its types do not know all of it
    process._config["daemon"] = False
    # billiard's own cannot be handed to a new process
    process._config["authkey"] = known.AuthenticationString(process.authkey)


@signals.worker_process_shutdown.connect
def let_the_rest_out(**_: Any) -> None:
    """A prefork child ends: what its last tasks announced is on its way still."""
    from tasks_app.background import flush_all

    flush_all(timeout=1.0)


@signals.worker_ready.connect
def sweep_beside_the_notifier(**_: Any) -> None:
    """Each notifier carries the timer of the sweep; a lease lets one at a time work."""
    from django.conf import settings

    from taskmanager.sweeper import Sweeper

    if settings.ROLE == "notifier":
        Sweeper().start()
