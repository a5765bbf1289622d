"""GET /api/v1/tasks: pages, filters, orderings, and what they cost."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks_app.models import Task, TaskStatus
from tests.tasks_app.api.conftest import Caller, problem

NOW, SECOND = datetime(2030, 1, 1, 12, tzinfo=timezone.utc), timedelta(seconds=1)
PAYLOADS: tuple[Any, ...] = (
    {"customer": {"id": 42, "größe-1": "7"}, "ok": True, "l": ["x"]},
    {"customer": {"id": "42"}, "ok": 1, "none": None, "l": "x"},
    {"customer": {"id": 42.5}, "ok": "true", "none": "null", "text": 'a "b" 100%_\\ \'; --'},
    None,
)
WORDS = ("report", "invoice", "Müller")


@pytest.fixture
def many(ada: Caller, bob: Caller) -> list[Task]:
    """Sixty tasks in every status, some made in the same second, of two owners."""
    chance = random.Random(1)
    tasks = []
    for number in range(60):
        status = TaskStatus.values[number % 5]
        created_at = NOW - (number // 3) * SECOND
        finished = status in ("DONE", "FAILED", "CANCELLED")
        tasks.append(Task(
            owner=(ada, bob)[number % 2].user, title=f"{WORDS[number % 3]} {number}", description=f"No. {number} 100%_\\",
            kind=("message", "other")[number % 4 == 0], status=status, max_attempts=1, timeout=1, created_at=created_at,
            finished_at=created_at + chance.randrange(9) * SECOND if finished else None, priority=number % 3,
            lease_expires_at=NOW if status == "PROCESSING" else None,
            tags=[["red"], ["blue", "red"], ["a\"b'%"]][number % 3], payload=PAYLOADS[number % 4],
        ))  # fmt: skip
    return Task.objects.bulk_create(tasks)


def everything(caller: Caller, query: str = "", *, limit: int = 7) -> list[dict[str, Any]]:
    """Over all pages; the Link header says the same as `next`."""
    found: list[dict[str, Any]] = []
    url = f"/api/v1/tasks?limit={limit}&{query}"
    while url:
        answer = caller.get(url)
        assert answer.status_code == 200, answer.content
        body = answer.json()
        assert len(body["tasks"]) == limit or not body["next"]
        assert answer.headers.get("Link") == (f'<{body["next"]}>; rel="next"' if body["next"] else None)
        found += body["tasks"]
        url = body["next"]
    return found


def ids(tasks: Any) -> list[str]:
    return [str(task["id"]) if isinstance(task, dict) else str(task.pk) for task in tasks]


@pytest.mark.parametrize("limit", [1, 7, 59, 60, 200])
@pytest.mark.parametrize("order", ["created", "-created"])
def test_pages_hold_every_task_once_in_order(operator: Caller, many: list[Task], order: str, limit: int) -> None:
    wanted = sorted(many, key=lambda task: (task.created_at, task.pk), reverse=order == "-created")
    assert ids(everything(operator, f"order={order}", limit=limit)) == ids(wanted)


@pytest.mark.parametrize("order", ["finished", "-finished"])
def test_in_the_order_of_their_end_only_those_that_ended_are_listed(
    operator: Caller, many: list[Task], order: str
) -> None:
    ended = [task for task in many if task.finished_at]
    wanted = sorted(ended, key=lambda task: (task.finished_at, task.pk), reverse=order == "-finished")
    assert ids(everything(operator, f"order={order}")) == ids(wanted)


@pytest.mark.parametrize("order", ["priority", "-priority"])
def test_what_waits_is_listed_by_priority(operator: Caller, many: list[Task], order: str) -> None:
    waiting = [task for task in many if task.status == "PENDING"]
    wanted = sorted(waiting, key=lambda task: (task.priority, task.created_at, task.pk), reverse=order == "-priority")
    assert ids(everything(operator, f"order={order}&status=PENDING")) == ids(wanted)
    problem(operator.get(f"/api/v1/tasks?order={order}"), 400, "invalid")


def test_a_task_made_meanwhile_moves_nothing(operator: Caller, many: list[Task]) -> None:
    first = operator.get("/api/v1/tasks?limit=30").json()
    operator.submit("In between")
    Task.objects.filter(pk=first["tasks"][-1]["id"]).delete()
    second = operator.get(first["next"]).json()
    assert len({*ids(first["tasks"]), *ids(second["tasks"])}) == 60


def _before(task: Task, seconds: int) -> bool:
    return task.created_at < NOW - seconds * SECOND


QUERIES: list[tuple[str, Callable[[Any], Any]]] = [
    ("status=DONE", lambda task: task.status == "DONE"),
    ("status=FAILED&status=CANCELLED&status=FAILED", lambda task: task.status in ("FAILED", "CANCELLED")),
    ("&".join(f"status={status}" for status in TaskStatus.values), lambda task: True),
    ("kind=other", lambda task: task.kind == "other"),
    ("kind=none", lambda task: False),
    ("tag=red", lambda task: "red" in task.tags),
    ("tag=re", lambda task: False),
    ("tag=a%22b%27%25", lambda task: "a\"b'%" in task.tags),
    ("owner=bob", lambda task: task.owner.username == "bob"),
    ("owner=nobody", lambda task: False),
    ("q=REPORT", lambda task: "report" in task.title),
    ("q=epor+no.", lambda task: "report" in task.title),
    ("q=Müller", lambda task: "Müller" in task.title),
    ("q=100%25_%5C", lambda task: True),
    ("q=100_", lambda task: False),
    ("q=invoice+report", lambda task: False),
    (
        "kind=other&status=DONE&tag=red&owner=ada",
        lambda task: (task.kind, task.status, task.owner.username) == ("other", "DONE", "ada") and "red" in task.tags,
    ),
    ("created_after=2030-01-01T11:59:55Z", lambda task: not _before(task, 5)),
    ("created_before=2030-01-01T11:59:55Z", lambda task: _before(task, 5)),
    (
        "created_after=2030-01-01T12:59:50%2B01:00&created_before=2030-01-01T11:59:55",
        lambda task: _before(task, 5) and not _before(task, 10),
    ),
    ("finished_after=2030-01-01T12:00:00Z", lambda task: task.finished_at and task.finished_at >= NOW),
    (
        "finished_before=2030-01-01T12:00:00Z&status=DONE&status=PENDING",
        lambda task: task.finished_at and task.finished_at < NOW and task.status == "DONE",
    ),
    (
        "finished_before=2031-01-01T12:00:00Z&created_after=2030-01-01T11:59:55Z",
        lambda task: task.finished_at and not _before(task, 5),
    ),
    ("order=finished&status=PENDING", lambda task: False),
    ("payload.customer.id=42", lambda task: task.payload in PAYLOADS[:2]),
    ("payload.customer.id=42.0", lambda task: task.payload == PAYLOADS[0]),
    ("payload.customer.id=4.25e1", lambda task: task.payload == PAYLOADS[2]),
    ("payload.customer.größe-1=7", lambda task: task.payload == PAYLOADS[0]),
    ("payload.ok=true", lambda task: task.payload in (PAYLOADS[0], PAYLOADS[2])),
    ("payload.ok=1", lambda task: task.payload == PAYLOADS[1]),
    ("payload.none=null", lambda task: task.payload in PAYLOADS[1:3]),
    ("payload.text=a+%22b%22+100%25_%5C+%27;+--", lambda task: task.payload == PAYLOADS[2]),
    ("payload.l=x", lambda task: task.payload == PAYLOADS[1]),
    ("payload.l.0=x", lambda task: False),
    ("payload.customer=42", lambda task: False),
    ("payload.customer.id=1e999", lambda task: False),
    ("payload.customer.id=" + "9" * 200, lambda task: False),
    ("payload.customer.id=%5B42%5D", lambda task: False),
    ("payload.customer.id=NaN", lambda task: False),
    (
        "payload.customer.id=42&payload.ok=true&status=DONE&kind=other&order=finished",
        lambda task: task.payload == PAYLOADS[0] and (task.status, task.kind) == ("DONE", "other"),
    ),
]


@pytest.mark.parametrize(("query", "meant"), QUERIES, ids=[query for query, _ in QUERIES])
def test_a_filter_lists_those_that_are_meant(operator: Caller, many: list[Task], query: str, meant: Any) -> None:
    found = everything(operator, query)
    assert sorted(ids(found)) == sorted(ids(filter(meant, many)))
    assert len(found) == len(set(ids(found)))


SENSELESS = [
    "status=done", "status=", "statuss=DONE", "limit=0", "limit=201", "limit=x", "limit=%D9%A1", "limit=" + "9" * 5000,
    "order=title", "order=", "cursor=", "cursor=x", "cursor=bnVsbA", "cursor=%00", "cursor=" + "x" * 500, "q=", "q=ab",
    "q=" + "x" * 201, "q=a+b+c+d+e+f+g+h+long", "q=%00abc", "kind=", "kind=%00", "tag=" + "x" * 51, "owner=",
    "created_after=yesterday", "created_after=", "created_after=0001-01-01T00:00:00%2B23:59",
    "created_after=2030-02-30T00:00:00Z", "finished_after=2030-01-01T00:00:00Z&order=created",
    "created_after=2030-01-01T00:00:00Z&order=finished", "after=" + "0192e4a0-0000-7000-8000-000000000001",
    "payload=1", "payload.=1", "payload.a..b=1", "payload.a.b.c.d.e.f=1", "payload." + "x" * 101 + "=1", "payload.a+b=1",
    "payload.a%22b=1", "payload.a%00=1", "payload.a'b=1", "payload.a=", "payload.a=%00", "payload.a=" + "x" * 201,
    "&".join(f"payload.k{number}=1" for number in range(6)),
]  # fmt: skip


@pytest.mark.parametrize("query", SENSELESS)
def test_a_query_that_makes_no_sense_is_refused(operator: Caller, query: str) -> None:
    answer = operator.get(f"/api/v1/tasks?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] in ("invalid", "bad_cursor")


def test_a_cursor_of_another_order_is_refused(operator: Caller, many: list[Task]) -> None:
    following = operator.get("/api/v1/tasks?limit=2").json()["next"]
    problem(operator.get(following + "&order=created"), 400, "bad_cursor")


def test_a_cursor_shows_nobody_more(ada: Caller, bob: Caller, operator: Caller, many: list[Task]) -> None:
    following = operator.get("/api/v1/tasks?limit=1").json()["next"]
    assert {task["owner"] for task in ada.get(following.replace("limit=1", "limit=100")).json()["tasks"]} == {"ada"}


def test_a_member_sees_their_own(ada: Caller, many: list[Task]) -> None:
    assert {task["owner"] for task in everything(ada)} == {"ada"}
    problem(ada.get("/api/v1/tasks?owner=ada"), 403, "forbidden")


def test_a_token_without_admin_sees_its_owners_tasks_only(operator: Caller, many: list[Task]) -> None:
    narrow = Caller(operator.user, scopes=["tasks:read"])
    assert everything(narrow) == []


def test_a_list_costs_the_same_however_long_it_is(operator: Caller, many: list[Task]) -> None:
    operator.get("/api/v1/tasks")  # the token's last use is written down once a minute
    costs = {}
    for query in (
        "limit=1",
        "limit=60",
        "limit=60&order=finished",
        "limit=60&q=report&tag=red",
        "limit=60&kind=other&status=DONE",
        "limit=60&payload.customer.id=42&payload.ok=true",
    ):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert operator.get(f"/api/v1/tasks?{query}").status_code == 200
        costs[query] = len(queries)
    assert set(costs.values()) == {4}, costs  # the token, its owner's permissions and groups', the rows
    with CaptureQueriesContext(connection) as queries:
        operator.get("/api/v1/tasks?limit=60&status=DONE&status=FAILED&owner=ada")
    assert len(queries) == 6  # and the owner; the rows once for each status


def test_the_next_page_keeps_the_filters(operator: Caller, many: list[Task]) -> None:
    url = "/api/v1/tasks?limit=2&status=DONE&status=FAILED&q=report&created_after=" + (
        NOW - timedelta(days=1)
    ).isoformat().replace("+", "%2B")
    following = operator.get(url).json()["next"]
    assert following.startswith(
        "http://testserver/api/v1/tasks?limit=2&status=DONE&status=FAILED&q=report&created_after=2029"
    )
    assert operator.get(following).status_code == 200
