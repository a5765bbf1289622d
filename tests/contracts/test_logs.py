"""Logs on stdout show each task received, processed and notified, with its id and title (CONTRACTS, 1 and 2)."""

import re
from typing import Any

import pytest

from tests.contracts.clients import Server, logs, webhook
from tests.servers import Standalone, told
from tests.services.processes import eventually
from tests.services.receiver import Receiver


def _lines(server: Server, task_id: str, *words: str) -> list[str]:
    """The lines about a task that hold these words."""
    found = [line for line in logs(server).splitlines() if task_id in line]
    return [line for line in found if all(word in line for word in words)]


@pytest.mark.parametrize("word", ["Received", "Processed", "Notified"])
def test_a_task_is_logged_as_received_processed_and_notified(server: Server, hooks: Receiver, word: str) -> None:
    task_id = server.api.submit("Buy »milk«")["id"]
    webhook(hooks, task_id)
    eventually(lambda: _lines(server, task_id, f" {word} ", "Buy »milk«"), message=f"{word} with id and title")


@pytest.mark.parametrize(("payload", "state"), [({"message": "x", "seconds": 0.3}, "succeed"), ({}, "fail")])
def test_the_worker_logs_task_id_state_and_duration(server: Server, payload: dict[str, Any], state: str) -> None:
    task_id = server.api.submit(payload=payload)["id"]
    server.api.wait(task_id)
    [line] = eventually(lambda: _lines(server, task_id, "Processed"))
    assert f"task_id={task_id}" in line and f"outcome={state}" in line
    duration = re.search(r"duration=([0-9.]+)s", line)
    assert duration and float(duration[1]) >= (0.3 if state == "succeed" else 0)


def test_a_title_cannot_forge_a_line(server: Server) -> None:
    task_id = server.api.submit("x\n2026-01-01 INFO Processed task_id=forged\x1b[2J")["id"]
    server.api.wait(task_id)
    eventually(lambda: _lines(server, task_id, "Processed"))
    assert not [line for line in logs(server).splitlines() if line.startswith("2026-01-01 INFO Processed")]
    assert "\x1b" not in logs(server)


def test_the_log_is_on_stdout(hooks: Receiver) -> None:
    server = Standalone(**told(hooks))
    server.command = ["/bin/sh", "-c", 'exec "$@" 2>/dev/null', "sh", *server.command]
    with server:
        task_id = server.api.submit("Out")["id"]
        webhook(hooks, task_id)
        eventually(lambda: len(_lines(server, task_id, "title='Out'")) == 3)
