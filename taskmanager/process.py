"""What surrounds a process: its three streams, its settings, and the apps that an operator adds."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured

from taskmanager import env


def make_streams_safe() -> None:
    """Whatever is printed can be printed, in the encoding there is; and no file takes the number of a closed stream.

    An ASCII or Latin-1 terminal shows `\\u2192` for an arrow. A server started with `>&-` would otherwise open its
    database as number 1, and whatever is printed would be written into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.dup2(opened, number)  # to be inherited, even if it is the same
            os.set_inheritable(number, True)
            if opened != number:
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError):  # closed
                stream.reconfigure(errors="backslashreplace")


def load_settings() -> None:
    """Reads all settings, tries the apps of EXTRA_APPS, and says which values were passed over. Raises ImproperlyConfigured."""
    from django.conf import settings

    try_apps(settings.INSTALLED_APPS, extra=settings.EXTRA_APPS)
    for sentence in dict.fromkeys(env.ignored):
        sys.stderr.write(f"manage.py: {sentence}\n")


def try_apps(installed: Sequence[str], *, extra: Sequence[str]) -> None:
    """Imports the apps that are `installed`, and says which of the `extra` ones cannot be. Raises ImproperlyConfigured."""
    labels: set[str] = set()
    for name in installed:
        try:
            label = AppConfig.create(name).label
        except Exception as error:  # whatever its own code raises when it is imported
            if name not in extra:
                raise
            raise ImproperlyConfigured(
                f"EXTRA_APPS: {env.shown(name)} cannot be loaded: {type(error).__name__}: {error}. It must be a Django app "
                "that Python can import from here."
            ) from error
        if label in labels:
            raise ImproperlyConfigured(f"EXTRA_APPS: {name!r} is an app labelled {label!r}, and there is one already.")
        labels.add(label)
