"""`manage.py wait_for_services`: for scripts that migrate before anything else starts."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from taskmanager import startup


class Command(BaseCommand):
    help = "Waits until database and broker answer, and declares the queues."
    requires_system_checks: list[str] = []

    def handle(self, **_: Any) -> None:
        try:
            startup.wait_for_database()
            startup.wait_for_broker()
        except startup.ServiceUnavailable as error:
            raise CommandError(str(error)) from error
