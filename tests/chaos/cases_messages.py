"""Messages that come too often, in the wrong order, or for nothing; and sweeps without end."""

import json
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from kombu import Connection, Producer

from tests.chaos.run import Case
from tests.chaos.stage import Deployed
from tests.servers import MANAGE, ROOT
from tests.services.processes import ManagedProcess, eventually


def duplicates(stage: Deployed) -> None:
    """Each message comes three times more, for the work and for its webhook, while the first is worked on or after."""
    for _ in range(6):
        ids = list(stage.load.accepted)
        for _ in range(3):
            _send(stage, "tasks_app.process_tasks", ids)
            _send(stage, "notifications.send_webhooks", ids)
        stage.pause(1)


def out_of_order(stage: Deployed) -> None:
    """The latest task first, webhooks before their task is done, tasks whose time has not come, tasks that never were."""
    for _ in range(6):
        ids = list(stage.load.accepted)[::-1]
        strangers = [uuid.uuid4() for _ in range(10)]
        _send(stage, "notifications.send_webhooks", ids[:60])
        _send(stage, "tasks_app.process_tasks", [*strangers, *ids])
        _send(stage, "notifications.send_webhooks", strangers)
        stage.pause(1)


def _send(stage: Deployed, task: str, ids: Sequence[uuid.UUID]) -> None:
    """As Celery's protocol 2 has it, 32 ids in a message like the publisher."""
    queue = {"tasks_app": "task_created", "notifications": "task_completed"}[task.split(".")[0]]
    with Connection(stage.deployment.broker_url, transport_options={"confirm_publish": True}) as connection:
        producer = Producer(connection)
        for start in range(0, len(ids), 32):
            some = [str(one) for one in ids[start : start + 32]]
            body = json.dumps([[some], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
            headers = {"lang": "py", "task": task, "id": str(uuid.uuid4()), "retries": 0}
            producer.publish(body.encode(), exchange="taskmanager", routing_key=queue, headers=headers,
                             content_type="application/json", content_encoding="utf-8")  # fmt: skip


SWEEPING = """
import time
from django.conf import settings
from django.utils.module_loading import import_string
print("sweeping", flush=True)
while True:
    for path in settings.SWEEPS:
        import_string(path)()
    time.sleep(0.02)
"""


def many_sweeps(stage: Deployed) -> None:
    """Three more, without the lock that lets one at a time work and without a pause, while workers die."""
    sweeps = []
    for number in range(3):
        sweep = ManagedProcess(
            f"sweep-{number}", [*MANAGE, "shell", "-c", SWEEPING], environment=stage.deployment.environment,
            directory=Path(tempfile.mkdtemp(prefix="sweep-", dir=stage.deployment.directory)), working_directory=ROOT,
        )  # fmt: skip
        sweeps.append(sweep)
    try:
        for sweep in sweeps:
            sweep.launch()
        for sweep in sweeps:
            eventually(lambda sweep=sweep: "sweeping" in sweep.log_tail())  # type: ignore[misc]
        stage.kill(stage.deployment.worker)
        stage.pause(8)
        for sweep in sweeps:
            assert sweep.is_running(), f"a sweep stumbled over another: {sweep.log_tail(15)}"
            print(sweep.log_tail(1), file=sys.stderr)
    finally:
        for sweep in sweeps:
            sweep.kill()


CASES = {
    "duplicates": Case(fault=duplicates),
    "out_of_order": Case(fault=out_of_order),
    "many_sweeps": Case(fault=many_sweeps),
}
