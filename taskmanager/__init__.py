"""The composition root: settings, URLs, servers and commands. It knows both apps; neither knows it."""

from taskmanager.celery import app as celery_app

__all__ = ["celery_app"]
