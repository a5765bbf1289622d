"""`manage.py webhook_receiver` as a process: what it says, takes and refuses."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from notifications.signing import new_secret
from tests.notifications.test_local_receiver import post
from tests.servers import CLEAN, MANAGE, ROOT, WEBHOOK_SECRET
from tests.services.processes import PATIENCE, ManagedProcess, eventually, free_port

pytestmark = pytest.mark.anywhere


@contextlib.contextmanager
def running(directory: Path, *arguments: str, **environment: str) -> Iterator[tuple[ManagedProcess, str]]:
    port = free_port()
    process: Any = ManagedProcess(
        "receiver", [*MANAGE, "webhook_receiver", "--port", str(port), *arguments],
        directory=directory, environment={**CLEAN, "DATA_DIR": str(directory / "data"), **environment},
        working_directory=ROOT, stop_signal=signal.SIGINT, ready=lambda: "Signatures" in process.log.read_text(),
    )  # fmt: skip
    process.start()
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.stop()


def test_the_command_says_how_to_use_it_verifies_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with running(tmp_path, "--fail-first", "1", WEBHOOK_URL_SECRET=WEBHOOK_SECRET) as (process, url):
        assert [post(url, WEBHOOK_SECRET).status for _ in range(2)] == [500, 200]
        assert post(url, new_secret(), webhook_id="evt_2").status == 500
        process.send_signal(signal.SIGINT)
        eventually(lambda: not process.is_running(), interval=0.01)
        assert process.returncode == 0
    said = process.log.read_text()
    assert f"Listening on {url}, any path." in said
    assert f"WEBHOOK_URL={url}/hook make run" in said
    assert "Signatures are checked with WEBHOOK_URL_SECRET." in said
    assert "evt_1  valid (key 1)  attempt 2  → 500" in said
    assert "evt_1  valid (key 1)  attempt 2  repeat  → 200" in said
    assert "evt_2  INVALID: No signature matches" in said
    assert '    "title": "é"' in said
    assert WEBHOOK_SECRET not in said and "Traceback" not in said


def test_the_command_takes_a_secret_of_its_own_and_can_be_quiet(tmp_path: Path) -> None:
    first, second = new_secret(), new_secret()
    with running(tmp_path, "--secret", first, "--secret", second, "--quiet") as (process, url):
        assert post(url, second).status == 200
    said = process.log.read_text()
    assert "valid (key 2)" in said and "checked with --secret" in said
    assert "title" not in said and second not in said


def test_without_any_secret_the_command_says_that_it_checks_nothing(tmp_path: Path) -> None:
    environment = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "SECRET_KEY": "k" * 60}
    with running(tmp_path, **environment) as (process, url):
        assert post(url, new_secret()).status == 200
    assert "not checked: there is neither --secret nor WEBHOOK_URL_SECRET." in process.log.read_text()


def test_the_command_refuses_a_taken_port_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*MANAGE, "webhook_receiver", "--port", port], env={**CLEAN, "DATA_DIR": str(tmp_path)}, cwd=ROOT,
            capture_output=True, text=True, timeout=PATIENCE,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"Port {port} of 127.0.0.1 is taken." in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--port=70000", "--port is from 0 to 65535."),
        ("--status=99", "--status is from 200 to 599."),
        ("--delay=nan", "--delay is from 0 to 3600."),
        ("--fail-first=-1", "--fail-first is from 0 to 1000."),
        ("--secret=whsec_x", "--secret: What follows 'whsec_' must be standard, padded base64."),
    ],
)
def test_the_command_refuses_what_makes_no_sense_with_a_sentence(argument: str, sentence: str) -> None:
    with pytest.raises(CommandError) as refusal:
        call_command("webhook_receiver", argument)
    assert str(refusal.value) == sentence
