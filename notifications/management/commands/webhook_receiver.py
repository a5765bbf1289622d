"""`manage.py webhook_receiver`: shows what webhooks say, and whether their signatures hold."""

import contextlib
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from notifications.local_receiver import Behaviour, CannotListen, LocalReceiver
from notifications.signing import InvalidSecret


class Command(BaseCommand):
    help = "Receives webhooks on this machine, verifies them, and prints them. For development; Ctrl-C ends it."
    requires_system_checks: list[str] = []  # it needs neither database nor broker

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=9999, help="0: a free one; default: 9999")
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; default: 127.0.0.1")
        parser.add_argument("--secret", action="append", help="whsec_…; may be repeated; default: WEBHOOK_URL_SECRET")
        parser.add_argument("--status", type=int, help="the answer; default: 200, and 401 for a wrong signature")
        parser.add_argument("--delay", type=float, default=0, metavar="SECONDS", help="wait before each answer")
        parser.add_argument("--drop", action="store_true", help="hang up without an answer")
        parser.add_argument(
            "--fail-first", type=int, default=0, metavar="N",
            help="go wrong for the first N requests of each webhook-id only (--status, default 500; --delay; --drop)",
        )  # fmt: skip
        parser.add_argument("--quiet", action="store_true", help="one line for each request, without its body")

    def handle(self, **options: Any) -> None:
        for name, lowest, highest in (
            ("port", 0, 65535),
            ("status", 200, 599),
            ("delay", 0, 3600),
            ("fail_first", 0, 1000),
        ):
            if options[name] is not None and not lowest <= options[name] <= highest:
                raise CommandError(f"--{name.replace('_', '-')} is from {lowest} to {highest}.")
        secrets = options["secret"] or list(filter(None, [settings.WEBHOOK_URL_SECRET]))
        behaviour = Behaviour(
            status=options["status"], delay_seconds=options["delay"], drops=options["drop"],
            fail_first=options["fail_first"], shows_body=not options["quiet"],
        )  # fmt: skip
        try:
            receiver = LocalReceiver(
                options["host"], options["port"], secrets=secrets, behaviour=behaviour, say=self._say
            )
        except InvalidSecret as error:
            raise CommandError(f"{'--secret' if options['secret'] else 'WEBHOOK_URL_SECRET'}: {error}") from error
        except CannotListen as error:
            raise CommandError(str(error)) from error
        with contextlib.suppress(KeyboardInterrupt):  # also before it serves
            self._announce(receiver.url, is_given=bool(options["secret"]), is_checked=bool(secrets))
            receiver.serve()

    def _announce(self, url: str, *, is_given: bool, is_checked: bool) -> None:
        self._say(f"Listening on {url}, any path. Ctrl-C ends it.")
        self._say(f"In another shell: WEBHOOK_URL={url}/hook make run")
        if is_given:
            self._say("Signatures are checked with --secret: give the server the same in WEBHOOK_URL_SECRET.")
        elif is_checked:
            self._say("Signatures are checked with WEBHOOK_URL_SECRET.")
        else:
            self._say("Signatures are not checked: there is neither --secret nor WEBHOOK_URL_SECRET.")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
