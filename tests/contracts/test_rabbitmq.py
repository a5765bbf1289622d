"""What RabbitMQ shows to operators and to other services: names, durability, topic events, dead letters (CONTRACTS)."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection, Exchange, Producer, Queue

from tests.contracts.clients import JSON, LATER, bound, management
from tests.servers import Deployment, Gate
from tests.services.processes import eventually

pytestmark = pytest.mark.services
QUEUES = ("task_created", "task_completed", "task_updated", "tasks_failed")


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_is_visible_by_its_name_and_durable(told_deployment: Deployment, name: str) -> None:
    queue = management(told_deployment, f"queues/{told_deployment.name}/{name}")
    assert queue["durable"] is True and queue["auto_delete"] is False and queue["exclusive"] is False
    assert queue["arguments"]["x-queue-type"] == "quorum"


@pytest.mark.parametrize("name", ["task_created", "task_completed"])
def test_a_work_queue_has_its_dead_letters_go_to_dlx_tasks(told_deployment: Deployment, name: str) -> None:
    arguments = management(told_deployment, f"queues/{told_deployment.name}/{name}")["arguments"]
    assert arguments["x-dead-letter-exchange"] == "dlx_tasks"
    assert arguments["x-delivery-limit"] == 20


def test_task_updated_is_bounded(told_deployment: Deployment) -> None:
    arguments = management(told_deployment, f"queues/{told_deployment.name}/task_updated")["arguments"]
    assert arguments["x-max-length"] > 0 and arguments["x-message-ttl"] > 0


@pytest.mark.parametrize("name", ["dlx_tasks", "task.topic", "taskmanager"])
def test_an_exchange_is_a_durable_topic_exchange(told_deployment: Deployment, name: str) -> None:
    exchange = management(told_deployment, f"exchanges/{told_deployment.name}/{name}")
    assert (exchange["type"], exchange["durable"], exchange["auto_delete"]) == ("topic", True, False)


def test_the_worker_listens_to_task_created_and_the_notifier_to_task_completed(told_deployment: Deployment) -> None:
    def listened_to() -> list[str]:
        consumers = management(told_deployment, f"consumers/{told_deployment.name}")
        return sorted(found["queue"]["name"] for found in consumers if "pidbox" not in found["queue"]["name"])

    eventually(lambda: listened_to() == ["task_completed", "task_created"])


def test_another_service_hears_of_every_new_task(told_deployment: Deployment) -> None:
    with bound(told_deployment, "task.created") as take:
        with_payload = told_deployment.api.submit(payload={"message": "hi"}, run_at=LATER)
        without = told_deployment.api.submit(run_at=LATER)
        heard = listen(take, lambda one: True, count=2)
    assert heard == [
        {"task_id": task["task_id"], "payload": task["payload"], "requested_at": task["created_at"]}
        for task in (with_payload, without)
    ]


def test_the_topic_tells_every_change_to_whoever_binds_more(told_deployment: Deployment) -> None:
    with bound(told_deployment, "task.*") as take:
        task_id = told_deployment.api.submit(payload={"message": "hi"})["task_id"]
        mine = listen(take, lambda one: one["task_id"] == task_id, count=3)
    assert {one.get("event", "task.created") for one in mine} == {"task.created", "task.started", "task.completed"}


def test_an_update_is_published_to_task_updated(told_deployment: Deployment) -> None:
    task_id = told_deployment.api.submit("Tpyo", run_at=LATER)["id"]
    told_deployment.api.call("PUT", f"/tasks/{task_id}", json={"title": "Typo", "description": "D"})

    with Connection(told_deployment.broker_url) as connection:
        queue: Any = Queue("task_updated", no_declare=True)(connection.default_channel)

        def mine() -> dict[str, Any]:
            while (message := queue.get(no_ack=True)) is not None:
                body: dict[str, Any] = json.loads(message.body)
                if body["task_id"] == task_id:
                    return body
            return {}

        body = eventually(mine)
    assert (body["id"], body["title"], body["description"], body["done"]) == (task_id, "Typo", "D", False)


def listen(take: Callable[[], list[JSON]], wanted: Callable[[JSON], bool], *, count: int) -> list[JSON]:
    """The messages that are wanted, once there are so many."""
    heard: list[JSON] = []

    def enough() -> bool:
        heard.extend(one for one in take() if wanted(one))
        return len(heard) >= count

    eventually(enough)
    return heard


def _send(deployment: Deployment, exchange: str, routing_key: str, body: str | bytes, **options: Any) -> None:
    with Connection(deployment.broker_url, transport_options={"confirm_publish": True}) as connection:
        Producer(connection).publish(body, exchange=exchange, routing_key=routing_key, **options)


def test_the_dead_letter_exchange_leads_to_tasks_failed(told_deployment: Deployment) -> None:
    bindings = management(told_deployment, f"queues/{told_deployment.name}/tasks_failed/bindings")
    assert {"dlx_tasks"} == {binding["source"] for binding in bindings if binding["source"]}


@pytest.mark.parametrize(
    "options",
    [
        {"body": b"\xff\x00 no message", "content_type": "application/json", "content_encoding": "utf-8"},
        {"body": b"{}", "content_type": "application/x-python-serialize", "content_encoding": "binary"},
        {"body": b'{"colour": "red"}', "content_type": "application/json", "content_encoding": "utf-8"},
    ],
    ids=["broken", "pickled", "foreign"],
)
def test_what_cannot_be_decoded_becomes_a_dead_letter(told_deployment: Deployment, options: dict[str, Any]) -> None:
    mark = str(uuid.uuid4())
    with Connection(told_deployment.broker_url) as connection:
        watch: Any = Queue(
            "", Exchange("dlx_tasks", type="topic", passive=True), routing_key="#", exclusive=True, durable=False
        )
        mine = watch(connection.default_channel)
        mine.declare()
        _send(told_deployment, "taskmanager", "task_created", headers={"mark": mark}, **options)

        def dead() -> bool:
            message = mine.get(no_ack=True)
            return message is not None and message.headers.get("mark") == mark

        eventually(dead, message="no dead letter")
    assert told_deployment.api.wait(told_deployment.api.submit()["id"])["done"] is True


def test_a_repeated_message_does_no_harm(told_deployment: Deployment, gate: Gate) -> None:
    running = told_deployment.api.submit(**gate.order)["task_id"]
    done = told_deployment.api.wait(told_deployment.api.submit()["task_id"])
    told_deployment.api.wait(running, status="PROCESSING")
    for _ in range(3):
        send_again(told_deployment, [running, done["task_id"]])
    send_again(told_deployment, [str(uuid.uuid4())])
    told_deployment.api.wait(told_deployment.api.submit()["task_id"])  # behind the repetitions in the queue
    gate.open()

    ended = told_deployment.api.wait(running)
    assert (ended["status"], ended["attempt"], ended["version"]) == ("DONE", 1, ended["version"])
    assert told_deployment.api.task(done["task_id"]) == done


def send_again(deployment: Deployment, ids: list[str]) -> None:
    """One message for the worker, as Celery's protocol 2 has it."""
    headers = {"lang": "py", "task": "tasks_app.process_tasks", "id": str(uuid.uuid4()), "retries": 0}
    body = json.dumps([[ids], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    _send(
        deployment, "taskmanager", "task_created", body.encode(), headers=headers, content_type="application/json",
        content_encoding="utf-8",
    )  # fmt: skip
