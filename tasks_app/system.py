"""How the system is, in one word with reasons. Asked at most every few seconds, however many pages are open."""

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from celery import current_app

from tasks_app import broker, quarantine, recovery
from tasks_app.models import Task

logger = logging.getLogger(__name__)

KEEP_SECONDS = 5.0
FIRST_WAIT_SECONDS = 1.0
HANGS_SECONDS = 6.0
LATE = timedelta(seconds=30)
QUEUE = "task_created"


@dataclass(frozen=True, kw_only=True)
class Queue:
    """What the broker says of the queue of work. `workers` is None where they are threads of the server itself."""

    is_away: bool = False
    workers: int | None = None
    messages: int | None = None


@dataclass(frozen=True, kw_only=True)
class System:
    """`tone` is a task status, whose colours it borrows."""

    word: str
    tone: str
    reasons: list[str] = field(default_factory=list)


class Probe:
    """Asks the broker in a thread of its own, so that one that hangs holds up no page."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._begun = 0.0
        self._answer: Queue | None = None

    def queue(self) -> Queue:
        """The latest answer, which may be a few seconds old. Waits only for the very first."""
        with self._lock:
            if time.monotonic() - self._begun > KEEP_SECONDS and not (self._thread and self._thread.is_alive()):
                self._begun = time.monotonic()
                self._thread = threading.Thread(target=self._ask, name="system-probe", daemon=True)
                self._thread.start()
        if self._answer is None and self._thread:
            self._thread.join(FIRST_WAIT_SECONDS)
        hangs = self._thread is not None and self._thread.is_alive() and time.monotonic() - self._begun > HANGS_SECONDS
        return Queue(is_away=True) if hangs or self._answer is None else self._answer

    def _ask(self) -> None:
        try:
            self._answer = _ask_broker()
        except Exception as error:  # kombu's errors are many
            logger.debug("The broker does not answer: %s", error)
            self._answer = Queue(is_away=True)


def _ask_broker() -> Queue:
    with broker.connect() as connection:
        if connection.transport.driver_type != "amqp":
            return Queue()
        queue: Any = current_app.amqp.queues[QUEUE](connection.default_channel)
        found = queue.queue_declare(passive=True)
        return Queue(workers=found.consumer_count, messages=found.message_count)


class Kept:
    """The answer of this process, for a few seconds."""

    def __init__(self) -> None:
        self._until = 0.0
        self._system: System | None = None

    def get(self, *, now: datetime) -> System:
        """May ask the database, with a few queries that indexes answer."""
        if self._system is None or time.monotonic() >= self._until:
            self._system = look(probe.queue(), now=now)
            self._until = time.monotonic() + KEEP_SECONDS
        return self._system


def look(queue: Queue, *, now: datetime) -> System:
    """From the broker's answer, the oldest waiting task, which one index finds, and what should be 0."""
    oldest = Task.objects.due(now).order_by("run_at").values_list("run_at", flat=True).first()
    age = now - oldest if oldest else timedelta()
    workers = "Workers run inside the server" if queue.workers is None else f"{queue.workers} workers listen"
    waiting = f"The oldest waiting task has been due for {_seconds(age)}" if oldest else "No task waits"
    reasons = ["The database answers", "The broker answers", workers, waiting]
    if queue.is_away:
        reasons[1:3] = ["The broker does not answer: tasks are kept, and go out when it is back"]
        return System(word="Degraded", tone="FAILED", reasons=reasons)
    if queue.workers == 0:
        reasons[2] = "No worker listens: tasks wait until one is started"
        return System(word="Stalled", tone="FAILED", reasons=reasons)
    quarantined, lost = quarantine.held(), recovery.unaccounted(now=now)
    if quarantined:
        reasons.append(f"{quarantined} messages in quarantine wait for an operator")
    if lost:
        reasons.append(f"{lost} tasks are unaccounted for: manage.py doctor says more")
        return System(word="Degraded", tone="FAILED", reasons=reasons)
    if age > LATE:
        return System(word="Busy", tone="PENDING", reasons=reasons)
    return System(word="Healthy", tone="DONE", reasons=reasons)


def _seconds(age: timedelta) -> str:
    total = round(age.total_seconds())
    return f"{total} s" if total < 120 else f"{total // 60} min" if total < 7200 else f"{total // 3600} h"


probe = Probe()
kept = Kept()
