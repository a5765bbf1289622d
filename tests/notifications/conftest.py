"""Fixtures of the tests of webhooks and live updates."""

from tests.database import django_db_setup  # noqa: F401
from tests.tasks_app.conftest import committed, own_kinds, recorded  # noqa: F401
