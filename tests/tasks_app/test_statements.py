"""The two batch statements on whichever database is under test: who gets a row, and what a row can hold."""

import json
import random
import threading
import uuid
from datetime import datetime
from typing import Any

import pytest
from django.db import close_old_connections, connection

from tasks_app import lifecycle, statements
from tasks_app.models import Task, TaskStatus
from tasks_app.validation import NewTask
from tests.services.processes import PATIENCE
from tests.tasks_app.making import NOW, SECOND, end, fresh, started, submitted

RESULTS: list[Any] = [
    None, True, False, 0, -1, 1, 2**53 + 1, 1.5, -1e-7, "", "text", "1", "null", '"quoted"', "ünï ✓ 🐘\u2028", "\\ \" ' \n\t",
    "%s %(now)s :1 ? $1", [], [1, [2, [None]]], {}, {"a": {"b": [1, "2", None]}}, {"ключ": "значение", "": 0},
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("result", RESULTS, ids=repr)
def test_a_result_of_any_json_type_comes_back_as_it_was(result: Any) -> None:
    task = started()
    (settled,) = end(task, "succeed", result=None if result is None else json.dumps(result, ensure_ascii=False))
    for found in (settled.result, fresh(task).result):
        assert found == result
        assert type(found) is type(result)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        "",
        "'; DROP TABLE tasks_app_task; --",
        "\\x00 \\u0000",
        "ünï ✓ 🐘",
        "a\nb\tc\x01\x1f\x7f",
        "%s %%",
        "x" * 100_000,
    ],
)
def test_odd_texts_are_kept_as_they_are(text: str) -> None:
    task = started()
    end(task, "fail", message=text, error_message=text, error_code="odd")
    assert (fresh(task).message, fresh(task).error_message) == (text, text)


@pytest.mark.django_db
def test_claimed_rows_come_in_the_order_of_the_ids_asked_for() -> None:
    ids = [submitted().pk for _ in range(20)]
    random.Random(7).shuffle(ids)
    assert [task.pk for task in lifecycle.start(ids, worker="w1", now=NOW)] == ids


@pytest.mark.django_db
def test_ids_that_are_unknown_or_named_twice_do_no_harm() -> None:
    task = submitted()
    (claimed,) = lifecycle.start([task.pk, uuid.uuid4(), task.pk], worker="w1", now=NOW)
    assert (claimed.pk, claimed.attempt) == (task.pk, 1)
    assert lifecycle.start([], worker="w1", now=NOW) == []


@pytest.mark.django_db
def test_claiming_and_settling_a_batch_takes_one_statement_each(django_assert_num_queries: Any) -> None:
    ids = [submitted().pk for _ in range(32)]
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 3):
        events, _revision = statements.claim(
            ids, worker="w1", now=NOW, lease_expires_at=NOW + SECOND, sent_at=None, data={}
        )
    items = [
        lifecycle._settle_item(lifecycle.Outcome(task_id=event.task.pk, attempt=1, verb="succeed")) for event in events
    ]
    with django_assert_num_queries(1):
        assert len(statements.settle(items, now=NOW)) == 32


@pytest.mark.django_db
def test_a_claim_stamps_what_its_message_was_sent_at_unless_the_publisher_did() -> None:
    stamped, unstamped = submitted(), submitted()
    Task.objects.filter(pk=stamped.pk).update(published_at=NOW - SECOND)
    lifecycle.start([stamped.pk, unstamped.pk], worker="w1", sent_at=NOW, now=NOW)
    assert (fresh(stamped).published_at, fresh(unstamped).published_at) == (NOW - SECOND, NOW)


@pytest.mark.django_db
def test_one_that_is_claimed_alone_is_alone_from_then_on() -> None:
    rider, first, second = submitted(), submitted(), submitted()
    lifecycle.start([rider.pk], worker="w1", now=NOW)
    lifecycle.start([first.pk, second.pk], worker="w1", now=NOW)
    assert [fresh(task).solo for task in (rider, first, second)] == [True, False, False]


@pytest.mark.django_db
def test_times_keep_their_microseconds() -> None:
    now = NOW.replace(microsecond=123_456)
    task = started(now=now)
    end(task, "retry_later", now=now, retry_at=now + SECOND / 1000)
    found = fresh(task)
    assert (found.started_at, found.run_at, found.updated_at) == (now, now + SECOND / 1000, now)


def _all_at_once(count: int, work: Any) -> list[Any]:
    """Runs `work(number)` in threads that begin together; their results, or the first exception."""
    gate, results, errors = threading.Barrier(count), [None] * count, list[BaseException]()

    def run(number: int) -> None:
        try:
            close_old_connections()
            connection.ensure_connection()
            gate.wait(PATIENCE)
            results[number] = work(number)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not errors, errors
    return results


def test_of_32_overlapping_batches_each_row_goes_to_one(committed: None) -> None:
    tasks = lifecycle.submit_many([NewTask(title=str(n)) for n in range(64)], owner_id=None, who="me", now=NOW)
    ids = [task.pk for task in tasks]

    def claim(number: int) -> list[uuid.UUID]:
        mine = ids[:]
        random.Random(number).shuffle(mine)
        return [task.pk for task in lifecycle.start(mine[:32], worker=f"w{number}", now=NOW)]

    claimed = [key for keys in _all_at_once(32, claim) for key in keys]

    assert len(claimed) == len(set(claimed))
    assert set(Task.objects.values_list("attempt", flat=True)) <= {0, 1}
    assert Task.objects.filter(status=TaskStatus.PROCESSING).count() == len(claimed)


def test_overlapping_batches_settle_each_attempt_once_while_people_meddle(committed: None) -> None:
    tasks = lifecycle.submit_many([NewTask(title=str(n)) for n in range(32)], owner_id=None, who="me", now=NOW)
    ids = [task.pk for task in tasks]
    lifecycle.start(ids, worker="w1", now=NOW)

    def act(number: int) -> int:
        chance = random.Random(number)
        if number % 4 == 0:
            lifecycle.complete(chance.choice(ids), who="me")
            lifecycle.update(chance.choice(ids), {"title": "Other"}, who="me")
            return 0
        mine = chance.sample(ids, 24)
        outcomes = [lifecycle.Outcome(task_id=key, attempt=1, verb="succeed") for key in mine]
        return len(lifecycle.settle(outcomes, who="w1"))

    settled = sum(_all_at_once(16, act))

    by_hand = Task.objects.filter(events__what="completed").count()
    assert settled + by_hand == Task.objects.filter(status=TaskStatus.DONE).count()


@pytest.mark.django_db
@pytest.mark.parametrize(("ahead", "claimed"), [(0.05, True), (0.9, True), (5, False)])
def test_a_sender_whose_clock_is_a_little_ahead_is_believed_that_a_task_is_due(ahead: float, claimed: bool) -> None:
    """Otherwise its message would be used up for nothing."""
    sent_at = NOW + ahead * SECOND
    task = submitted(now=sent_at)
    assert bool(lifecycle.start([task.pk], worker="w1", sent_at=sent_at, now=NOW)) is claimed


@pytest.mark.django_db
def test_what_should_travel_alone_is_not_claimed_among_others() -> None:
    """A forged message could put it beside one that ends its worker, and so cost it an attempt."""
    rider, alone = submitted(), submitted()
    Task.objects.filter(pk=alone.pk).update(solo=True)
    assert [task.pk for task in lifecycle.start([rider.pk, alone.pk], worker="w1", now=NOW)] == [rider.pk]
    assert [task.pk for task in lifecycle.start([alone.pk], worker="w1", now=NOW)] == [alone.pk]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", ["2999-01-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_a_message_was_not_sent_in_the_future_nor_before_all_times(text: str) -> None:
    """Taken for true it would have every waiting task published again, or be a date that nobody can read back."""
    task = submitted()
    lifecycle.start([task.pk], worker="w1", sent_at=datetime.fromisoformat(text), now=NOW)
    assert (fresh(task).status, fresh(task).published_at) == (TaskStatus.PROCESSING, None)
