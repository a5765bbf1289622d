"""How many requests a minute one token or one user may make.

Counted in Django's cache and in each process; the higher count stands. So a cache that is away, or lies, lifts a limit to
its value for each process at most, or has people wait while it lies.
"""

import hashlib
import logging
import threading
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
MAX_NAMES = 100_000
"""That one process counts in one period."""
MAX_DIGITS = 15
MAX_COUNT = 10**MAX_DIGITS

clock: Callable[[], float] = time.time


class Counter:
    """Counts events by name in fixed periods."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._asleep_until = 0.0
        self._lock = threading.Lock()
        self._period, self._here = 0, dict[str, int]()

    def add(self, name: str, *, amount: int = 1) -> int:
        """The count of this period, `amount` included."""
        period = int(clock() // PERIOD)
        return max(self._add_here(period, name, amount), self._add_shared(period, name, amount))

    def clear(self) -> None:
        """Forgets what was counted in this process."""
        self._period = 0

    def _add_here(self, period: int, name: str, amount: int) -> int:
        with self._lock:
            if period != self._period:
                self._period, self._here = period, {}
            count = self._here.get(name, 0) + amount
            if name in self._here or (amount and len(self._here) < MAX_NAMES):
                self._here[name] = count
            return count

    def _add_shared(self, period: int, name: str, amount: int) -> int:
        if time.monotonic() < self._asleep_until:
            return 0
        try:
            count = _count(f"{self._prefix}:{period}:{name}", amount)
            if type(count) is not int or not 0 <= count <= MAX_COUNT:
                raise ValueError("what it holds is no count")
        except Exception as error:  # whatever the cache's client raises
            logger.warning("Cannot count requests in the cache, so each process counts alone: %s", error)
            self._asleep_until = time.monotonic() + PAUSE
            return 0
        return count


def _count(key: str, amount: int) -> int:
    """Never reads a value: the cache adds, and answers with a number."""
    try:
        return cache.incr(key, amount)
    except ValueError:  # the first of its period; or somebody else is just that
        return amount if not amount or cache.add(key, amount, timeout=2 * PERIOD) else cache.incr(key, amount)


class WholeNumbers:
    """What Django's cache may hold: counts. Its own serializer executes what it reads (pickle)."""

    def dumps(self, value: Any) -> int:
        """A number as Redis counts with it. Raises TypeError for anything else."""
        if type(value) is not int:
            raise TypeError(f"The cache keeps counts, and no {type(value).__name__}.")
        return value

    def loads(self, data: bytes) -> int:
        """The number. Raises ValueError for anything else."""
        if len(data) > MAX_DIGITS or not data.isdigit():
            raise ValueError("What the cache holds is no count.")
        return int(data)


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
        if not name:
            return True
        count = _requests.add(name)
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
