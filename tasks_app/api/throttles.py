"""How many requests a minute one token or one user may make. Counted in Django's cache; where that is away, nobody is refused."""

import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache import cache
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from tasks_app import identity

logger = logging.getLogger(__name__)

PERIOD = 60
PAUSE = 5.0
"""Seconds during which a cache that failed is not asked again: its timeout must not slow every request."""


clock: Callable[[], float] = time.time


class Counter:
    """Counts events by name in fixed periods. None: the cache does not answer."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._asleep_until = 0.0

    def add(self, name: str, *, amount: int = 1) -> int | None:
        """The count of this period, `amount` included."""
        if time.monotonic() < self._asleep_until:
            return None
        key = f"{self._prefix}:{int(clock() // PERIOD)}:{name}"
        try:
            if amount == 0:
                return int(cache.get(key, 0))
            return _count(key, amount)
        except Exception as error:  # whatever the cache's client raises
            logger.warning("Cannot count requests, so nobody is refused: %s", error)
            self._asleep_until = time.monotonic() + PAUSE
            return None


def _count(key: str, amount: int) -> int:
    try:
        return cache.incr(key, amount)
    except ValueError:  # the first of its period; or somebody else is just that
        return amount if cache.add(key, amount, timeout=2 * PERIOD) else cache.incr(key, amount)


def seconds_left() -> int:
    """Of the current period, at least one."""
    return PERIOD - int(clock()) % PERIOD


_requests = Counter("requests")


class RequestRate(BaseThrottle):
    """API_RATE requests a minute for each token, or user without one. The built-in user is not counted.

    Leaves limit, remaining and seconds on the request as `rate_limit`; taskmanager.middleware makes headers of them.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        limit: int = settings.API_RATE
        name = _name(request) if limit else ""
        count = _requests.add(name) if name else None
        if count is None:
            return True
        request._request.rate_limit = (limit, max(0, limit - count), seconds_left())  # type: ignore[attr-defined]
        return count <= limit

    def wait(self) -> float:
        return seconds_left() - 1  # errors.py adds one


def _name(request: Request) -> str:
    scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest()[:32]
    user = request.user
    return "" if not user.is_authenticated or user.get_username() == identity.LOCAL else f"user-{user.pk}"
