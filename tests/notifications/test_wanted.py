"""Which endpoints hear of what: types, kinds, tags, metadata, and only of their owner's tasks."""

import json
from typing import Any

import pytest

from notifications import deliveries, endpoints, outbox
from notifications.models import Delivery, Endpoint, Event
from tasks_app import lifecycle
from tasks_app.models import Task
from tasks_app.validation import NewTask
from tests.notifications.making import EXAMPLE, made
from tests.services.receiver import Receiver
from tests.tasks_app.making import NOW, end, person

pytestmark = pytest.mark.django_db


def finish(owner: Any, result: str | None = None, **fields: Any) -> Task:
    """A task of this owner's, done."""
    new = lifecycle.submit(NewTask(title="A task", **fields), owner_id=owner.pk, who="test", now=NOW)
    (task,) = lifecycle.start([new.pk], worker="w1", now=NOW)
    end(task, "succeed", result=result)
    return task


def told() -> list[tuple[str, str]]:
    """Event type and status of every delivery."""
    return list(Delivery.objects.order_by("pk").values_list("event__type", "status"))


@pytest.mark.parametrize(
    "wanted, heard",
    [
        (["task.completed"], ["task.completed"]),
        (["task.*"], ["task.created", "task.started", "task.completed"]),
        (["*"], ["task.created", "task.started", "task.completed"]),
        (["task.failed", "ping"], []),
        (["task.c*"], ["task.created", "task.completed"]),
    ],
    ids=lambda value: ",".join(value),
)
def test_by_type(anna: Any, wanted: list[str], heard: list[str]) -> None:
    made(anna, event_types=wanted)
    finish(anna)
    assert [kind for kind, _status in told()] == heard


@pytest.mark.parametrize(
    "filters, hears",
    [
        ({"kinds": ["message"]}, True), ({"kinds": ["other"]}, False), ({"kinds": ["other", "message"]}, True),
        ({"tags": ["b", "z"]}, True), ({"tags": ["z"]}, False), ({"metadata": {"shop": 7}}, True),
        ({"metadata": {"shop": "7"}}, False), ({"metadata": {"shop": 7, "vip": True}}, True),
        ({"metadata": {"vip": 1}}, False), ({"metadata": {"none": None}}, False),
        ({"kinds": ["message"], "tags": ["z"]}, False),
    ],
    ids=json.dumps,
)  # fmt: skip
def test_by_kind_tag_and_metadata(anna: Any, filters: dict[str, Any], hears: bool) -> None:
    made(anna, **filters)
    finish(anna, tags=["a", "b"], metadata={"shop": 7, "vip": True})
    assert bool(told()) is hears


def test_nobody_hears_of_other_peoples_tasks(anna: Any) -> None:
    made(anna)
    finish(person("bert", "member"))
    assert (told(), Event.objects.count()) == ([], 0)


def test_one_event_has_one_id_and_body_for_all_endpoints(anna: Any) -> None:
    made(anna), made(anna, EXAMPLE + "/2")
    finish(anna)
    assert (Event.objects.count(), Delivery.objects.count()) == (1, 2)


@pytest.mark.parametrize("state", ["paused", "disabled"])
def test_while_paused_or_disabled_events_are_held(anna: Any, state: str) -> None:
    made(anna)
    Endpoint.objects.update(state=state)
    finish(anna)
    assert told() == [("task.completed", "HELD")]


def test_a_deleted_endpoint_hears_nothing(anna: Any) -> None:
    endpoints.delete(made(anna).pk, who="anna")
    finish(anna)
    assert told() == []


def test_a_result_goes_to_those_who_asked_for_it(anna: Any, settings: Any, receiver: Receiver) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    made(anna, receiver.url("/with"), include_result=True), made(anna, receiver.url("/without"))
    finish(anna, result='{"rows":3}')
    for delivery in Delivery.objects.all():
        deliveries.send(delivery.pk)
    bodies = {request.path: json.loads(request.body)["data"] for request in receiver.requests}
    assert bodies["/with"]["result"] == {"rows": 3} and "result_omitted" not in bodies["/with"]
    assert bodies["/without"]["result_omitted"] is True and "result" not in bodies["/without"]


def test_a_result_over_8_kib_is_omitted_and_said_to_be(anna: Any) -> None:
    made(anna, include_result=True)
    finish(anna, result=json.dumps("x" * 8192))
    event = Event.objects.get()
    assert (event.result_body, json.loads(event.body)["data"]["result_omitted"]) == ("", True)


def test_callbacks_of_one_owner_to_one_origin_share_a_row(anna: Any, settings: Any) -> None:
    settings.WEBHOOK_SIGNING_KEY = "a signing key for tests only"
    for path in ("/a", "/b"):
        finish(anna, callback_url=f"https://hooks.example.org{path}")
    finish(person("bert", "member"), callback_url="https://hooks.example.org/a")
    rows = Endpoint.objects.filter(source="callback")
    assert sorted(rows.values_list("owner__username", "url")) == [
        ("anna", "https://hooks.example.org:443"), ("bert", "https://hooks.example.org:443"),
    ]  # fmt: skip
    assert sorted(Delivery.objects.values_list("url", flat=True)) == [
        f"https://hooks.example.org/{path}" for path in "aab"
    ]


def test_events_of_no_task_are_promised_too(anna: Any) -> None:
    endpoint = made(anna)
    event = Event(type="ping", owner_id=anna.pk, created_at=NOW, body="{}")
    assert outbox.promise(event, []) == [] and Event.objects.count() == 0
    (delivery,) = outbox.promise(event, [endpoint])
    assert delivery.next_attempt_at == NOW - outbox.HEAD_START
