"""People with tokens, as the tests of the other API have them."""

from tests.tasks_app.api.conftest import ada, bob, empty_cache, operator, viewer  # noqa: F401
