"""Messages in quarantine: kept with their bytes and a reason, never a task's failure, decided on by operators."""

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from kombu import Producer

from tasks_app import broker, quarantine
from tasks_app.exceptions import TransitionRefused
from tasks_app.models import QuarantinedMessage, Task, TaskStatus
from tests.services.processes import eventually
from tests.tasks_app.making import fresh, in_status, story, submitted

HELD, RELEASED, DISCARDED = QuarantinedMessage.State.HELD, "RELEASED", "DISCARDED"
pytestmark = [pytest.mark.services, pytest.mark.usefixtures("committed", "empty_queues")]


@pytest.fixture
def empty_queues(committed: None) -> Iterator[None]:
    """Nothing of another test is in `tasks_failed` or `task_created`."""
    _purge()
    yield
    _purge()


def _purge() -> None:
    with broker.connect() as link:
        broker.declare(link)
        for queue in (broker.FAILED, broker.work_queues()["task_created"]):
            bound: Any = queue(link.default_channel)
            bound.purge()


def send(body: bytes, *, dead: bool = True, **options: Any) -> None:
    """To `tasks_failed` directly, or to `task_created`, where a rejection makes a dead letter of it."""
    exchange = broker.DEAD_LETTERS if dead else broker.work_queues()["task_created"].exchange
    with broker.connect() as link:
        broker.declare(link)
        Producer(link).publish(
            body, exchange=exchange, routing_key="task_created",
            **{"content_type": "application/json", "content_encoding": "utf-8", **options},
        )  # fmt: skip


def reject_next() -> None:
    """As a worker does with what it cannot decode."""
    with broker.connect() as link:
        queue: Any = broker.work_queues()["task_created"](link.default_channel)
        message = eventually(lambda: queue.get())
        message.reject()


def taken_in(count: int = 1) -> list[QuarantinedMessage]:
    """The newest, once so many are there."""

    def there() -> list[QuarantinedMessage]:
        quarantine.sweep()
        found = list(QuarantinedMessage.objects.all())
        return found if len(found) >= count else []

    return eventually(there)


def about(*ids: Any) -> bytes:
    """A message of ours, as Celery's protocol 2 has it."""
    return json.dumps([[[str(key) for key in ids]], {}, {"chain": None}]).encode()


# ---- What comes in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\x00 no text", b"{}", b"[]", b"null", b'[["not a list of ids"]]', b"[[[1, null, {}]]]", b"[" * 50_000],
    ids=["empty", "binary", "object", "array", "null", "no ids", "wrong ids", "deep"],
)
def test_any_bytes_are_kept_as_they_are(body: bytes) -> None:
    send(body)
    (message,) = taken_in()
    assert (bytes(message.body), message.size, message.state) == (body, len(body), HELD)
    assert message.reason == "Sent here directly, by whom is not known"
    assert message.tasks == {}


def test_what_a_worker_refused_says_so_and_where_it_was() -> None:
    send(b'{"foreign": true}', dead=False, headers={"mark": "it", "strange": b"\xff\x00", "many": [1, {"a": None}]})
    reject_next()
    (message,) = taken_in()
    assert message.reason == "Not readable, or none of ours: the worker refused it"
    assert (message.queue, message.routing_key) == ("task_created", "task_created")
    assert message.headers["mark"] == "it"


def test_a_large_message_is_cut_and_says_how_large_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MOST_BYTES", 1000)
    send(b"x" * 5000)
    (message,) = taken_in()
    assert (len(message.body), message.size) == (1000, 5000)
    with pytest.raises(TransitionRefused, match="Only the first 1,000 of its 5,000 bytes were kept"):
        quarantine.release(message.pk, who="me")


@pytest.mark.parametrize("status", TaskStatus)
def test_no_task_changes_its_status_because_a_message_about_it_arrived(status: TaskStatus) -> None:
    task = in_status(status)
    Task.objects.filter(pk=task.pk).update(published_at=timezone.now())
    before = story(task)
    send(about(task.pk, uuid.uuid4()))
    (message,) = taken_in()
    assert message.tasks == {str(task.pk): status}
    assert (fresh(task).status, story(task)) == (status, before)


def test_a_waiting_task_that_it_names_is_published_anew_and_alone() -> None:
    task = submitted(payload={"message": "short"})
    Task.objects.filter(pk=task.pk).update(published_at=timezone.now(), solo=False)
    send(about(task.pk))
    taken_in()
    assert (fresh(task).published_at, fresh(task).solo) == (None, True)


def test_above_the_limit_messages_stay_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MOST_HELD", 2)
    for number in range(3):
        send(b"%d" % number)
    taken_in(2)
    quarantine.sweep()
    assert quarantine.held() == 2
    quarantine.discard(QuarantinedMessage.objects.all()[0].pk, who="me")
    taken_in(3)


# ---- What operators decide -------------------------------------------------------------------------------------------


def test_a_released_message_is_back_in_its_queue_as_it_was() -> None:
    body = about(uuid.uuid4())
    send(body, dead=False, headers={"task": "tasks_app.process_tasks", "id": "7"})
    reject_next()
    (message,) = taken_in()
    quarantine.release(message.pk, who="me", why="The worker is mended")
    message.refresh_from_db()
    assert (message.state, message.decided_by, message.decided_why) == (RELEASED, "me", "The worker is mended")
    with broker.connect() as link:
        queue: Any = broker.work_queues()["task_created"](link.default_channel)
        back = eventually(lambda: queue.get(no_ack=True))
    raw = back.body if isinstance(back.body, bytes) else back.body.encode()
    sent = {name: value for name, value in back.headers.items() if name != "x-delivery-count"}
    assert (raw, sent) == (body, {"task": "tasks_app.process_tasks", "id": "7"})
    assert (back.content_type, back.content_encoding) == ("application/json", "utf-8")


def test_what_came_from_no_queue_of_ours_can_only_be_discarded() -> None:
    send(b"{}")
    (message,) = taken_in()
    with pytest.raises(TransitionRefused, match="no queue of ours"):
        quarantine.release(message.pk, who="me")
    message.refresh_from_db()
    assert message.state == HELD
    quarantine.discard(message.pk, who="me", why="Noise")
    with pytest.raises(TransitionRefused, match="DISCARDED; only a held one"):
        quarantine.discard(message.pk, who="me")
    assert quarantine.held() == 0


def test_what_was_decided_is_forgotten_after_a_month_and_what_is_held_is_not() -> None:
    for _ in range(2):
        send(b"{}")
    decided, held = taken_in(2)
    quarantine.discard(decided.pk, who="me", now=timezone.now() - timedelta(days=31))
    QuarantinedMessage.objects.filter(pk=held.pk).update(received_at=timezone.now() - timedelta(days=400))
    quarantine.sweep()
    assert [message.pk for message in QuarantinedMessage.objects.all()] == [held.pk]


def test_operators_decide_in_the_admin_with_who_and_why(client: Client) -> None:
    send(b"<script>alert(1)</script>\x00", headers={"x": "<b>bold</b>"})
    (message,) = taken_in()
    client.force_login(User.objects.create_superuser("boss"))
    url = "/admin/tasks_app/quarantinedmessage/"
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;\\0" in client.get(url).content
    shown = client.get(f"{url}{message.pk}/change/")
    assert shown.status_code == 200 and b"<b>bold" not in shown.content
    form = {"action": "release", "_selected_action": [str(message.pk)]}
    asked = client.post(url, form)
    assert b"Release 1" in asked.content
    refused = client.post(url, {**form, "why": "try"}, follow=True)
    assert b"no queue of ours" in refused.content
    client.post(url, {**form, "action": "discard", "why": "Not ours"})
    message.refresh_from_db()
    assert (message.state, message.decided_by, message.decided_why) == (DISCARDED, "admin:boss", "Not ours")
