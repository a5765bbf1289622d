#!/usr/bin/env python
"""Command line of the server. Settings come from the environment: see README.md."""

import os
import sys


def main() -> None:
    """Run one Django management command; a setting that makes no sense ends in one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskmanager.settings")
    if sys.argv[1:2] == ["standalone"]:
        os.environ.setdefault("ROLE", "standalone")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import DatabaseError

        from taskmanager import process
    except ModuleNotFoundError as error:
        sys.exit(f"manage.py: {error}. Run it as .venv/bin/python manage.py (`make install` creates .venv).")
    try:
        process.load_settings()
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        _end(str(error))
    except DatabaseError as error:
        if "--traceback" in sys.argv:
            raise
        _end(f"The database does not do it: {error} (--traceback shows where; manage.py doctor looks at the whole).")


def _end(sentence: str) -> None:
    sys.exit("manage.py: " + " ".join(sentence.split()))


if __name__ == "__main__":
    main()
