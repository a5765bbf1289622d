"""`manage.py role NAME`: one production process, with the options that its work needs."""

import os
import sys
from typing import Any

from django.conf import settings
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


def commands() -> dict[str, list[str]]:
    """Role → the program it becomes."""
    address = [settings.HOST, str(settings.PORT)]
    return {
        "web": ["granian", "--interface", "wsgi", "--host", address[0], "--port", address[1], "--workers",
                os.environ.get("WEB_WORKERS", "2"), "--blocking-threads", os.environ.get("WEB_THREADS", "4"),
                "--backpressure", "512", "--no-ws", "--respawn-failed-workers", "taskmanager.wsgi:application"],
        "live": ["daphne", "--bind", address[0], "--port", address[1], "--ping-interval", "10", "--ping-timeout", "20",
                 "--no-server-name", "taskmanager.asgi:application"],
        "worker": [*_CELERY, "--pool", "prefork", "-Q", "task_created", "-O", "fair", "-n", "worker-%h"],
        "notifier": [*_CELERY, "--pool", "threads", "-Q", "task_completed", "-n", "notifier-%h"],
    }  # fmt: skip


class Command(BaseCommand):
    """Waits for the services, declares the queues, then becomes granian, daphne or a Celery worker."""

    help = "Runs one production process: web, live, worker or notifier. Options come from the environment."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=sorted(commands()))
        parser.add_argument("options", nargs="*", help="after --: further options of the program")

    def handle(self, *, name: str, options: list[str], **_: Any) -> None:
        try:
            startup.wait_for_database()
            if name != "live":
                startup.wait_for_broker()
        except startup.ServiceUnavailable as error:
            raise CommandError(str(error)) from error
        program, *arguments = [*commands()[name], *options]
        os.environ["ROLE"] = name
        # -m: the same Python, whatever PATH says.
        os.execv(sys.executable, [sys.executable, "-m", program, *arguments])  # noqa: S606
