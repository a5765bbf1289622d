"""Fixtures of the tests of webhooks and live updates."""

from tests.database import committed, django_db_setup, transactional_db  # noqa: F401
from tests.tasks_app.conftest import anna, own_kinds, page, recorded  # noqa: F401
