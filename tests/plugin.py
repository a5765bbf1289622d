"""Loaded by `-p tests.plugin`, before Django's settings are read: starts PostgreSQL, RabbitMQ and Redis for this run.

Without it (make test-fast) the tests inside this process use SQLite, and those marked `services` must be left out.
"""

import os

from tests.services.stack import Services

services = Services()
services.start()
# The tests inside this process use the real database, broker and Redis too.
os.environ.update(services.environment("taskmanager"), SECRET_KEY="a key for tests only, " + "x" * 50)
os.environ["WEBHOOK_SIGNING_KEY"] = "a signing key for tests only"


def pytest_unconfigure() -> None:
    services.stop()
