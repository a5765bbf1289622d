"""Leases: one at a time, whoever is killed; and what an expired one tells after an interruption."""

from datetime import timedelta
from typing import Any

import pytest

from tasks_app import clock, leases, recovery
from tasks_app.models import Heartbeat, Lease, Task
from tests.tasks_app.making import started

pytestmark = pytest.mark.django_db


def test_one_at_a_time_and_the_next_when_it_is_done() -> None:
    with leases.alone("work") as first:
        with leases.alone("work") as second, leases.alone("other") as other:
            assert (first, second, other) == (True, False, True)
        with leases.alone("work") as third:
            assert not third  # whoever did not get it gives nothing back
    with leases.alone("work") as again:
        assert again


def test_it_is_given_back_when_the_work_stumbles() -> None:
    with pytest.raises(ArithmeticError), leases.alone("work"):
        raise ArithmeticError
    with leases.alone("work") as mine:
        assert mine


@pytest.mark.parametrize("apart", ["expired", "of a wrong clock"])
def test_one_who_was_killed_keeps_the_others_away_for_one_lease_only(settings: Any, apart: str) -> None:
    lease, now = timedelta(seconds=settings.LEASE_SECONDS), clock.now()
    Lease.objects.create(name="work", holder="killed", until=now + lease / 2)
    with leases.alone("work") as mine:
        assert not mine
    Lease.objects.update(until=now - lease if apart == "expired" else now + 10 * lease)
    with leases.alone("work") as mine:
        assert mine


def test_whoever_took_too_long_does_not_end_the_lease_of_the_next() -> None:
    with leases.alone("work"):
        Lease.objects.update(until=clock.now())
        with leases.alone("work") as next_one:
            assert next_one
            holder = Lease.objects.get().holder
    assert Lease.objects.get().holder == holder


def test_after_an_interruption_a_worker_has_one_lease_to_come_back(settings: Any) -> None:
    now = clock.now()
    task = started(now=now)
    Task.objects.filter(pk=task.pk).update(lease_expires_at=now - timedelta(seconds=1))
    Heartbeat.objects.create(name=leases.SWEEP, at=now - timedelta(minutes=5), by="")
    leases.resume(now=now)
    for seconds, status in [
        (0, "PROCESSING"),
        (settings.LEASE_SECONDS - 1, "PROCESSING"),
        (settings.LEASE_SECONDS, "PENDING"),
    ]:
        recovery.sweep(now=now + timedelta(seconds=seconds))
        assert Task.objects.get().status == status


def test_one_who_begins_beside_others_that_sweep_interrupts_nothing() -> None:
    now = clock.now()
    Heartbeat.objects.create(name=leases.SWEEP, at=now - timedelta(seconds=6), by="")
    leases.resume(now=now)
    assert leases.are_telling(now=now)
