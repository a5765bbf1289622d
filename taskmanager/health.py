"""Is the server up (`/livez`), and does all that it needs work (`/healthz`)? Each question is bounded to two seconds.

What is used is what is tried: a write, a message that is confirmed, an announcement. Nothing of it remains.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from notifications import layers
from tasks_app import broker, database, quarantine, recovery
from tasks_app.api.authentication import Credentials
from tasks_app.identity import is_open, request_headers

logger = logging.getLogger(__name__)

LIMIT_SECONDS = 2.0
KEEP_SECONDS = 2.0


class CannotWrite(Exception):
    """cannot write: it is read-only, a standby, full, or forbids it"""


class Check:
    """One question, asked in a thread of its own, so that a service that hangs holds up one thread and no request."""

    def __init__(self, name: str, ask: Callable[[], str]) -> None:
        self.name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._running: threading.Thread | None = None
        self._answer = ""
        self._error = ""

    def run(self, *, deadline: float) -> dict[str, Any]:
        """`{"ok", "name" or "error", "ms"}`. A question still open from before is not asked twice."""
        started = time.monotonic()
        with self._lock:
            if self._running is None or not self._running.is_alive():
                self._running = threading.Thread(target=self._work, name=f"health-{self.name}", daemon=True)
                self._running.start()
            thread = self._running
        thread.join(max(0.0, deadline - time.monotonic()))
        milliseconds = round((time.monotonic() - started) * 1000, 1)
        if thread.is_alive():
            return {"ok": False, "error": f"does not answer within {LIMIT_SECONDS:g} s", "ms": milliseconds}
        if self._error:
            return {"ok": False, "error": self._error, "ms": milliseconds}
        return {"ok": True, "name": self._answer, "ms": milliseconds}

    def _work(self) -> None:
        try:
            close_old_connections()
            self._answer, self._error = self._ask(), ""
        except CannotWrite as error:
            logger.warning("Health: %s cannot write: %s", self.name, str(error).strip())
            self._error = CannotWrite.__doc__ or ""
        except Exception as error:
            logger.warning("Health: %s does not answer: %s", self.name, str(error).strip())
            # The reason may name hosts and users: it is in the log.
            full = isinstance(error, database.AWAY) and database.sentence(error) == database.FULL
            self._error = "has no connection free" if full else "does not answer"
        finally:
            connection.close()


def try_database() -> None:
    """Raises CannotWrite if the database answers and does not let us."""
    connection.ensure_connection()
    try:
        recovery.try_writing()
    except DatabaseError as error:
        raise CannotWrite(str(error)) from error


def _database() -> str:
    try_database()
    return connection.vendor


def _broker() -> str:
    broker.try_out()
    return "rabbitmq" if settings.RABBITMQ_URL else "in-process"


def _channel_layer() -> str:
    layers.current().try_out()
    return "redis" if settings.REDIS_URL else "in-process"


CHECKS = [Check("database", _database), Check("broker", _broker), Check("channel_layer", _channel_layer)]


class Numbers:
    """Figures for an alert, counted every few seconds however often somebody asks."""

    def __init__(self) -> None:
        self._check = Check("numbers", self._count)
        self._until = 0.0
        self._found: dict[str, int | None] = {"unaccounted": None, "quarantined": None}

    def get(self, *, deadline: float) -> dict[str, int | None]:
        """None for what could not be counted in time."""
        if time.monotonic() >= self._until and not self._check.run(deadline=deadline)["ok"]:
            return dict.fromkeys(self._found)
        return self._found

    def _count(self) -> str:
        self._found = {"unaccounted": recovery.unaccounted(), "quarantined": quarantine.held()}
        self._until = time.monotonic() + KEEP_SECONDS
        return ""


numbers = Numbers()


@csrf_exempt
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when everything answers, else 503; names each. `unaccounted` and `quarantined` should be 0."""
    deadline = time.monotonic() + LIMIT_SECONDS
    threads: list[threading.Thread] = []
    found: dict[str, Any] = {}

    def ask(check: Check) -> None:
        found[check.name] = check.run(deadline=deadline)

    figures: dict[str, int | None] = {}
    threads.append(threading.Thread(target=lambda: figures.update(numbers.get(deadline=deadline)), daemon=True))
    threads[0].start()
    for check in CHECKS:
        threads.append(threading.Thread(target=ask, args=(check,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()
    healthy = all(answer["ok"] for answer in found.values())
    body: dict[str, Any] = {"status": "ok" if healthy else "unavailable"}
    if _is_known(request, ask_database=bool(found.get("database", {}).get("ok"))):
        body |= {"checks": found, **figures, "version": settings.VERSION}
    else:
        body["checks"] = {name: {"ok": answer["ok"]} for name, answer in found.items()}
    return JsonResponse(body, status=200 if healthy else 503)


def _is_known(request: HttpRequest, *, ask_database: bool) -> bool:
    """Whether details are for whoever asks: for those that the API lets in. Without a database: where it needs no token."""
    if is_open(headers=request_headers(request), peer=request.META.get("REMOTE_ADDR", "")):
        return True
    try:
        return ask_database and Credentials().authenticate(Request(request)) is not None
    except (APIException, DatabaseError):
        return False


@csrf_exempt
@require_safe
def livez(request: HttpRequest) -> JsonResponse:
    """200: the process answers. Asks nobody."""
    return JsonResponse({"status": "ok"})
