"""The chart of the last hour."""

import html
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.test import Client

from tasks_app.models import Task
from tasks_app.pages.chart import Chart, Kept, chart
from tasks_app.pages.viewer import Viewer
from tests.tasks_app.making import NOW, end, person, started, submitted
from tests.tasks_app.test_pages import HTMX, task_of

pytestmark = pytest.mark.django_db


def minute(found: Chart, at: datetime) -> tuple[int, int, int]:
    ((one),) = [one for one in found.minutes if one.at == at]
    return one.accepted, one.done, one.failed


def test_what_was_accepted_done_and_failed_is_counted_by_the_minute() -> None:
    for _ in range(3):
        submitted(now=NOW - timedelta(minutes=5))
    end(started(now=NOW - timedelta(minutes=5)), "succeed", now=NOW - timedelta(minutes=4))
    end(started(now=NOW - timedelta(minutes=5)), "fail", now=NOW, error_message="x")
    submitted(now=NOW - timedelta(minutes=61))
    found = chart(Task.objects.all(), now=NOW + timedelta(seconds=30))
    assert len(found.minutes) == 60
    assert minute(found, NOW - timedelta(minutes=5)) == (5, 0, 0)
    assert minute(found, NOW - timedelta(minutes=4)) == (0, 1, 0)
    assert minute(found, NOW) == (0, 0, 1)
    assert (found.accepted, found.done, found.failed, found.top) == (5, 1, 1, 5)


def test_an_hour_without_tasks_is_a_flat_line() -> None:
    found = chart(Task.objects.all(), now=NOW)
    assert (found.top, found.accepted) == (1, 0)
    assert {point.split(",")[1] for point in found.line.split()} == {"80.00"}


def test_a_member_sees_their_own_tasks_in_it(client: Client, django_assert_num_queries: Any) -> None:
    anna, bert = person("anna", "member"), person("bert", "member")
    task_of(anna)
    task_of(bert)
    kept, now = Kept(), datetime.now(tz=timezone.utc)
    assert kept.get(Viewer(user=anna), now=now).accepted == 1
    assert kept.get(Viewer(user=person("vera", "viewer")), now=now).accepted == 2
    task_of(anna)
    with django_assert_num_queries(0):
        assert kept.get(Viewer(user=anna), now=now).accepted == 1


def test_values_are_there_on_hover_and_as_a_table(client: Client) -> None:
    anna = person("anna", "member")
    task_of(anna, status="DONE")
    client.force_login(anna)
    page = html.unescape(client.get("/dashboard/chart").content.decode())
    part = client.get("/dashboard/chart", headers=HTMX).content.decode()
    assert "<html" in page
    assert "<html" not in part
    assert part.count("<title>") == 60
    assert re.search(r"<title>\d\d:\d\d UTC: 1 accepted, 1 done, 0 failed</title>", part)
    assert re.search(r'<th scope="row">\d\d:\d\d</th><td>1</td><td>1</td><td>0</td>', part)
    assert "style=" not in part
