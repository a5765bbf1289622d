"""`manage.py role NAME`: one production process, with the options that its work needs."""

import importlib.util
import os
import secrets
import sys
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from taskmanager import startup

_CELERY = [
    "celery",
    "--app",
    "taskmanager",
    "worker",
    "--without-gossip",
    "--without-mingle",
    "--loglevel",
    "INFO",
]

_NEEDED = {
    "web": ["DATABASE_URL", "RABBITMQ_URL"],
    "live": ["DATABASE_URL", "REDIS_URL"],
    "worker": ["DATABASE_URL", "RABBITMQ_URL"],
    "notifier": ["DATABASE_URL", "RABBITMQ_URL"],
    "flower": [],
}
"""Role → settings without which it would start on something of its own that nobody else sees."""


def commands() -> dict[str, list[str]]:
    """Role → the program it becomes."""
    address = [settings.HOST, str(settings.PORT)]
    one = secrets.token_hex(3)  # two of a kind on one host must not share a name: RabbitMQ locks one of them out
    return {
        "web": ["granian", "--interface", "asginl", "--host", address[0], "--port", address[1], "--workers",
                str(settings.WEB_WORKERS), "--http", "1", "--no-ws", "--http1-header-read-timeout",
                str(settings.REQUEST_SECONDS * 1000), "--backpressure", "4096", "--respawn-failed-workers",
                "taskmanager.web:application"],
        "live": ["taskmanager.daphne", "--bind", address[0], "--port", address[1], "--ping-interval", "10",
                 "--ping-timeout", "20", "--no-server-name", "taskmanager.asgi:application"],
        "worker": [*_CELERY, "--pool", "prefork", "-Q", "task_created", "-O", "fair", "-n", f"worker-{one}@%h"],
        "notifier": [*_CELERY, "--pool", "threads", "-Q", "task_completed", "-n", f"notifier-{one}@%h"],
    }  # fmt: skip


def flower() -> list[str]:
    """The program for `flower`. Its login goes by the environment, since `ps` shows arguments to everybody.

    Read-only: a Celery task is only a wake-up, so revoking one there would cancel no task.
    """
    user, password = settings.FLOWER_USER, settings.FLOWER_PASSWORD
    if not user or not password:
        raise ImproperlyConfigured("Flower shows task ids and workers to whoever logs in: "
                                   "set FLOWER_USER and FLOWER_PASSWORD, which have no default.")  # fmt: skip
    if not settings.RABBITMQ_URL:
        raise ImproperlyConfigured("Flower looks into RabbitMQ, and RABBITMQ_URL is not set.")
    if importlib.util.find_spec("flower") is None:
        raise ImproperlyConfigured("Flower is not installed: pip install --require-hashes -r requirements/flower.txt")
    os.environ["FLOWER_BASIC_AUTH"] = f"{user}:{password}"
    os.environ["FLOWER_PORT"] = str(settings.FLOWER_PORT)  # Flower reads it too, and would not pass over a service link
    return ["celery", "--app", "taskmanager", "flower", f"--address={settings.HOST}", f"--port={settings.FLOWER_PORT}",
            "--persistent=false", "--read_only=true", "--max_tasks=10000"]  # fmt: skip


class Command(BaseCommand):
    """Waits for the services, declares the queues, then becomes granian, daphne, a Celery worker or Flower."""

    help = "Runs one production process: web, live, worker, notifier or flower. Options come from the environment."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=sorted([*commands(), "flower"]))
        parser.add_argument("options", nargs="*", help="after --: further options of the program")

    def handle(self, *, name: str, options: list[str], **_: Any) -> None:
        missing = [setting for setting in _NEEDED[name] if not getattr(settings, setting)]
        if missing:
            raise CommandError(
                f"role {name} works together with other processes: set {' and '.join(missing)}. "
                "Everything in one process is manage.py standalone."
            )
        chosen = flower() if name == "flower" else commands()[name]
        try:
            if name != "flower":
                startup.wait_for_database()
            if name != "live":
                startup.wait_for_broker()
        except startup.ServiceUnavailable as error:
            raise CommandError(str(error)) from error
        if name in ("web", "live"):  # not for a worker: its children close every number up to the limit
            startup.raise_file_limit()
        program, *arguments = [*chosen, *options]
        os.environ["ROLE"] = name
        # -m: the same Python, whatever PATH says.
        os.execv(sys.executable, [sys.executable, "-m", program, *arguments])  # noqa: S606
