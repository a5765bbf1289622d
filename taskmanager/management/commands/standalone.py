"""`manage.py standalone`: everything in one process, on SQLite, with a broker and a channel layer inside."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from taskmanager import standalone


class Command(BaseCommand):
    help = (
        "Runs pages, API, admin, WebSocket, worker, notifier and sweep in one process. HOST, PORT, DATA_DIR say where."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--threads", type=int, default=8, help="how many tasks run at once (default: 8)")

    def handle(self, *, threads: int, **_: Any) -> None:
        try:
            standalone.run(threads=threads)
        except standalone.CannotStart as error:
            raise CommandError(str(error)) from error
