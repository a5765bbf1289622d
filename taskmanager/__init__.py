"""The composition root: settings, URLs, servers and commands. It knows both apps; neither knows it."""

from taskmanager import process

process.make_streams_safe()  # every process comes by here, before it opens anything

from taskmanager.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
