"""`manage.py doctor`: what is wrong, what will bite, and what to do about it."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from taskmanager import doctor
from taskmanager.logs import one_line

_MARKS = {"ok": "ok     ", "note": "note   ", "warning": "WARNING", "problem": "PROBLEM"}


class Command(BaseCommand):
    """Exits with 1 if there is a problem, otherwise with 0."""

    help = "Examines database, broker, queues, Redis, clocks, workers, sweep, tasks and webhooks. Changes nothing."
    requires_system_checks: list[str] = []  # it is asked when something is wrong

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help='{"ok": …, "findings": [{"check", "level", "text", "advice"}]}'
        )

    def handle(self, **options: Any) -> None:
        findings = doctor.examine()
        well = all(finding.level != "problem" for finding in findings)
        if options["json"]:
            self.stdout.write(json.dumps({"ok": well, "findings": [asdict(finding) for finding in findings]}, indent=2))
        else:
            for finding in findings:
                self.stdout.write(one_line(f"{_MARKS[finding.level]}  {finding.check}: {finding.text}"))
                if finding.advice:
                    self.stdout.write(one_line(f"         → {finding.advice}"))
        if not well:
            raise SystemExit(1)
