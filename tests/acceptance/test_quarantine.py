"""Garbage on every queue: quarantined with a reason, and the workers go on."""

import json
import uuid
from typing import Any

import pytest
from kombu import Connection, Producer

from tests.servers import Deployment
from tests.services.processes import eventually

LIST = "from tasks_app.models import QuarantinedMessage as Q; import json; print(json.dumps([[m.headers.get('mark'), m.queue, m.reason, m.size] for m in Q.objects.all()]))"  # noqa: E501


def ours(name: str, *arguments: Any) -> dict[str, Any]:
    """A message as Celery's protocol 2 has it."""
    body = json.dumps([arguments, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    headers = {"lang": "py", "task": name, "id": str(uuid.uuid4()), "retries": 0}
    return {"body": body.encode(), "headers": headers}


GARBAGE: dict[str, dict[str, Any]] = {
    "no text": {"body": b"\xff\x00 no text"},
    "another format": {"body": b"{}", "content_type": "application/x-python-serialize", "content_encoding": "binary"},
    "foreign": {"body": b'{"colour": "red"}'},
    "an unknown task": ours("somebody.elses", 1),
    "wrong arguments": ours("tasks_app.process_tasks", ["no id"]),
    "no arguments": ours("tasks_app.process_tasks"),
    "oversized": {"body": b"x" * 5_000_000},
}


@pytest.mark.parametrize("queue", ["task_created", "task_completed"])
def test_it_is_quarantined_with_a_reason_and_the_worker_goes_on(deployment: Deployment, queue: str) -> None:
    run = uuid.uuid4().hex
    before = deployment.api.call("GET", "/healthz").json()["quarantined"]
    with Connection(deployment.broker_url, transport_options={"confirm_publish": True}) as connection:
        for name, garbage in GARBAGE.items():
            message = {"content_type": "application/json", "content_encoding": "utf-8", **garbage}
            message["headers"] = {**message.get("headers", {}), "mark": f"{run} {name}"}
            if queue == "task_completed" and "tasks_app.process_tasks" in message["headers"].values():
                message["headers"]["task"] = "notifications.send_webhooks"
            Producer(connection).publish(exchange="taskmanager", routing_key=queue, **message)

    def counted() -> bool:
        found: int = deployment.api.call("GET", "/healthz").json()["quarantined"]
        return bool(found == before + len(GARBAGE))

    eventually(counted, message="the alert figure rises")
    rows = json.loads(deployment.manage("shell", "--no-imports", "-c", LIST))
    found = {mark.removeprefix(f"{run} "): rest for mark, *rest in rows if mark and mark.startswith(run)}
    refused = "Not readable, or none of ours: the worker refused it"
    assert found == {name: [queue, refused, len(garbage["body"])] for name, garbage in GARBAGE.items()}
    assert deployment.api.wait(deployment.api.submit()["id"])["status"] == "DONE"
