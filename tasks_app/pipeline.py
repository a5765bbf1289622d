"""The publisher: wakes workers up, by one Celery chain for a batch of ids. It never blocks and never raises.

The chain's links are named in settings.TASK_PIPELINE. A batch is what gathered while the last message was being
confirmed: one task when idle, up to BATCH under load. Only short work shares a message, and only on its first attempt.
`published_at` is stamped after the broker's confirmation; what could not be published waits for the sweep.
"""

import logging
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from celery import Signature, current_app
from django.conf import settings
from django.db import transaction
from kombu import Producer

from tasks_app import broker, clock, statements
from tasks_app.background import Drain, flush_announcements
from tasks_app.models import Task

logger = logging.getLogger(__name__)

BATCH = 32
ANNOUNCED_SECONDS = 0.2
"""How long a wake-up waits for the announcement of its task, which should be seen before what the worker announces."""
STAMP_SECONDS, STAMP_MOST = 0.25, 200
STALE_SECONDS = 3.0
"""A wake-up this old is the sweep's, which publishes after 5 s what nobody did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wakeup:
    """One id to publish. `tail`: the work is over, only the rest of the chain is wanted."""

    task_id: uuid.UUID
    attempt: int = 0
    solo: bool = True
    priority: int = 0
    tail: bool = False
    since: float = field(default_factory=time.monotonic)


def publish_after_commit(tasks: Sequence[Task]) -> None:
    """Hands PENDING, due tasks to the publisher once the transaction is committed."""
    wakeups = [_wakeup(task) for task in tasks]
    if wakeups:
        transaction.on_commit(lambda: publisher.put(wakeups), robust=True)


def publish_tail_after_commit(task_id: uuid.UUID) -> None:
    """Has the links after the first told of a task that ended, or changed, outside a chain."""
    transaction.on_commit(lambda: publisher.put([Wakeup(task_id=task_id, tail=True)]), robust=True)


def publish_now(tasks: Iterable[Task]) -> int:
    """For the sweep: publishes in the calling thread and returns how many went out before the first error, if any."""
    return _sweeper.send([_wakeup(task) for task in tasks])


def _wakeup(task: Task) -> Wakeup:
    return Wakeup(task_id=task.pk, attempt=task.attempt, solo=task.solo, priority=task.priority)


class Sender:
    """Owns a broker connection and sends chains over it. Used by one thread only."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._producer: Producer | None = None
        self._broken = False

    def send(self, wakeups: Sequence[Wakeup]) -> int:
        """Publishes and stamps, batch by batch. Stops at the first batch that fails: the sweep finds the rest.

        Leaves to the sweep what waited too long, lest both publish it.
        """
        flush_announcements(timeout=ANNOUNCED_SECONDS)
        sent, unstamped = 0, _Sent()
        for batch in _batches(wakeups):
            if not batch[0].tail and time.monotonic() - batch[0].since > STALE_SECONDS:
                continue
            now = clock.now()
            try:
                self._publish(batch, now)
            except Exception as error:  # kombu raises many kinds, NO_ROUTE is not even an OperationalError
                if not self._broken:
                    logger.warning("Cannot publish, tasks wait in the database until the broker is back: %s", error)
                self._broken = True
                break
            if self._broken:
                logger.info("Publishing again")
            self._broken = False
            unstamped.add(batch, now)
            sent += len(batch)
        unstamped.stamp()
        return sent

    def _publish(self, batch: Sequence[Wakeup], now: datetime) -> None:
        first, *rest = _links(batch, now)
        # A chain as its first message carries it, the links to come in reverse. chain.apply_async() drops the producer
        # it is given and takes one of Celery's own connections, on which a broker under an alarm is waited for for ever.
        options: dict[str, Any] = {"chain": rest[::-1]} if rest else {}
        if self._producer is None:
            self._connect()
            first.apply_async(producer=self._producer, **options)
            return
        try:
            first.apply_async(producer=self._producer, **options)
        except Exception:  # a connection that went stale while idle: a fresh one decides
            self._connect()
            first.apply_async(producer=self._producer, **options)

    def _connect(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.collect()
        self._connection = self._producer = None
        self._connection = broker.connect()
        broker.declare(self._connection)
        self._producer = current_app.amqp.Producer(self._connection)


def _batches(wakeups: Sequence[Wakeup]) -> Iterable[Sequence[Wakeup]]:
    for wakeup in wakeups:
        if wakeup.solo and not wakeup.tail:
            yield [wakeup]
    riders = sorted((w for w in wakeups if w.tail or not w.solo), key=lambda w: (w.tail, -w.priority))
    for _, group in groupby(riders, key=lambda w: (w.tail, w.priority)):
        items = list(group)
        yield from (items[index : index + BATCH] for index in range(0, len(items), BATCH))


def _links(batch: Sequence[Wakeup], now: datetime) -> list[Signature[Any]]:
    """The pipeline's links for one batch, in their order."""
    ids = [str(wakeup.task_id) for wakeup in batch]
    head, *tail = settings.TASK_PIPELINE
    links = [current_app.signature(name, args=(ids,), immutable=True) for name in tail]
    if not batch[0].tail:
        options = {"priority": max(0, min(9, batch[0].priority))}
        first = current_app.signature(
            head, args=(ids,), kwargs={"sent_at": now.isoformat()}, options=options, immutable=True
        )
        links.insert(0, first)
    return links


class _Sent:
    """Wake-ups that are out and whose rows do not say so yet: one statement for many that travelled alone."""

    def __init__(self) -> None:
        self._at: datetime | None = None
        self._by_attempt: dict[int, list[uuid.UUID]] = {}

    def add(self, batch: Sequence[Wakeup], now: datetime) -> None:
        """The batch was published at `now`."""
        self._at = self._at or now
        for wakeup in batch:
            if not wakeup.tail:
                self._by_attempt.setdefault(wakeup.attempt, []).append(wakeup.task_id)
        if (now - self._at).total_seconds() > STAMP_SECONDS or sum(map(len, self._by_attempt.values())) >= STAMP_MOST:
            self.stamp()

    def stamp(self) -> None:
        """Says so."""
        for attempt, ids in self._by_attempt.items():
            # Not a row whose start was moved ahead meanwhile: it needs another message then.
            statements.stamp(ids, attempt=attempt, at=self._at or clock.now())
        self._at, self._by_attempt = None, {}


_sweeper = Sender()
publisher: Drain[Wakeup] = Drain("publisher", Sender().send)
