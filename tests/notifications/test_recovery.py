"""The sweep for deliveries: which are woken, and when again."""

from datetime import timedelta
from typing import Any

import pytest
from celery import current_app

from notifications import recovery
from notifications.models import Delivery, Event
from tasks_app import leases
from tests.services.processes import free_port
from tests.tasks_app.making import NOW, SECOND, end, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def delivery(settings: Any) -> Delivery:
    """Due since NOW, by an event of that time."""
    settings.WEBHOOK_URL, settings.WEBHOOK_EVENTS = "https://receiver.example/hook", ["task.completed"]
    end(started(), "succeed")
    return Delivery.objects.get()


def woken(after: float) -> int:
    return recovery.wake(now=NOW + timedelta(seconds=after))


def test_a_first_attempt_is_the_chains_for_three_seconds(delivery: Delivery) -> None:
    assert (woken(2.9), woken(3.1)) == (0, 1)
    assert Delivery.objects.get().woken_at == NOW + 3.1 * SECOND


def test_a_retry_is_woken_the_moment_it_is_due(delivery: Delivery) -> None:
    Delivery.objects.update(attempts=1, next_attempt_at=NOW + 30 * SECOND)
    assert (woken(29.9), woken(30)) == (0, 1)


def test_one_that_was_woken_is_woken_again_after_a_minute(delivery: Delivery) -> None:
    assert [woken(after) for after in (10, 12, 69, 71, 73)] == [1, 0, 0, 1, 0]


@pytest.mark.parametrize("status", ["SENDING", "DELIVERED", "FAILED", "BLOCKED"])
def test_only_what_waits_is_woken(status: str, delivery: Delivery) -> None:
    lease = NOW if status == "SENDING" else None
    Delivery.objects.update(status=status, next_attempt_at=None, lease_expires_at=lease)
    assert woken(1000) == 0


def test_without_a_broker_nothing_counts_as_woken(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_write_url", f"amqp://guest:guest@127.0.0.1:{free_port()}//")
    assert woken(10) == 0
    assert Delivery.objects.get().woken_at is None


@pytest.mark.services
def test_under_a_memory_alarm_the_sweep_gives_up_instead_of_hanging(services: Any, delivery: Delivery) -> None:
    services.rabbitmq.set_memory_alarm(True)
    try:
        assert woken(10) == 0
    finally:
        services.rabbitmq.set_memory_alarm(False)
    assert woken(12) == 1


def test_events_go_after_their_time_and_their_deliveries_with_them(settings: Any, delivery: Delivery) -> None:
    settings.WEBHOOK_RETENTION_DAYS = 30
    assert recovery.forget_old(now=NOW + timedelta(days=29.9)) == 0
    assert recovery.forget_old(now=NOW + timedelta(days=30.1)) == 1
    assert (Event.objects.count(), Delivery.objects.count()) == (0, 0)


def test_a_round_does_all_of_it(delivery: Delivery) -> None:
    recovery.sweep(now=NOW + 10 * SECOND)
    assert Delivery.objects.get().woken_at is not None


def test_after_an_interruption_a_sender_has_one_lease_to_come_back(delivery: Delivery, settings: Any) -> None:
    late = NOW + timedelta(hours=1)
    Delivery.objects.update(status="SENDING", attempts=1, next_attempt_at=None, lease_expires_at=NOW)
    leases.resume(now=late)
    for seconds, status in [(0, "SENDING"), (settings.LEASE_SECONDS, "PENDING")]:
        recovery.sweep(now=late + timedelta(seconds=seconds))
        delivery.refresh_from_db()
        assert delivery.status == status
