"""Loaded by `-p tests.plugin`, before Django's settings are read: starts PostgreSQL, RabbitMQ and Redis for this run.

Without it (make test-fast) the tests inside this process use SQLite, and those marked `services` must be left out.
"""

import os
import sys

from tests.services.stack import Services

services = Services()
# With pytest-xdist (-n) the tests run in its workers, each with services of its own; the process they report to needs none.
IS_NEEDED = "PYTEST_XDIST_WORKER" in os.environ or not any(argument.startswith("-n") for argument in sys.argv)
if IS_NEEDED:
    services.start()
    # The tests inside this process use the real database, broker and Redis too.
    os.environ.update(services.environment("taskmanager"), SECRET_KEY="a key for tests only, " + "x" * 50)
    os.environ["WEBHOOK_SIGNING_KEY"] = "a signing key for tests only"


def pytest_unconfigure() -> None:
    if IS_NEEDED:
        services.stop()
