"""What one task may cost: statements of each step, alone and in a batch of 32, with nobody listening and with somebody.

These are counts, so they do not depend on the machine. Whoever raises one says why.
"""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from notifications import deliveries
from notifications.models import Delivery
from notifications.sender import Exchange
from tasks_app import clock, lifecycle
from tasks_app.models import Audience, Task
from tasks_app.validation import NewTask
from tests.notifications.making import made
from tests.tasks_app.making import NOW, submitted

pytestmark = [pytest.mark.usefixtures("committed"), pytest.mark.services]
TRANSACTION = 2
"""BEGIN and COMMIT."""


@pytest.fixture(autouse=True)
def remembered(committed: None, settings: Any) -> None:
    """Steady state: who listens is known, the row for WEBHOOK_URL is there."""
    Audience.objects.get_or_create(
        pk=1, defaults={"revision": uuid.uuid4()}
    )  # an earlier test may have emptied all tables
    settings.WEBHOOK_URL, settings.WEBHOOK_EVENTS = "https://example.org/hook", ["task.completed"]
    for _ in range(2):
        settle(start(1))


def start(count: int) -> list[Task]:
    return lifecycle.start([submitted().pk for _ in range(count)], worker="w1", now=NOW)


def settle(tasks: list[Task]) -> None:
    lifecycle.settle([lifecycle.Outcome(task_id=t.pk, attempt=1, verb="succeed") for t in tasks], who="w1", now=NOW)


def statements(action: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as queries:
        action()
    return len(queries)


def test_a_post_is_one_statement_in_a_transaction(settings: Any, client: Client, anna: Any) -> None:
    client.force_login(anna)

    def post() -> None:
        answer = client.post(
            "/tasks", {"title": "A task", "payload": {"message": "x"}}, content_type="application/json"
        )
        assert answer.status_code == 201

    post()
    with CaptureQueriesContext(connection) as queries:
        post()
    of_the_session = [q for q in queries.captured_queries if "django_session" in q["sql"] or "auth_" in q["sql"]]
    assert len(queries) - len(of_the_session) == TRANSACTION + 1


@pytest.mark.parametrize("count", [1, 1000])
def test_a_batch_of_any_size_is_submitted_in_one_statement(count: int) -> None:
    new = [NewTask(title=f"Task {number}") for number in range(count)]
    assert statements(lambda: lifecycle.submit_many(new, owner_id=None, who="me")) == TRANSACTION + 1


@pytest.mark.parametrize("count", [1, 32])
def test_a_claim_is_one_statement_events_included(count: int) -> None:
    ids = [submitted().pk for _ in range(count)]
    assert statements(lambda: lifecycle.start(ids, worker="w1", now=NOW)) == TRANSACTION + 1


@pytest.mark.parametrize("count", [1, 32])
def test_settling_is_one_for_the_tasks_one_for_the_events_one_for_the_promises(count: int) -> None:
    tasks = start(count)
    assert statements(lambda: settle(tasks)) == TRANSACTION + 3


@pytest.mark.parametrize("count", [1, 32])
def test_an_endpoint_that_listens_costs_no_further_statement(count: int, anna: Any) -> None:
    made(anna, event_types=["task.*"])

    def whole(number: int) -> list[int]:
        new = [NewTask(title="A task") for _ in range(number)]
        tasks: list[Task] = []
        counts = [statements(lambda: tasks.extend(lifecycle.submit_many(new, owner_id=anna.pk, who="anna")))]
        counts.append(statements(lambda: lifecycle.start([task.pk for task in tasks], worker="w1")))
        counts.append(statements(lambda: settle(tasks)))
        return counts

    whole(1)
    assert whole(count) == [TRANSACTION + 2, TRANSACTION + 2, TRANSACTION + 3]


@pytest.mark.parametrize("count", [1, 16])
def test_a_batch_of_deliveries_is_claimed_in_two_statements_and_recorded_in_one(count: int) -> None:
    now = clock.now()
    Delivery.objects.all().delete()
    settle(start(1))
    first = deliveries.claim([Delivery.objects.get().endpoint_id], now=now)
    deliveries.record([(sending, Exchange(status=200)) for sending in first.sendings], now=now)  # it is healthy now
    settle(start(count))
    (endpoint_id,) = (
        Delivery.objects.filter(status="PENDING").order_by().values_list("endpoint_id", flat=True).distinct()
    )
    found: list[Any] = []
    assert statements(lambda: found.extend(deliveries.claim([endpoint_id], now=now).sendings)) == TRANSACTION + 2
    assert len(found) == count
    endings = [(sending, Exchange(status=200)) for sending in found]
    assert statements(lambda: deliveries.record(endings, now=now)) == 1
