"""The way of a delivery, against a receiver on loopback: taken, tried again, given up, interrupted."""

import json
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from django.conf import settings as settings_module
from django.utils import timezone as clock

from notifications import deliveries, signing
from notifications.deliveries import next_wait
from notifications.models import Delivery, DeliveryAttempt, Endpoint
from notifications.sender import Exchange
from tests.notifications.making import callback
from tests.services.processes import PATIENCE
from tests.services.receiver import Answer, Receiver
from tests.tasks_app.making import NOW, SECOND, came_to, end, started

pytestmark = pytest.mark.django_db
SCHEDULE = settings_module.WEBHOOK_RETRY_SECONDS
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture(autouse=True)
def told(settings: Any, receiver: Receiver) -> None:
    settings.WEBHOOK_URL, settings.WEBHOOK_EVENTS = receiver.url("/hook"), ["task.completed"]
    settings.WEBHOOK_URL_SECRET, settings.WEBHOOK_DEADLINE_SECONDS = SECRET, 5


@pytest.fixture
def delivery() -> Delivery:
    """Due."""
    end(started(title="Shop"), "succeed")
    Delivery.objects.update(expires_at=clock.now() + timedelta(days=10))
    return Delivery.objects.get()


def fresh(delivery: Delivery) -> Delivery:
    return Delivery.objects.get(pk=delivery.pk)


def due_again(delivery: Delivery) -> None:
    """Makes its time come."""
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=NOW)


# ---- Taken -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_taken(status: int, receiver: Receiver, delivery: Delivery) -> None:
    receiver.respond(status)
    deliveries.send(delivery.pk)
    found = fresh(delivery)
    assert (found.status, found.attempts, found.next_attempt_at, found.lease_expires_at) == ("DELIVERED", 1, None, None)
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.number, attempt.status_code, attempt.error_code, attempt.peer) == (1, status, "", "127.0.0.1")
    assert attempt.finished_at is not None and {"connect", "total"} <= set(attempt.timings)


def test_the_request_is_what_the_specification_says(receiver: Receiver, delivery: Delivery) -> None:
    deliveries.send(delivery.pk)
    (request,) = receiver.requests
    assert (request.method, request.path, request.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert request.body.decode() == delivery.event.flat_body
    assert json.loads(request.body)["title"] == "Shop"
    assert request.headers["webhook-id"] == f"evt_{delivery.event_id}"
    at = int(request.headers["webhook-timestamp"])
    assert request.headers["webhook-signature"] == signing.sign([SECRET], f"evt_{delivery.event_id}", at, request.body)
    assert request.headers["x-taskmanager-attempt"] == "1"


def test_without_a_secret_nothing_is_signed(settings: Any, receiver: Receiver, delivery: Delivery) -> None:
    settings.WEBHOOK_URL_SECRET = ""
    deliveries.send(delivery.pk)
    assert "webhook-signature" not in receiver.requests[0].headers


def test_what_was_taken_is_not_sent_again(receiver: Receiver, delivery: Delivery) -> None:
    deliveries.send(delivery.pk)
    deliveries.send(delivery.pk)
    assert len(receiver.requests) == 1


def test_what_is_not_due_is_not_sent(receiver: Receiver, delivery: Delivery) -> None:
    deliveries.send(delivery.pk, now=NOW - 5 * SECOND)
    assert (receiver.requests, fresh(delivery).attempts) == ([], 0)


# ---- Not taken -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 400, 401, 404, 410, 500, 501])
def test_any_other_answer_is_tried_again_by_the_schedule(status: int, receiver: Receiver, delivery: Delivery) -> None:
    before = clock.now()
    receiver.respond(status)
    deliveries.send(delivery.pk)
    assert (fresh(delivery).status, fresh(delivery).attempts) == ("PENDING", 1)
    assert came_to(fresh(delivery).next_attempt_at, SCHEDULE[0] * 0.8, SCHEDULE[0] * 1.2, since=before)
    assert f"answered {status}" in fresh(delivery).reason


@pytest.mark.parametrize("source", ["default", "callback"])
def test_a_redirect_is_not_followed_and_its_host_is_said_unless_it_is_the_operators(
    source: str, receiver: Receiver, delivery: Delivery, settings: Any
) -> None:
    settings.WEBHOOK_SIGNING_KEY = "a signing key for tests only"
    Endpoint.objects.update(source=source)
    receiver.respond(Answer(302, headers={"Location": "https://elsewhere.example/path?secret=1"}))
    deliveries.send(delivery.pk)
    reason = fresh(delivery).reason
    assert "answered 302" in reason and "secret" not in reason
    assert ("which is not followed, to elsewhere.example" in reason) is (source == "callback")


def test_a_refused_connection_is_tried_again(receiver: Receiver, delivery: Delivery) -> None:
    receiver.stop()
    deliveries.send(delivery.pk)
    assert (fresh(delivery).status, DeliveryAttempt.objects.get().error_code) == ("PENDING", "connect")


def test_a_receiver_that_hangs_up_is_tried_again(receiver: Receiver, delivery: Delivery) -> None:
    receiver.respond(Answer(drop=True))
    deliveries.send(delivery.pk)
    assert (fresh(delivery).status, DeliveryAttempt.objects.get().error_code) == ("PENDING", "reset")


def test_one_that_does_not_answer_in_time_waits_a_minute(settings: Any, receiver: Receiver, delivery: Delivery) -> None:
    settings.WEBHOOK_DEADLINE_SECONDS = 0.2
    before = clock.now()
    receiver.respond(200, delay=2 * PATIENCE)
    deliveries.send(delivery.pk)
    assert DeliveryAttempt.objects.get().error_code == "timeout"
    assert came_to(fresh(delivery).next_attempt_at, 60, since=before)


def test_every_attempt_has_the_same_id_and_bytes_and_a_time_of_its_own(receiver: Receiver, delivery: Delivery) -> None:
    receiver.respond_in_order(500, 503, 429, 200)
    for _ in range(4):
        due_again(delivery)
        deliveries.send(delivery.pk)
    requests = receiver.requests
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    assert len({request.body for request in requests}) == 1
    assert [request.headers["x-taskmanager-attempt"] for request in requests] == ["1", "2", "3", "4"]
    assert fresh(delivery).status == "DELIVERED"
    assert list(DeliveryAttempt.objects.values_list("number", "status_code")) == [
        (1, 500),
        (2, 503),
        (3, 429),
        (4, 200),
    ]


def test_a_forbidden_address_is_final_without_any_request(
    settings: Any, receiver: Receiver, delivery: Delivery
) -> None:
    settings.WEBHOOK_URL = ""
    elsewhere = callback("http://169.254.169.254:80")
    Delivery.objects.filter(pk=delivery.pk).update(url="http://169.254.169.254/latest", endpoint=elsewhere)
    settings.WEBHOOK_SIGNING_KEY, settings.WEBHOOK_ALLOW_HTTP = "a signing key for tests only", True
    deliveries.send(delivery.pk)
    assert (fresh(delivery).status, fresh(delivery).next_attempt_at) == ("BLOCKED", None)
    assert "169.254" not in fresh(delivery).reason


def test_mending_webhook_url_mends_what_waits(settings: Any, receiver: Receiver, delivery: Delivery) -> None:
    settings.WEBHOOK_URL = receiver.url("/mended")
    deliveries.send(delivery.pk)
    assert receiver.requests[0].path == "/mended"


# ---- When next -------------------------------------------------------------------------------------------------------


def wait(attempts: int, exchange: Exchange, *, spread: float = 1.0, now: datetime = NOW) -> float | None:
    return next_wait(attempts, exchange, now=now, uniform=lambda low, high: spread)[0]


def test_the_schedule_is_kept_within_a_fifth() -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return 1.0

    for attempts, step in enumerate(SCHEDULE, start=1):
        assert next_wait(attempts, Exchange(status=500), now=NOW, uniform=uniform)[0] == step
    assert set(asked) == {(0.8, 1.2)}
    assert sum(SCHEDULE) == 75 * 3600 + 42 * 60 + 35


def test_after_the_twelfth_attempt_there_is_none() -> None:
    found, why = next_wait(12, Exchange(status=500), now=NOW)
    assert (found, why) == (None, "Given up after 12 attempts: answered 500")


@pytest.mark.parametrize("status, least", [(429, 60), (502, 60), (504, 60), (500, 5), (503, 5), (404, 5)])
def test_a_busy_receiver_is_left_alone_for_a_minute(status: int, least: float) -> None:
    assert wait(1, Exchange(status=status)) == least
    assert wait(4, Exchange(status=status)) == 600


@pytest.mark.parametrize(
    "value, seconds",
    [("120", 120), ("0", 60), (format_datetime(NOW + 300 * SECOND, usegmt=True), 300), ("999999999", 86_400),
     (format_datetime(NOW - timedelta(days=1), usegmt=True), 60), ("soon", 60), ("-5", 60), ("", 60), ("1e9", 60),
     ("Wed, 01 Jan 2020", 60), ("²", 60)],
)  # fmt: skip
def test_retry_after_is_heeded_as_seconds_or_date_up_to_a_day(value: str, seconds: float) -> None:
    assert wait(1, Exchange(status=429, response_headers={"retry-after": value})) == seconds


def test_retry_after_counts_for_429_and_503_only_and_never_shortens() -> None:
    headers = {"retry-after": "120"}
    assert wait(1, Exchange(status=503, response_headers=headers)) == 120
    assert wait(1, Exchange(status=500, response_headers=headers)) == 5
    assert wait(4, Exchange(status=503, response_headers=headers)) == 600


def test_a_receivers_retry_after_reaches_the_row(receiver: Receiver, delivery: Delivery) -> None:
    before = clock.now()
    receiver.respond(503, headers={"Retry-After": "500"})
    deliveries.send(delivery.pk)
    assert came_to(fresh(delivery).next_attempt_at, 500, since=before)


def test_what_would_come_after_its_expiry_is_given_up(receiver: Receiver, delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(expires_at=clock.now() + SECOND)
    receiver.respond(500)
    deliveries.send(delivery.pk)
    assert fresh(delivery).status == "FAILED"
    assert fresh(delivery).reason.startswith("Expired.")


def test_the_twelfth_failure_ends_it(receiver: Receiver, delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(attempts=11)
    receiver.respond(500)
    deliveries.send(delivery.pk)
    assert (fresh(delivery).status, fresh(delivery).finished_at is not None) == ("FAILED", True)


# ---- Interrupted -----------------------------------------------------------------------------------------------------


def interrupt(delivery: Delivery) -> datetime:
    """Leaves it as a sender does that is killed during the request; the time at which its lease is over."""
    now = clock.now()
    due_again(delivery)
    assert deliveries.claim([delivery.endpoint_id], only=delivery.pk, now=now).sendings
    return now + timedelta(seconds=5 + 15 + 1)


def test_an_attempt_is_written_down_before_the_request(delivery: Delivery) -> None:
    interrupt(delivery)
    attempt = DeliveryAttempt.objects.get()
    assert (attempt.number, attempt.finished_at, fresh(delivery).status) == (1, None, "SENDING")


def test_an_interrupted_attempt_is_made_again(receiver: Receiver, delivery: Delivery) -> None:
    over = interrupt(delivery)
    assert deliveries.interrupted(now=over - 3 * SECOND) == 0
    assert deliveries.interrupted(now=over) == 1
    assert DeliveryAttempt.objects.get().error_code == "interrupted"
    assert (fresh(delivery).status, fresh(delivery).next_attempt_at >= over) == ("PENDING", True)  # type: ignore[operator]
    due_again(delivery)
    deliveries.send(delivery.pk)
    assert fresh(delivery).status == "DELIVERED"


def test_one_that_interrupts_its_sender_each_time_is_given_up_like_any_other(delivery: Delivery) -> None:
    for _ in range(12):
        assert fresh(delivery).status == "PENDING"
        deliveries.interrupted(now=interrupt(delivery))
    assert (fresh(delivery).status, fresh(delivery).attempts) == ("FAILED", 12)


def test_a_sender_that_comes_back_after_its_lease_decides_nothing(delivery: Delivery) -> None:
    (sending,) = deliveries.claim([delivery.endpoint_id], now=clock.now()).sendings
    deliveries.interrupted(now=clock.now() + timedelta(seconds=60))
    interrupt(delivery)
    deliveries.record([(sending, Exchange(status=200))], now=clock.now())
    assert (fresh(delivery).status, fresh(delivery).attempts) == ("SENDING", 2)
    assert DeliveryAttempt.objects.get(number=1).status_code == 200


def test_two_senders_at_once_make_one_request(receiver: Receiver, delivery: Delivery) -> None:
    assert deliveries.claim([delivery.endpoint_id], now=clock.now()).sendings
    assert not deliveries.claim([delivery.endpoint_id], now=clock.now()).sendings


# ---- For the chain ---------------------------------------------------------------------------------------------------


def test_the_chain_sends_what_is_due_for_its_tasks(receiver: Receiver) -> None:
    tasks = [started() for _ in range(3)]
    for task in tasks:
        end(task, "succeed")
    (endpoint_id,) = deliveries.waiting_endpoints([task.pk for task in tasks[:2]])
    assert not deliveries.drain(endpoint_id)
    assert len(receiver.requests) == 3, "whoever is at an endpoint takes all that is due there"


def test_after_a_second_the_chain_begins_no_further_request(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "CALL_SECONDS", 0)
    tasks = [started() for _ in range(3)]
    for task in tasks:
        end(task, "succeed")
    (endpoint_id,) = deliveries.waiting_endpoints([task.pk for task in tasks])
    assert (deliveries.drain(endpoint_id), receiver.requests) == (True, [])
