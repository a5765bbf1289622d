"""Who is to be notified is remembered, and never wrongly."""

import uuid
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from notifications import audience
from notifications.models import Delivery, Endpoint
from tasks_app import lifecycle
from tasks_app.models import Audience
from tasks_app.validation import NewTask
from tests.notifications.making import made
from tests.tasks_app.making import end, person, started

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def begun(db: None) -> None:
    """As the migration leaves it; an earlier test may have emptied all tables."""
    Audience.objects.get_or_create(pk=1, defaults={"revision": uuid.uuid4()})


def by(owner: Any) -> None:
    lifecycle.submit(NewTask(title="A task"), owner_id=owner.pk, who="somebody")


def asked_for_endpoints(queries: CaptureQueriesContext) -> list[str]:
    table = Endpoint._meta.db_table
    return [query["sql"] for query in queries.captured_queries if f'FROM "{table}"' in query["sql"]]


def test_where_nothing_has_changed_nobody_asks_for_endpoints(anna: Any) -> None:
    by(anna)
    with CaptureQueriesContext(connection) as queries:
        by(anna)
    assert asked_for_endpoints(queries) == []


@pytest.mark.parametrize("how", ["made", "changed", "given away", "by hand"])
def test_an_endpoint_that_was_there_before_the_task_is_never_missed(how: str, anna: Any) -> None:
    ben = person("ben", "member")
    kept = made(ben, event_types=["task.created"])
    quiet = made(anna, event_types=["task.failed"])
    by(anna)  # from here on it is remembered that nobody listens
    assert Delivery.objects.count() == 0
    if how == "made":
        made(anna, event_types=["task.created"])
    elif how == "changed":
        Endpoint.objects.filter(pk=quiet.pk).update(event_types=["task.*"])
    elif how == "given away":
        Endpoint.objects.filter(pk=kept.pk).update(owner=anna)
    else:
        table, column = Endpoint._meta.db_table, Endpoint._meta.get_field("event_types").column
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET {column} = %s WHERE owner_id = %s", ['["task.created"]', anna.pk])
    by(anna)
    assert Delivery.objects.count() == 1


def test_one_that_is_gone_or_paused_is_not_planned_for(anna: Any) -> None:
    endpoint = made(anna, event_types=["task.created"])
    by(anna)
    Endpoint.objects.filter(pk=endpoint.pk).update(state="paused")
    by(anna)
    Endpoint.objects.filter(pk=endpoint.pk).delete()
    by(anna)
    assert Delivery.objects.count() == 0, "they went with their endpoint, and none came after it"


def test_a_change_that_is_undone_leaves_no_false_memory(anna: Any) -> None:
    by(anna)
    before = Audience.objects.get().revision
    with transaction.atomic():
        made(anna, event_types=["task.created"])
        by(anna)
        transaction.set_rollback(True)
    assert Audience.objects.get().revision == before
    by(anna)
    assert Delivery.objects.count() == 0


def test_the_row_of_a_receiver_that_nobody_made_is_not_remembered_before_it_is_committed(settings: Any) -> None:
    settings.WEBHOOK_URL, settings.WEBHOOK_EVENTS = "https://example.org/hook", ["task.completed"]
    with transaction.atomic():
        for _ in range(2):
            end(started(), "succeed")
        transaction.set_rollback(True)
    end(started(), "succeed")
    assert Delivery.objects.get().endpoint.key == "default"


def test_how_an_endpoint_fares_changes_nothing_of_what_is_remembered(anna: Any) -> None:
    endpoint = made(anna)
    before = Audience.objects.get().revision
    Endpoint.objects.filter(pk=endpoint.pk).update(failures_in_row=3, last_success_at=endpoint.created_at)
    assert Audience.objects.get().revision == before


def test_without_a_revision_nothing_is_remembered(anna: Any) -> None:
    Audience.objects.all().delete()
    by(anna)
    made(anna, event_types=["task.created"])
    by(anna)
    assert (audience.at(None) is audience.at(None), Delivery.objects.count()) == (False, 1)
