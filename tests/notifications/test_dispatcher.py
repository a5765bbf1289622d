"""The dispatcher, in this process, against real receivers."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from notifications.dispatcher import Dispatcher
from notifications.models import Delivery, DeliveryAttempt, Endpoint
from tests.notifications.making import delivery_to, made
from tests.services.processes import eventually
from tests.services.receiver import Answer, Receiver

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    started = Dispatcher()
    yield started
    assert started.finish(timeout=60)


@pytest.fixture
def endpoint(anna: Any, settings: Any, receiver: Receiver) -> Endpoint:
    settings.WEBHOOK_ALLOW_LOOPBACK, settings.WEBHOOK_DEADLINE_SECONDS = True, 5
    endpoint = made(anna, receiver.url("/hook"))
    Endpoint.objects.filter(pk=endpoint.pk).update(last_success_at=timezone.now())
    return endpoint


def delivered() -> int:
    return Delivery.objects.filter(status="DELIVERED").count()


def test_all_that_is_due_is_sent_once(dispatcher: Dispatcher, endpoint: Endpoint, receiver: Receiver) -> None:
    expected = {delivery_to(endpoint).event.webhook_id for _ in range(40)}
    for _ in range(3):
        dispatcher.wake(endpoints=[endpoint.pk])
    eventually(lambda: delivered() == 40)
    found = [request.headers["webhook-id"] for request in receiver.requests]
    assert (set(found), len(found)) == (expected, 40)
    assert DeliveryAttempt.objects.filter(finished_at__isnull=False, status_code=200).count() == 40


def test_no_more_than_may_be_in_flight_are(dispatcher: Dispatcher, endpoint: Endpoint, receiver: Receiver) -> None:
    receiver.respond(Answer(200, delay=0.3))
    for _ in range(12):
        delivery_to(endpoint)
    most = 0
    dispatcher.wake(endpoints=[endpoint.pk])

    def look() -> bool:
        nonlocal most
        most = max(most, Delivery.objects.filter(status="SENDING").count())
        return delivered() == 12

    eventually(look)
    assert 2 <= most <= 5


def test_a_receiver_that_hangs_holds_up_no_other(
    dispatcher: Dispatcher, endpoint: Endpoint, anna: Any, receiver: Receiver
) -> None:
    with Receiver() as other:
        other.respond(Answer(200, delay=3))
        slow = made(anna, other.url("/hook"))
        Endpoint.objects.filter(pk=slow.pk).update(last_success_at=timezone.now())
        for _ in range(3):
            delivery_to(slow)
        dispatcher.wake(endpoints=[slow.pk])
        eventually(lambda: bool(other.requests))
        for _ in range(10):
            delivery_to(endpoint)
        dispatcher.wake(endpoints=[endpoint.pk])
        eventually(lambda: len(receiver.requests) == 10)
        assert not Delivery.objects.filter(endpoint=slow, status="DELIVERED").exists()
        eventually(lambda: delivered() == 13)


def test_what_is_under_way_is_recorded_before_it_ends(endpoint: Endpoint, receiver: Receiver) -> None:
    dispatcher = Dispatcher()
    receiver.respond(Answer(200, delay=1))
    delivery_to(endpoint)
    dispatcher.wake(endpoints=[endpoint.pk])
    eventually(lambda: bool(receiver.requests))
    assert dispatcher.finish(timeout=60)
    assert delivered() == 1


def test_what_fails_waits_for_its_next_time(dispatcher: Dispatcher, endpoint: Endpoint, receiver: Receiver) -> None:
    receiver.respond(500)
    delivery = delivery_to(endpoint)
    dispatcher.wake(endpoints=[endpoint.pk])
    eventually(lambda: Delivery.objects.get(pk=delivery.pk).reason.startswith("Waits "))
    assert (Delivery.objects.get(pk=delivery.pk).attempts, len(receiver.requests)) == (1, 1)
