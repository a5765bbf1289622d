"""The sweep: finds what fell between the steps and sets it moving again. Safe to run anywhere, any number of times."""

import logging
import os
import socket
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q

from tasks_app import broker, clock, database, idempotency, leases, lifecycle, pipeline
from tasks_app.models import FINISHED, Heartbeat, Task, TaskStatus

logger = logging.getLogger(__name__)

BATCH = 100
MOST_PUBLISHED = 5000
UNPUBLISHED_AFTER = timedelta(seconds=5)
UNACCOUNTED_AFTER = timedelta(seconds=60)
MOST_COUNTED = 10_000
RECENT = 100
BEAT_EVERY = timedelta(seconds=5)


def sweep(*, now: datetime | None = None) -> None:
    """One round: expired leases, rows that nobody was woken for, retention. A bounded amount of work."""
    now = now or clock.now()
    if leases.are_telling(now=now):
        reclaim_expired(now=now)
    republish(now=now)
    forget_old(now=now)
    idempotency.forget_old(now=now)
    _beat(now)


def reclaim_expired(*, now: datetime) -> int:
    """PROCESSING without a sign of life → PENDING, or FAILED `worker_lost`. Returns how many."""
    with transaction.atomic():
        # Locked while we decide: a worker that renews its lease right now is not robbed.
        expired = Task.objects.select_for_update(skip_locked=True).filter(
            status=TaskStatus.PROCESSING, lease_expires_at__lt=now
        )
        tasks = list(expired.order_by("pk")[:BATCH])
        for task in tasks:
            logger.warning("Reclaiming task_id=%s title=%r from lost worker %s", task.pk, task.title, task.worker)
        return len(_reclaim(tasks, now=now))


def _reclaim(tasks: list[Task], *, now: datetime) -> list[Task]:
    """Together; where one cannot be taken back, one by one, so that it does not hold up the others."""
    try:
        return lifecycle.reclaim(
            tasks, who="sweep", why="The worker was lost: no sign of life during the lease.", now=now
        )
    except database.AWAY:
        raise
    except Exception:
        if len(tasks) > 1:
            return [done for task in tasks for done in _reclaim([task], now=now)]
        logger.exception("Cannot reclaim task_id=%s", tasks[0].pk)
        return []


def expire_leases(*, now: datetime) -> None:
    """For a start that knows itself alone: every lease is over, whoever held it."""
    Task.objects.filter(status=TaskStatus.PROCESSING).update(lease_expires_at=now - timedelta(seconds=1))
    while reclaim_expired(now=now):
        pass


def forget_published(*, now: datetime) -> None:
    """For a start whose broker's queues died with the last process: nothing counts as published, all that is due goes out."""
    pending = Task.objects.filter(status=TaskStatus.PENDING)
    pending.update(published_at=None)


def republish(*, now: datetime) -> int:
    """Publishes rows that are PENDING and due and whose message never was, or was lost. Returns how many."""
    rows = list(Task.objects.due(now).filter(_unheard(now)).order_by("-priority", "run_at")[:MOST_PUBLISHED])
    sent = pipeline.publish_now(rows) if rows else 0
    if sent:
        logger.info("Published %d waiting tasks again", sent)
    return sent


def unaccounted(*, now: datetime | None = None) -> int:
    """How many rows the sweep should have set moving over a minute ago: the one number that must be 0.

    PENDING and due and matched by a rule of `republish`, or PROCESSING with an expired lease, each for over 60 s.
    Counts no further than 10,000.
    """
    now = now or clock.now()
    waiting = Task.objects.due(now - UNACCOUNTED_AFTER).filter(_unheard(now, since=UNACCOUNTED_AFTER))
    leased = Task.objects.filter(status=TaskStatus.PROCESSING, lease_expires_at__lt=now - UNACCOUNTED_AFTER)
    return sum(rows.order_by()[:MOST_COUNTED].count() for rows in (waiting, leased))


def _unheard(now: datetime, *, since: timedelta = timedelta()) -> Q:
    """Due rows whose message never was or was lost, and that for `since` already.

    Never was: nobody published it for 5 s. Lost: published over a lease ago and the queue is empty; or overtaken, a message
    sent two leases later has been worked on. A row in a deep healthy backlog is none of these.
    """
    # Nobody was told of a start that lay ahead when the row last changed; of the others the publisher was.
    untold = Q(run_at__gt=F("updated_at")) | Q(updated_at__lt=now - UNPUBLISHED_AFTER - since)
    unheard = Q(published_at=None) & untold
    newest = (
        Task.objects.filter(finished_at__isnull=False).order_by("-finished_at").values_list("priority", "published_at")
    )
    lease = timedelta(seconds=settings.LEASE_SECONDS)
    worked_on: dict[int, datetime] = {}
    for priority, published_at in newest[:RECENT]:
        if published_at:
            worked_on[priority] = max(published_at, worked_on.get(priority, published_at))
    for priority, published_at in worked_on.items():
        # Only what is at least as urgent: to be overtaken by what is more urgent is as it should be.
        unheard |= Q(priority__gte=priority, published_at__lt=published_at - 2 * lease - since)
    old = Q(published_at__lt=now - lease - since)
    if Task.objects.due(now).filter(old).exists() and _queue_is_empty():
        unheard |= old
    return unheard


def forget_old(*, now: datetime) -> int:
    """Deletes finished tasks past their retention, if there is one. Returns how many."""
    if not settings.TASK_RETENTION_DAYS:
        return 0
    old = Task.objects.filter(status__in=FINISHED, finished_at__lt=now - timedelta(days=settings.TASK_RETENTION_DAYS))
    ids = list(old.order_by("finished_at").values_list("pk", flat=True)[:BATCH])
    Task.objects.filter(pk__in=ids).delete()
    return len(ids)


def try_writing() -> None:
    """Writes a row and takes it back: for whoever asks whether that can be done. Raises DatabaseError if not."""
    with transaction.atomic():
        Heartbeat.objects.create(name=f"try {uuid.uuid4()}", at=clock.now(), by="")
        transaction.set_rollback(True)


def _beat(now: datetime) -> None:
    """Says that the sweep runs, every few seconds."""
    fresh = Heartbeat.objects.filter(name=leases.SWEEP, at__gt=now - BEAT_EVERY, at__lte=now)
    if not fresh.exists():
        by = f"{socket.gethostname()}/{os.getpid()}"
        Heartbeat.objects.update_or_create(name=leases.SWEEP, defaults={"at": now, "by": by[:255]})


def _queue_is_empty() -> bool:
    try:
        return broker.is_empty("task_created")
    except Exception as error:  # away, or the queue itself is gone: the publisher declares it again
        logger.debug("Cannot ask for the length of the queue: %s", error)
        return False
