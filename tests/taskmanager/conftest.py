"""Fixtures of the tests of the composition root."""

from tests.database import committed, django_db_setup, transactional_db  # noqa: F401
