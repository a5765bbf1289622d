"""The counts by which requests and logins are limited, in the cache and in this process."""

from django.core.cache import cache

from taskmanager import login_limit
from tasks_app.api import throttles


def forget() -> None:
    """No test counts for the rate of another."""
    cache.clear()
    throttles._requests.clear()
    login_limit._failures.clear()
