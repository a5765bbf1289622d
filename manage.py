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
    except ModuleNotFoundError as error:
        sys.exit(f"manage.py: {error}. Run it as .venv/bin/python manage.py (`make install` creates .venv).")
    try:
        from django.conf import settings

        settings.INSTALLED_APPS  # noqa: B018 - reads the settings now, so that their errors are caught here
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"manage.py: {error}")


if __name__ == "__main__":
    main()
