"""Leases in the database: who does what one process at a time does, and what they are worth after an interruption.

A row says it, not a lock: locks belong to a session, and a pooler gives one session to many clients.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings

from tasks_app import clock
from tasks_app.models import Heartbeat, Lease

SWEEP, RESUMED = "sweep", "sweep resumed"
"""Heartbeats: the sweep's latest round, and the latest one after an interruption."""


@contextmanager
def alone(name: str) -> Iterator[bool]:
    """True for one process at a time. One that is killed meanwhile keeps the others away for LEASE_SECONDS; one that takes
    longer does not, so what is done may not mind company."""
    holder = str(uuid.uuid4())
    mine = _take(name, holder)
    try:
        yield mine
    finally:
        if mine:
            Lease.objects.filter(name=name, holder=holder).update(until=clock.now())


def _take(name: str, holder: str) -> bool:
    now = clock.now()
    until = now + timedelta(seconds=settings.LEASE_SECONDS)
    # A lease further ahead than one can be taken for is another clock's.
    free = Lease.objects.filter(name=name).exclude(until__gt=now, until__lte=until)
    if free.update(holder=holder, until=until):
        return True
    if Lease.objects.filter(name=name).exists():
        return False
    Lease.objects.bulk_create([Lease(name=name, holder=holder, until=until)], ignore_conflicts=True)
    return Lease.objects.filter(name=name, holder=holder).exists()


def resume(*, now: datetime) -> None:
    """For a sweep that could not reach the database, or has just begun. Where nobody else swept meanwhile, nobody could
    renew a lease either: each is worth as much again from now on."""
    swept = Heartbeat.objects.filter(name=SWEEP, at__gt=now - timedelta(seconds=settings.LEASE_SECONDS / 3))
    if not swept.exists():
        Heartbeat.objects.update_or_create(name=RESUMED, defaults={"at": now, "by": ""})


def are_telling(*, now: datetime) -> bool:
    """Whether the holder of an expired lease is lost: not for the time of one lease after an interruption."""
    again = now - timedelta(seconds=settings.LEASE_SECONDS)
    return not Heartbeat.objects.filter(name=RESUMED, at__gt=again, at__lte=now).exists()
