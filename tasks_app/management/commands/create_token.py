"""`manage.py create_token USER NAME`: an API token from the command line."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from tasks_app import tokens
from tasks_app.access import SCOPES


class Command(BaseCommand):
    help = "Makes an API token for a user and prints it, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user", help="who it acts as")
        parser.add_argument("name", help="what it is for")
        parser.add_argument("--scope", action="append", choices=list(SCOPES), help="may be repeated; default: tasks:*")
        parser.add_argument("--days", type=int, help="expires after; default: never")

    def handle(self, *, user: str, name: str, scope: list[str] | None, days: int | None, **_: Any) -> None:
        owner = User.objects.filter(username=user).first()
        if owner is None:
            raise CommandError(f"There is no user {user!r}. Make one with createsuperuser or in the admin.")
        if days is not None and not 1 <= days <= 36_500:
            raise CommandError("--days is from 1 to 36500.")
        expires_at = timezone.now() + timedelta(days=days) if days else None
        _token, text = tokens.issue(
            owner, name=name, scopes=scope or ["tasks:read", "tasks:write"], expires_at=expires_at
        )
        self.stdout.write(text)
