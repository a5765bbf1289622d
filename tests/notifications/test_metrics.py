"""GET /metrics and the numbers behind it."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from notifications import endpoints, metrics
from notifications.models import Delivery, DeliveryAttempt, Endpoint
from tests.notifications.making import callback, delivery_to, made
from tests.tasks_app.api.conftest import Caller, operator, person, problem  # noqa: F401
from tests.tasks_app.making import NOW, SECOND

pytestmark = pytest.mark.django_db
MINUTE = 60 * SECOND


def numbers() -> dict[tuple[str, str], float]:
    """(Name without what all begin with, label) → value."""
    families = text_string_to_metric_families(metrics.exposition(now=NOW).decode())
    return {
        (sample.name.removeprefix("taskmanager_webhook_"), next(iter(sample.labels.values()), "")): sample.value
        for family in families
        for sample in family.samples
    }


def attempt(delivery: Delivery, number: int, *, ended: Any = NOW, **fields: Any) -> DeliveryAttempt:
    started = {"started_at": (ended or NOW) - SECOND, "finished_at": ended}
    return DeliveryAttempt.objects.create(
        delivery=delivery, endpoint=delivery.endpoint, number=number, **started, **fields
    )


def test_without_webhooks_everything_is_nought_and_there_is_no_latency() -> None:
    found = numbers()
    assert set(found.values()) == {0}
    assert {name for name, _ in found} == {
        "attempts", "due", "due_oldest_seconds", "in_flight", "held", "blocked", "breakers", "endpoints_disabled",
    }  # fmt: skip
    assert {label for name, label in found if name == "attempts"} == set(metrics.OUTCOMES)


def test_attempts_of_the_last_five_minutes_are_counted_by_outcome(anna: Any) -> None:
    delivery = delivery_to(made(anna), now=NOW - MINUTE)
    ends: list[dict[str, Any]] = [
        {"status_code": 200}, {"status_code": 204}, {"status_code": 302}, {"status_code": 410}, {"status_code": 503},
        {"error_code": "timeout"}, {"error_code": "blocked"}, {"error_code": "a new one"}, {"status_code": 999},
    ]  # fmt: skip
    for number, end in enumerate(ends):
        attempt(delivery, number, **end)
    attempt(delivery, 20, ended=None)
    attempt(delivery, 21, ended=NOW - 5 * MINUTE, status_code=200)
    attempt(delivery, 22, ended=NOW + SECOND, status_code=200)
    counted = {label: value for (name, label), value in numbers().items() if name == "attempts" and value}
    assert counted == {
        "success": 2, "status_3xx": 1, "status_4xx": 1, "status_5xx": 1, "timeout": 1, "blocked": 1, "other": 2,
    }  # fmt: skip


def test_latency_is_from_the_event_to_the_2xx_and_not_of_what_was_sent_again(anna: Any) -> None:
    endpoint = made(anna)
    for seconds in range(1, 101):
        attempt(delivery_to(endpoint, now=NOW - seconds * SECOND, status="DELIVERED"), 1, status_code=200)
    again = delivery_to(endpoint, now=NOW - timedelta(days=9), status="DELIVERED", attempts_uncounted=3)
    attempt(again, 4, status_code=200)
    attempt(delivery_to(endpoint, now=NOW - timedelta(days=9)), 1, status_code=500)
    found = numbers()
    assert (found["latency_seconds", "0.5"], found["latency_seconds", "0.95"]) == (51, 96)


def test_what_is_due_in_flight_held_and_blocked(anna: Any) -> None:
    endpoint = made(anna)
    delivery_to(endpoint, now=NOW - 90 * SECOND)
    delivery_to(endpoint, now=NOW - 30 * SECOND)
    delivery_to(endpoint, now=NOW, next_attempt_at=NOW + SECOND)
    delivery_to(endpoint, now=NOW, status="SENDING", lease_expires_at=NOW + MINUTE)
    for status in ("HELD", "HELD", "BLOCKED", "FAILED", "DELIVERED"):
        delivery_to(endpoint, now=NOW, status=status)
    gone = made(anna)
    delivery_to(gone, now=NOW)
    endpoints.delete(gone.pk, who="test", now=NOW)
    found = numbers()
    assert {name: found[name, ""] for name in ("due", "due_oldest_seconds", "in_flight", "held", "blocked")} == {
        "due": 2, "due_oldest_seconds": 90, "in_flight": 1, "held": 2, "blocked": 1,
    }  # fmt: skip


def test_endpoints_are_counted_by_their_breaker(anna: Any) -> None:
    made(anna)
    for until in (NOW + MINUTE, NOW - MINUTE, None):
        Endpoint.objects.filter(pk=made(anna).pk).update(breaker_openings=1, not_before=until)
    callback()
    endpoints.disable(endpoints.locked(made(anna).pk), "It answered 410 (gone).", who="", now=NOW)
    endpoints.delete(made(anna).pk, who="test", now=NOW)
    found = numbers()
    assert {label: value for (name, label), value in found.items() if name == "breakers"} == {
        "closed": 3, "open": 1, "half-open": 2,
    }  # fmt: skip
    assert found["endpoints_disabled", ""] == 1
    by_row = [row.breaker(NOW) for row in Endpoint.objects.filter(deleted_at=None)]
    assert {state: by_row.count(state) for state in set(by_row)} == {"closed": 3, "open": 1, "half-open": 2}


def test_no_number_names_a_receiver_and_the_cost_is_the_same_for_many(
    anna: Any, django_assert_num_queries: Any
) -> None:
    for number in range(20):
        delivery_to(made(anna, f"https://receiver-{number}.example/hook"), now=NOW)
    with django_assert_num_queries(6):
        text = metrics.exposition(now=NOW).decode()
    assert "example" not in text and str(anna.pk) + "}" not in text


def test_an_operator_reads_them_with_a_token_and_nobody_else(operator: Caller, anna: Any) -> None:  # noqa: F811
    answer = operator.get("/metrics")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain; version=")
    assert b"taskmanager_webhook_due 0.0" in answer.content
    narrow = Caller(operator.user, scopes=["webhooks:read"])
    assert narrow.get("/metrics").status_code == 200
    problem(Caller(operator.user, scopes=["tasks:read", "webhooks:write", "admin"]).get("/metrics"), 403, "forbidden")
    problem(Caller(person("member", "member")).get("/metrics"), 403, "forbidden")
    problem(operator.get("/metrics", Authorization="Bearer no"), 401, "invalid_token")
    problem(operator.get("/metrics?name[]=x"), 400, "invalid")
    problem(operator.post("/metrics"), 405, "method_not_allowed")
