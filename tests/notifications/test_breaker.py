"""How an endpoint fares, against real receivers: breaker, waiting as asked, one at a time, disabled after days."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from notifications import breaker, deliveries, endpoints, replays
from notifications.models import Delivery, DeliveryAttempt, Endpoint
from notifications.sender import Exchange
from tests.notifications.making import delivery_to, made
from tests.services.receiver import Answer, Receiver
from tests.tasks_app.making import NOW, SECOND, came_to

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def endpoint(anna: Any, settings: Any, receiver: Receiver) -> Endpoint:
    settings.WEBHOOK_ALLOW_LOOPBACK, settings.WEBHOOK_DEADLINE_SECONDS = True, 5
    return made(anna, receiver.url("/hook"))


def fresh(row: Any) -> Any:
    return type(row).objects.get(pk=row.pk)


# ---- The breaker -----------------------------------------------------------------------------------------------------


def test_ten_failures_in_a_row_open_it_and_what_waits_says_why(endpoint: Endpoint, receiver: Receiver) -> None:
    before = timezone.now()
    receiver.respond(500)
    waiting = [delivery_to(endpoint) for _ in range(12)]
    while deliveries.drain(endpoint.pk):
        pass
    found = fresh(endpoint)
    assert (len(receiver.requests), found.breaker(timezone.now())) == (10, "open")
    assert came_to(found.not_before, 60, since=before)
    last = fresh(waiting[-1])
    assert (last.status, last.attempts) == ("PENDING", 0), "a deferred delivery consumes no attempt"
    assert "breaker is open for 60 s: 10 failures in a row" in last.reason
    assert last.next_attempt_at == found.not_before


def test_half_open_it_sends_one_and_a_failure_doubles_the_wait(endpoint: Endpoint, receiver: Receiver) -> None:
    before = timezone.now()
    receiver.respond(500)
    for _ in range(3):
        delivery_to(endpoint)
    Endpoint.objects.update(breaker_openings=1, failures_in_row=10, not_before=timezone.now() - SECOND)
    assert fresh(endpoint).breaker(timezone.now()) == "half-open"
    deliveries.drain(endpoint.pk)
    assert len(receiver.requests) == 1
    assert came_to(fresh(endpoint).not_before, 120, since=before)


def test_it_opens_for_15_minutes_at_most(endpoint: Endpoint) -> None:
    found = fresh(endpoint)
    waits = []
    for _ in range(12):
        found.failures_in_row = 10
        breaker.failed(found, Exchange(status=500), now=NOW)
        waits.append((found.not_before - NOW).total_seconds())
        found.not_before = NOW
    assert waits == [60, 120, 240, 480, *[900] * 8]


def test_a_success_closes_it_and_all_that_waits_goes(endpoint: Endpoint, receiver: Receiver) -> None:
    for _ in range(5):
        delivery_to(endpoint)
    Endpoint.objects.update(
        breaker_openings=2, failures_in_row=10, not_before=timezone.now() - SECOND, failing_since=NOW
    )
    deliveries.drain(endpoint.pk)
    found = fresh(endpoint)
    assert (len(receiver.requests), found.breaker(timezone.now()), found.failing_since) == (5, "closed", None)


def test_half_of_twenty_in_five_minutes_open_it_too(endpoint: Endpoint, receiver: Receiver) -> None:
    now = timezone.now()
    for number in range(19):
        delivery = delivery_to(endpoint, status="DELIVERED", attempts=1)
        DeliveryAttempt.objects.create(delivery=delivery, endpoint=endpoint, number=1, started_at=now, finished_at=now,
                                       status_code=200 if number % 2 else 503)  # fmt: skip
    found = fresh(endpoint)
    breaker.failed(found, Exchange(status=500), now=now)
    assert found.breaker(now) == "closed", "19 attempts are too few"
    DeliveryAttempt.objects.create(delivery=delivery, endpoint=endpoint, number=2, started_at=now, finished_at=now,
                                   status_code=500)  # fmt: skip
    breaker.failed(found, Exchange(status=500), now=now)
    assert found.breaker(now) == "open" and "11 of 20 attempts in 5 minutes" in found.not_before_reason


def test_a_success_after_a_failure_counts_also_within_one_batch(endpoint: Endpoint) -> None:
    Endpoint.objects.update(last_success_at=timezone.now())
    for _ in range(2):
        delivery_to(endpoint)
    first, second = deliveries.claim([endpoint.pk], now=timezone.now()).sendings
    deliveries.record([(first, Exchange(status=500)), (second, Exchange(status=200))], now=timezone.now())
    assert (fresh(endpoint).failing_since, fresh(endpoint).failures_in_row) == (None, 0)


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_what_the_receiver_refuses_in_so_many_words_does_not_open_it(status: int, endpoint: Endpoint) -> None:
    found = fresh(endpoint)
    for _ in range(30):
        breaker.failed(found, Exchange(status=status), now=NOW)
    assert (found.failures_in_row, found.breaker(NOW), found.failed_attempts) == (0, "closed", 30)


@pytest.mark.parametrize("exchange", [Exchange(status=408), Exchange(status=429), Exchange(status=500), Exchange(status=302),
                                      Exchange(error_code="timeout")], ids=["408", "429", "500", "302", "timeout"])  # fmt: skip
def test_what_counts(exchange: Exchange) -> None:
    assert breaker.counts(exchange)


def test_what_we_refused_to_send_is_no_fault_of_the_receivers(endpoint: Endpoint, settings: Any) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = False
    delivery = delivery_to(endpoint)
    deliveries.send(delivery.pk)
    assert fresh(delivery).status == "BLOCKED"
    assert (fresh(endpoint).failing_since, fresh(endpoint).failures_in_row) == (None, 0)


# ---- Waiting as it asked ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_pauses_the_whole_endpoint(status: int, endpoint: Endpoint, receiver: Receiver) -> None:
    before = timezone.now()
    receiver.respond(Answer(status, headers={"Retry-After": "300"}))
    first, second = delivery_to(endpoint), delivery_to(endpoint)
    deliveries.drain(endpoint.pk)
    assert len(receiver.requests) == 1
    assert came_to(fresh(endpoint).not_before, 300, since=before)
    assert came_to(fresh(first).next_attempt_at, 300, since=before)
    assert f"asked for 300 s (Retry-After, {status})" in fresh(second).reason
    assert fresh(second).attempts == 0


def test_retry_after_is_heeded_for_a_day_at_most(endpoint: Endpoint, receiver: Receiver) -> None:
    before = timezone.now()
    receiver.respond(Answer(429, headers={"Retry-After": "99999999"}))
    deliveries.send(delivery_to(endpoint).pk)
    assert came_to(fresh(endpoint).not_before, 86_400, since=before)


# ---- How many at a time ----------------------------------------------------------------------------------------------


def test_no_more_than_five_are_in_flight_to_one_endpoint(endpoint: Endpoint) -> None:
    Endpoint.objects.update(last_success_at=NOW)
    for _ in range(8):
        delivery_to(endpoint)
    claims = [deliveries.claim([endpoint.pk], batch=2, now=timezone.now()) for _ in range(4)]
    assert [len(claim.sendings) for claim in claims] == [2, 2, 1, 0]


def test_one_that_is_out_for_long_makes_room_for_no_other(endpoint: Endpoint) -> None:
    Endpoint.objects.update(last_success_at=NOW)
    delivery_to(endpoint), delivery_to(endpoint)
    now = timezone.now()
    assert deliveries.claim([endpoint.pk], batch=1, now=now).sendings
    assert not deliveries.claim([endpoint.pk], now=now + 6 * SECOND).sendings


@pytest.mark.parametrize("doubt", [{"failures_in_row": 3}, {"last_success_at": None}], ids=["failing", "new"])
def test_a_doubtful_one_gets_one_at_a_time(doubt: dict[str, Any], endpoint: Endpoint) -> None:
    Endpoint.objects.update(**{"last_success_at": NOW, **doubt})
    for _ in range(3):
        delivery_to(endpoint)
    claims = [deliveries.claim([endpoint.pk], now=timezone.now()) for _ in range(3)]
    assert [len(claim.sendings) for claim in claims] == [1, 0, 0]


def test_a_lost_sender_does_not_count_for_ever(endpoint: Endpoint) -> None:
    for _ in range(5):
        delivery_to(endpoint, status="SENDING", attempts=1, lease_expires_at=timezone.now() - SECOND)
    delivery_to(endpoint)
    assert deliveries.claim([endpoint.pk], now=timezone.now()).sendings


# ---- 410, disabled, held ---------------------------------------------------------------------------------------------


def test_410_disables_the_endpoint_and_what_follows_is_held(endpoint: Endpoint, receiver: Receiver) -> None:
    receiver.respond(410)
    first, second = delivery_to(endpoint), delivery_to(endpoint)
    deliveries.drain(endpoint.pk)
    assert (fresh(first).status, fresh(second).status, len(receiver.requests)) == ("FAILED", "HELD", 1)
    assert (fresh(endpoint).state, fresh(endpoint).state_reason) == ("disabled", "It answered 410 (gone).")


def test_five_days_without_success_disable_it_with_two_notices_before(
    endpoint: Endpoint, settings: Any, django_capture_on_commit_callbacks: Any, mailoutbox: Any
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    endpoint.owner.email = "anna@example.org"  # type: ignore[union-attr]
    endpoint.owner.save()  # type: ignore[union-attr]
    states = []
    for hours in (0, 23, 24.1, 30, 72.1, 100, 119.9, 120):
        with django_capture_on_commit_callbacks(execute=True):
            found = endpoints.locked(endpoint.pk)
            now = NOW + hours * HOUR
            breaker.failed(found, Exchange(status=404), now=now)
            found.failed_attempts += 5
            endpoints.tell_of_failing(found, now=now)
            found.save(update_fields=breaker.FIELDS)
        states.append((fresh(endpoint).state, len(mailoutbox)))
    assert states == [("enabled", 0), ("enabled", 0), ("enabled", 1), ("enabled", 1), ("enabled", 2), ("enabled", 2),
                      ("enabled", 2), ("disabled", 3)]  # fmt: skip
    assert "2020-01-01 12:00 UTC" in fresh(endpoint).state_reason


def test_few_attempts_do_not_disable_it_however_long_ago(endpoint: Endpoint) -> None:
    found = fresh(endpoint)
    breaker.failed(found, Exchange(status=404), now=NOW)
    breaker.failed(found, Exchange(status=404), now=NOW + 200 * HOUR)
    assert breaker.notice_due(found, NOW + 200 * HOUR) == 0


@pytest.mark.parametrize("state", ["paused", "disabled"])
def test_a_test_goes_whatever_the_state_once_and_is_not_repeated(
    state: str, endpoint: Endpoint, receiver: Receiver
) -> None:
    Endpoint.objects.update(state=state, not_before=timezone.now() + HOUR)
    receiver.respond(500)
    delivery = endpoints.test(endpoint.pk, who="anna")
    deliveries.send(delivery.pk)
    assert [request.headers["x-taskmanager-event"] for request in receiver.requests] == ["ping"]
    assert (fresh(delivery).status, fresh(endpoint).failures_in_row) == ("FAILED", 0)
    deliveries.replay(delivery.pk, who="anna")
    deliveries.send(delivery.pk)
    assert (len(receiver.requests), fresh(delivery).status) == (2, "FAILED"), "a test sent again is a test"


def test_a_test_overtakes_what_has_to_wait(endpoint: Endpoint, receiver: Receiver) -> None:
    Endpoint.objects.update(not_before=timezone.now() + HOUR)
    waiting = delivery_to(endpoint, now=timezone.now() - HOUR)
    endpoints.test(endpoint.pk, who="anna")
    deliveries.drain(endpoint.pk)
    assert [request.headers["x-taskmanager-event"] for request in receiver.requests] == ["ping"]
    assert fresh(waiting).attempts == 0


# ---- Sent again ------------------------------------------------------------------------------------------------------


def sweep_until_done(endpoint: Endpoint) -> int:
    rounds = 0
    while replays.carry_on(now=timezone.now()) or fresh(endpoint).replays.filter(state="running").exists():
        while deliveries.drain(endpoint.pk):
            pass
        rounds += 1
        assert rounds < 50
    return rounds


def test_recover_sends_all_that_was_held_at_a_bounded_rate(endpoint: Endpoint, receiver: Receiver) -> None:
    endpoints.pause(endpoint.pk, who="anna")
    held = [delivery_to(endpoint, status="HELD", now=NOW) for _ in range(120)]
    with pytest.raises(endpoints.EndpointRefused, match="Enable it first"):
        replays.start(endpoint.pk, which=["held"], since=NOW, who="anna")
    endpoints.enable(endpoint.pk, who="anna")
    assert replays.count(endpoint.pk, which=["held", "failed"], since=NOW) == 120
    replay = replays.start(endpoint.pk, which=["held"], since=NOW, who="anna")
    assert replays.carry_on(now=timezone.now()) == replays.MOST_AT_ONCE
    assert replays.carry_on(now=timezone.now()) == 0, "the first have not gone yet"
    sweep_until_done(endpoint)
    assert {request.headers["webhook-id"] for request in receiver.requests} == {row.event.webhook_id for row in held}
    assert (fresh(replay).state, fresh(replay).sent, fresh(replay).total) == ("done", 120, 120)
    assert set(DeliveryAttempt.objects.values_list("trigger", flat=True)) == {"replay"}


def test_recover_since_leaves_what_is_older_and_what_was_taken(endpoint: Endpoint, receiver: Receiver) -> None:
    delivery_to(endpoint, status="FAILED", now=NOW - HOUR)
    delivery_to(endpoint, status="DELIVERED", now=NOW)
    wanted = delivery_to(endpoint, status="FAILED", now=NOW)
    replays.start(endpoint.pk, which=["failed"], since=NOW, who="anna")
    sweep_until_done(endpoint)
    assert [request.headers["webhook-id"] for request in receiver.requests] == [wanted.event.webhook_id]


def test_one_replay_of_an_endpoint_at_a_time_and_it_can_be_cancelled(endpoint: Endpoint) -> None:
    for _ in range(60):
        delivery_to(endpoint, status="HELD", now=NOW)
    replay = replays.start(endpoint.pk, which=["held"], since=NOW, who="anna")
    with pytest.raises(endpoints.EndpointRefused, match="running"):
        replays.start(endpoint.pk, which=["held"], since=NOW, who="anna")
    replays.carry_on(now=timezone.now())
    assert replays.cancel(replay.pk) and not replays.cancel(replay.pk)
    assert replays.carry_on(now=timezone.now()) == 0
    assert Delivery.objects.filter(status="HELD").count() == 10


def test_what_fails_again_in_a_replay_is_not_taken_up_twice_by_it(endpoint: Endpoint, receiver: Receiver) -> None:
    receiver.respond(410)
    delivery_to(endpoint, status="FAILED", now=NOW)
    replay = replays.start(endpoint.pk, which=["failed"], since=NOW, who="anna")
    replays.carry_on(now=timezone.now())
    deliveries.drain(endpoint.pk)
    endpoints.enable(endpoint.pk, who="anna", force=True)
    assert replays.carry_on(now=timezone.now()) == 0
    assert (fresh(replay).state, len(receiver.requests)) == ("done", 1)


@pytest.mark.parametrize("status", ["PENDING", "HELD"])
def test_a_person_can_cancel_what_waits(status: str, endpoint: Endpoint, receiver: Receiver) -> None:
    delivery = delivery_to(endpoint, status=status)
    assert deliveries.cancel(delivery.pk, who="anna") and not deliveries.cancel(delivery.pk, who="anna")
    deliveries.send(delivery.pk)
    assert (fresh(delivery).status, fresh(delivery).reason, receiver.requests) == ("CANCELLED", "Cancelled by anna", [])


def test_what_could_not_be_sent_in_time_is_given_up(endpoint: Endpoint) -> None:
    delivery = delivery_to(endpoint, now=timezone.now() - 81 * HOUR)
    assert deliveries.expire(now=timezone.now()) == 1
    assert (fresh(delivery).status, fresh(delivery).reason) == ("FAILED", "Expired before it was sent.")
