"""The JSON that receivers read."""

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from notifications import payloads
from tasks_app import lifecycle
from tasks_app.models import Task, TaskEvent
from tasks_app.signals import TaskChange
from tests.tasks_app.making import NOW, SECOND, end, fresh, started, submitted

pytestmark = pytest.mark.django_db


def bodies(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two webhook bodies of a task's latest event."""
    event = TaskEvent.objects.select_related("task").filter(task=task).latest("pk")
    bodies = payloads.webhook_bodies(event, flat=True)
    body, flat = bodies["body"], bodies["flat_body"]
    return json.loads(body), json.loads(flat)


def test_the_standard_body_is_an_envelope_around_the_task() -> None:
    task = started(title="Ünï", tags=["a"], metadata={"b": [1]})
    end(task, "succeed", now=NOW + 2 * SECOND, result='"secret"', message="all well")
    body, _ = bodies(task)
    assert (body["type"], body["sequence"], set(body)) == (
        "task.completed",
        3,
        {"type", "timestamp", "sequence", "data"},
    )
    assert datetime.fromisoformat(body["timestamp"]) == NOW + 2 * SECOND
    data = body["data"]
    assert (data["id"], data["title"], data["status"], data["message"]) == (str(task.pk), "Ünï", "DONE", "all well")
    assert (data["tags"], data["metadata"], data["attempt"], data["duration_seconds"]) == (["a"], {"b": [1]}, 1, 2.0)


def test_the_flat_body_has_the_task_at_the_top_as_the_older_clients_read_it() -> None:
    task = started(title="Shop", description="Milk")
    end(task, "succeed")
    _, flat = bodies(task)
    assert {"id", "task_id", "title", "description", "done", "status", "type", "timestamp"} <= set(flat)
    assert (flat["id"], flat["task_id"], flat["done"]) == (str(task.pk), str(task.pk), True)


def test_a_result_is_never_sent_but_said_to_be_omitted(settings: Any) -> None:
    settings.PUBLIC_URL = "https://tasks.example"
    task = started()
    end(task, "succeed", result='"secret"')
    body, flat = bodies(task)
    assert "secret" not in json.dumps([body, flat])
    assert body["data"]["result_omitted"] is True
    for name in ("result_url", "link"):
        assert body["data"][name].startswith("https://tasks.example/")
        assert str(task.pk) in body["data"][name]


def test_a_failure_names_its_code_and_a_bounded_message_and_no_traceback() -> None:
    task = started()
    end(task, "fail", error_code="broken", error_message="x" * 10_000, traceback="Traceback (most recent call last)")
    body, flat = bodies(task)
    assert body["data"]["error"] == {"code": "broken", "message": "x" * 2048}
    assert "Traceback" not in json.dumps([body, flat])


def test_a_body_that_would_be_too_large_goes_without_what_makes_it_so() -> None:
    task = submitted(metadata={"large": "x" * 300_000}, description="y")
    body, flat = bodies(task)
    assert body["data"]["omitted"] == flat["omitted"] == ["description", "metadata"]
    assert "metadata" not in body["data"] and "description" not in flat
    assert len(json.dumps(body)) < payloads.MAX_BODY_BYTES


NUMBERS = [2**53, 2**63, -(2**63) - 1, 2**64, 10**30, 10**900, 1e30, 1e300, -1e-300, 0.1, 1.0]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{float(number):g}" if abs(number) < 1e308 else "huge")
def test_a_number_of_any_size_that_a_task_may_hold_can_be_told(number: float) -> None:
    """PostgreSQL gives 1e30 back as a whole number of 31 digits."""
    task = submitted(metadata={"number": number})
    body, flat = bodies(fresh(task))
    for found in (body["data"]["metadata"]["number"], flat["metadata"]["number"]):
        assert type(number)(found) == number


def test_bodies_are_compact_utf8() -> None:
    event = TaskEvent.objects.select_related("task").get(task=submitted(title="Ünï ✓"))
    bodies = payloads.webhook_bodies(event, flat=True)
    body, flat = bodies["body"], bodies["flat_body"]
    assert "Ünï ✓" in body and ": " not in body and ", " not in flat


@pytest.mark.parametrize(
    "what, told",
    [("submitted", "task.created"), ("started", "task.started"), ("succeeded", "task.completed"),
     ("completed", "task.completed"), ("failed", "task.failed"), ("cancelled", "task.cancelled"),
     ("deleted", "task.deleted"), ("updated", "task.updated"), ("reopened", "task.updated"), ("log", ""),
     ("retrying", ""), ("released", ""), ("progress", ""), ("", "")],
)  # fmt: skip
def test_the_words_of_receivers_are_fixed(what: str, told: str) -> None:
    assert payloads.event_type(what) == told


def change(task: Task, what: str) -> TaskChange:
    return TaskChange(
        task_id=task.pk, owner_id=None, what=what, status=task.status, version=task.version, attempt=task.attempt,
        updated_at=NOW, message="why", event_id=7, task=task,
    )  # fmt: skip


def test_a_frame_from_the_history_equals_the_one_that_was_announced() -> None:
    task = started()
    end(task, "fail", error_message="It broke")
    event = TaskEvent.objects.select_related("task").filter(task=task).latest("pk")
    announced = TaskChange(
        task_id=task.pk, owner_id=None, what=event.what, status=event.status, version=event.version,
        attempt=1, updated_at=event.at, message="It broke", event_id=event.pk,
    )  # fmt: skip
    assert payloads.event_frame(event) == payloads.status_frame(announced)
    assert payloads.event_frame(event)["updated_at"] == "2020-01-01T12:00:00.000000Z"


def test_a_frame_without_a_message_has_no_such_field() -> None:
    event = TaskEvent.objects.select_related("task").get(task=submitted())
    assert set(payloads.event_frame(event)) == {"task_id", "status", "updated_at", "version", "cursor"}


def test_the_topic_announces_a_new_task_with_its_payload() -> None:
    task = submitted(payload={"message": "x"})
    assert payloads.topic_event(change(task, "submitted")) == {
        "task_id": str(task.pk), "payload": {"message": "x"}, "requested_at": "2020-01-01T12:00:00.000000Z",
    }  # fmt: skip


def test_the_topic_tells_of_a_task_that_is_gone() -> None:
    task = submitted()
    key = str(task.pk)
    gone = change(task, "deleted")
    lifecycle.delete(task.pk, who="me")
    body = payloads.topic_event(gone)
    assert (body["event"], body["task_id"]) == ("task.deleted", key)


def test_times_are_in_utc_with_a_z() -> None:
    moment = datetime(2020, 1, 1, 12, 0, 0, 5, tzinfo=timezone.utc)
    assert payloads.timestamp(moment) == "2020-01-01T12:00:00.000005Z"
