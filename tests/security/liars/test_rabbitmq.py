"""Forged messages on every exchange of ours: ordinary work goes on, nothing of what they want happens."""

import json
import uuid
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import amqp
import pytest
from celery import Celery

from tests.security.liars import forging
from tests.security.liars.forging import Forged, celery, plain, properties, table
from tests.servers import Deployment
from tests.services.processes import eventually

pytestmark = pytest.mark.services

PROCESS, SEND, ENDPOINT = "tasks_app.process_tasks", "notifications.send_webhooks", "notifications.send_to_endpoint"
NOBODY = "01a203ae-7f82-7716-9d1a-01c0d6189aeb"
EVIL: list[dict[str, Any]] = [
    {"task": "celery.chain", "args": [], "kwargs": {}, "options": {"queue": "task_created"}, "immutable": True}
]


def work_goes_on(deployment: Deployment) -> None:
    """An ordinary task is done, its webhook planned, and no process ended."""
    pids = [role.pid for role in deployment.roles]
    task = deployment.api.submit("Ordinary", payload={"message": "done"})
    assert deployment.api.wait(task["task_id"])["status"] == "DONE"
    assert all(role.is_running() for role in deployment.roles)
    assert [role.pid for role in deployment.roles] == pids
    assert "Unrecoverable error" not in deployment.worker.printed + deployment.notifier.printed


def quarantined(deployment: Deployment) -> int:
    return int(deployment.api.call("GET", "/healthz").json()["quarantined"])


UNREADABLE: dict[str, Callable[[], amqp.Message]] = {
    "a date beyond all years": lambda: Forged(b"{}", properties(headers=table(t=forging.FAR))),
    "the same without a body": lambda: Forged(b"", properties(headers=table(t=forging.FAR))),
    "properties that are no UTF-8": lambda: Forged(b"{}", properties(content_type=b"\xff", headers=table())),
    "tables within tables": lambda: Forged(b"{}", properties(headers=table(a=forging.nested(3000)))),
}
REFUSED: dict[str, Callable[[], amqp.Message]] = {
    **UNREADABLE,
    "a hundred tables within each other": lambda: Forged(b"{}", properties(headers=table(a=forging.nested(100)))),
    "pickle": lambda: plain(b"\x80\x04.", content_type="application/x-python-serialize", encoding="binary"),
    "a bomb": lambda: celery(PROCESS, body=zlib.compress(b"0" * 50_000_000), compression="application/x-gzip"),
    "an unknown compression": lambda: celery(PROCESS, [NOBODY], compression={"a": 1}),
    "a Celery task of Celery's": lambda: celery("celery.backend_cleanup"),
    "a map of ours": lambda: celery("celery.map", {"task": PROCESS}, [[[NOBODY]]]),
    "a task of the other queue": lambda: celery(SEND, [NOBODY]),
    "callbacks": lambda: celery(PROCESS, [NOBODY], embedded={"callbacks": EVIL}),
    "error callbacks": lambda: celery(PROCESS, ["no id"], embedded={"errbacks": EVIL}),
    "a chain of others": lambda: celery(PROCESS, [NOBODY], embedded={"chain": EVIL}),
    "our chain, elsewhere": lambda: celery(
        PROCESS,
        [NOBODY],
        embedded={"chain": [{"task": SEND, "args": [[NOBODY]], "kwargs": {}, "options": {"exchange": "evil"}}]},
    ),
    "our chain for other ids": lambda: celery(
        PROCESS,
        [NOBODY],
        embedded={"chain": [{"task": SEND, "args": [[str(uuid.uuid4())]], "kwargs": {}, "options": {}}]},
    ),
    "an old protocol": lambda: plain(json.dumps({"task": PROCESS, "id": "1", "args": [[NOBODY]]}).encode()),
    "no name": lambda: celery(PROCESS, [NOBODY], task={"a": [1]}),
    "ids by the thousand": lambda: celery(PROCESS, [str(uuid.uuid4()) for _ in range(1200)]),
    "ids by the hundred thousand": lambda: celery(PROCESS, [str(uuid.uuid4()) for _ in range(100_000)]),
    "nested JSON": lambda: celery(PROCESS, body=b"[" * 30_000 + b"]" * 30_000),
    "an endless number": lambda: celery(PROCESS, body=b"[[" + b"9" * 20_000 + b"], {}, {}]"),
    "one id for a list": lambda: celery(PROCESS, NOBODY),
    "ids as keys": lambda: celery(PROCESS, {NOBODY: 1}),
    "a time without a zone": lambda: celery(PROCESS, [NOBODY], options={"sent_at": "2026-01-01T00:00:00"}),
    "a number for a time": lambda: celery(PROCESS, [NOBODY], options={"sent_at": 5}),
}


def test_what_is_none_of_ours_is_quarantined_and_work_goes_on(deployment: Deployment) -> None:
    before = quarantined(deployment)
    for make in REFUSED.values():
        forging.publish(deployment.broker_url, make(), exchange="taskmanager", routing_key="task_created")
        work_goes_on(deployment)
    wanted = before + len(REFUSED)
    eventually(lambda: quarantined(deployment) == wanted, message="not all were quarantined")


def test_what_cannot_be_read_is_no_hindrance_to_quarantine_either(deployment: Deployment) -> None:
    before = quarantined(deployment)
    messages = [*UNREADABLE.values(), REFUSED["a bomb"], REFUSED["an unknown compression"]]
    for make in messages:
        forging.publish(deployment.broker_url, make(), exchange="dlx_tasks", routing_key="x\udcff")
    wanted = before + len(messages)
    eventually(lambda: quarantined(deployment) == wanted, message="not all were quarantined")


HINTS: dict[str, dict[str, Any]] = {
    "a start time": {"eta": "2999-01-01T00:00:00+00:00"},
    "an end": {"expires": "2000-01-01T00:00:00+00:00"},
    "a limit": {"timelimit": [0.001, 0.001]},
    "other tasks, among the headers": {"embedded": {}, "chain": EVIL, "callbacks": EVIL, "chord": EVIL[0]},
    "an id that is none": {"id": {"a": ["\x1b[31m\n"]}, "root_id": 7, "shadow": "x\n2026 ERROR forged"},
    "an answer": {"reply_to": "task_created", "ignore_result": False, "is_eager": True, "called_directly": True},
    "stamps": {"stamped_headers": ["a"], "stamps": {"a": "b"}, "replaced_task_nesting": 10**9, "retries": "many"},
    "a time to come": {"options": {"sent_at": "2999-01-01T00:00:00+00:00"}},
    "a time before all times": {"options": {"sent_at": "0001-01-01T00:00:00+14:00"}},
}


@pytest.mark.parametrize("hints", HINTS.values(), ids=HINTS)
def test_of_a_wake_up_only_the_ids_are_believed(deployment: Deployment, hints: dict[str, Any]) -> None:
    """Nobody else publishes this task: its start lies ahead, then the forged message meets it."""
    tomorrow = (datetime.now(timezone.utc) + timedelta(days=1)).isoformat()
    later = deployment.api.submit("Not yet", payload={"message": "x"}, run_at=tomorrow)
    message = celery(PROCESS, [later["task_id"]], **hints)
    forging.publish(deployment.broker_url, message, exchange="taskmanager", routing_key="task_created")
    work_goes_on(deployment)
    task = deployment.api.task(later["task_id"])
    assert (task["status"], task["version"]) == ("PENDING", 1)
    assert "2026 ERROR forged" not in [line.strip() for line in deployment.worker.printed.splitlines()]


def test_a_forged_message_cuts_no_running_attempt_short(deployment: Deployment) -> None:
    running = deployment.api.submit("Takes its time", payload={"message": "x", "seconds": 3})
    deployment.api.wait(running["task_id"], status="PROCESSING")
    for name in (PROCESS, "celery.chunks"):
        message = celery(name, [running["task_id"]], timelimit=[0.001, None])
        forging.publish(deployment.broker_url, message, exchange="taskmanager", routing_key="task_created")
    task = deployment.api.wait(running["task_id"])
    assert (task["status"], task["attempt"]) == ("DONE", 1)


COMMANDS: dict[str, bytes | dict[str, Any]] = {
    "shutdown": {"method": "shutdown"},
    "restart": {"method": "pool_restart", "arguments": {"modules": ["os"], "reload": True}},
    "another queue": {"method": "cancel_consumer", "arguments": {"queue": "task_created"}},
    "no limit but a tiny one": {"method": "time_limit", "arguments": {"task_name": PROCESS, "hard": 0.001}},
    "a rate": {"method": "rate_limit", "arguments": {"task_name": PROCESS, "rate_limit": "1/h"}},
    "a smaller pool": {"method": "pool_shrink", "arguments": {"n": 100}},
    "revoke": {"method": "revoke", "arguments": {"task_id": NOBODY, "terminate": True}},
    "hello": {"method": "hello", "arguments": {"from_node": "x", "revoked": {NOBODY: 1}}},
    "a file": {"method": "objgraph", "arguments": {"num": 1}},
    "settings": {"method": "conf"},
    "an expression without an end": {"method": "ping", "pattern": "((.|.)*)*" * 5 + "!", "matcher": "pcre"},
    "an answer into a queue of work": {
        "method": "ping",
        "reply_to": {"exchange": "taskmanager", "routing_key": "task_created"},
    },
    "places that are none": {"method": "ping", "destination": {"a": 1}},
    "a method that is none": {"method": ["ping"]},
    "no method": {},
    "no JSON": b"{{{",
    "a list": b"[1]",
    "no text": b"\xff\x80\x04.",
}


def test_remote_control_is_for_questions_alone(deployment: Deployment) -> None:
    for command in COMMANDS.values():
        body = command if isinstance(command, bytes) else json.dumps({"arguments": {}, **command}).encode()
        forging.publish(deployment.broker_url, plain(body), exchange="celery.pidbox")
    far = Forged(b"{}", properties(headers=table(t=forging.FAR)))
    forging.publish(deployment.broker_url, far, exchange="celery.pidbox")
    work_goes_on(deployment)
    asking = Celery(broker=deployment.broker_url, set_as_current=False)
    eventually(lambda: len(asking.control.ping(timeout=5.0) or []) == 2, message="worker and notifier answer")
