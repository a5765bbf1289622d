"""Faults of our own processes: killed, stopped, frozen, ended by what they work on, replaced, or with another clock."""

import contextlib
import os
import signal
import time
from datetime import datetime, timedelta, timezone

from tests.chaos.run import Case
from tests.chaos.stage import LEASE_SECONDS, Deployed
from tests.servers import Role
from tests.services import packages
from tests.services.processes import eventually


def web_killed(stage: Deployed) -> None:
    for _ in range(3):
        stage.kill(stage.deployment.web)
        stage.pause(1)


def web_killed_before_publishing(stage: Deployed) -> None:
    """Rows that were committed and never published: the broker answers nobody until their web is dead."""
    stage.services.rabbitmq.pause()
    try:
        for _ in range(10):
            stage.load.submit({"payload": {"message": "committed"}}, sort="short")
        stage.end(stage.deployment.web, signal.SIGKILL)
    finally:
        stage.services.rabbitmq.resume()
    stage.wait_until_back(stage.deployment.web)


def live_killed(stage: Deployed) -> None:
    for _ in range(2):
        stage.kill(stage.deployment.live)


def worker_killed(stage: Deployed) -> None:
    for _ in range(3):
        stage.kill(stage.deployment.worker)
        stage.pause(1.5)


def worker_stopped(stage: Deployed) -> None:
    """SIGTERM while tasks run: they end, or are done again by the next one."""
    for _ in range(2):
        worker = stage.deployment.worker
        stage.end(worker, signal.SIGTERM)
        stage.wait_until_back(worker)
        stage.pause(1)


def worker_quit(stage: Deployed) -> None:
    """SIGQUIT, Celery's cold shutdown."""
    worker = stage.deployment.worker
    stage.end(worker, signal.SIGQUIT)
    stage.wait_until_back(worker)


def child_killed(stage: Deployed, *, times: int = 20) -> None:
    """A process of the pool, again and again, whichever it is."""
    for _ in range(times):
        children = eventually(stage.children, message="the worker has no children")
        with contextlib.suppress(ProcessLookupError):
            os.kill(stage.random.choice(children), signal.SIGKILL)
        stage.pause(0.5)


def child_killed_five_times(stage: Deployed) -> None:
    child_killed(stage, times=5)


def notifier_killed(stage: Deployed) -> None:
    for _ in range(3):
        stage.kill(stage.deployment.notifier)
        stage.pause(1)


def notifier_killed_during_requests(stage: Deployed) -> None:
    """After the request was sent, before its answer was written down: such a webhook comes twice."""
    stage.hooks.delay = 1.0
    stage.pause(3)
    stage.kill(stage.deployment.notifier)
    stage.hooks.delay = 0.0


def worker_frozen(stage: Deployed) -> None:
    """SIGSTOP for longer than the lease, then SIGCONT: what it held was done by nobody, or by itself after all."""
    stage.deployment.worker.pause()
    stage.pause(LEASE_SECONDS + 3)
    stage.deployment.worker.resume()


def worker_frozen_beside_another(stage: Deployed) -> None:
    """What the frozen one held is done by the other; when it wakes up it may settle nothing of it."""
    other = stage.deployment.extra("worker")
    with other:
        stage.deployment.worker.pause()
        try:
            stage.pause(LEASE_SECONDS + 4)
        finally:
            stage.deployment.worker.resume()
        stage.pause(2)


def child_frozen(stage: Deployed) -> None:
    """One process of the pool in the midst of a task, for longer than the lease."""
    for _ in range(4):
        stage.load.submit({"payload": {"message": "held", "seconds": 3}}, sort="long")
    stage.pause(1)
    frozen = stage.random.sample(eventually(stage.children), 2)
    for child in frozen:
        os.kill(child, signal.SIGSTOP)
    stage.pause(LEASE_SECONDS + 3)
    for child in frozen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGCONT)
    stage.pause(1)


def poison(stage: Deployed) -> None:
    """Tasks that kill the process they run in, or its parent: they fail once their attempts are used up."""
    for whom in ("child", "child", "main"):
        stage.load.submit({"kind": "chaos_poison", "payload": {"whom": whom}}, sort="poison")

    def dead() -> bool:
        return not stage.rows("SELECT 1 FROM tasks_app_task WHERE kind = 'chaos_poison' AND finished_at IS NULL")

    eventually(dead, interval=0.5, message="the poison lives on")
    ends = "SELECT DISTINCT error_code, attempt - attempts_uncounted FROM tasks_app_task WHERE kind = 'chaos_poison'"
    attempts = stage.rows(ends)
    assert attempts == [("worker_lost", 3)], attempts


def time_limit(stage: Deployed) -> None:
    """Handlers that hang and heed nothing: their time is over after a second."""
    for _ in range(6):
        stage.load.submit({"kind": "bad_lock", "payload": {"seconds": 8}}, sort="poison")
    stage.pause(4)


def deploy(stage: Deployed) -> None:
    """Each role stops and starts once, in the order in which a rolling update takes them."""
    for role in stage.deployment.roles:
        with stage.supervisor.hands_off(role):
            role.restart()


def _clock(stage: Deployed, seconds: int) -> None:
    """A second worker, whose clock jumps in the midst of its work; the other one has the right time."""
    file = stage.deployment.directory / "clock"
    file.write_text("+0\n")
    packages.ensure("faketime")
    [library] = {str(path) for path in packages.libraries("faketime/libfaketime.so.1")}
    other = stage.deployment.extra("worker", LD_PRELOAD=library, FAKETIME_TIMESTAMP_FILE=str(file), FAKETIME_NO_CACHE="1",
                                   FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1")  # fmt: skip
    with other:
        stage.pause(2)
        file.write_text(f"{seconds:+d}\n")
        _assert_jumped(other, seconds)
        stage.pause(LEASE_SECONDS)
        file.write_text("+0\n")
        stage.pause(2)


def _assert_jumped(role: Role, seconds: int) -> None:
    """From the time that its log gives."""

    def jumped() -> bool:
        lines = [line for line in role.printed.splitlines() if "Processed task_id=" in line]
        if not lines:
            return False
        shown = datetime.strptime(lines[-1][:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
        return abs(shown - datetime.now(timezone.utc) - timedelta(seconds=seconds)) < timedelta(seconds=30)

    eventually(jumped, interval=0.2, message="the clock did not jump, or the worker does nothing")


def clock_ahead(stage: Deployed) -> None:
    _clock(stage, 600)


def clock_behind(stage: Deployed) -> None:
    _clock(stage, -600)


def everything(stage: Deployed) -> None:
    """One after the other, in one run."""
    services = stage.services
    child_killed(stage, times=3)
    stage.kill(stage.deployment.worker)
    services.rabbitmq.restart()
    services.postgres.restart()
    stage.kill(stage.deployment.notifier)
    services.rabbitmq.set_memory_alarm(True)
    time.sleep(8)
    services.rabbitmq.set_memory_alarm(False)
    stage.kill(stage.deployment.web)
    services.redis.restart()
    worker_frozen(stage)
    services.rabbitmq.kill()
    services.rabbitmq.start()
    services.postgres.stop("immediate")
    services.postgres.start()


CASES = {
    "web_killed": Case(fault=web_killed),
    "web_killed_before_publishing": Case(fault=web_killed_before_publishing),
    "live_killed": Case(fault=live_killed),
    "worker_killed": Case(fault=worker_killed),
    "worker_stopped": Case(fault=worker_stopped),
    "worker_quit": Case(fault=worker_quit),
    "child_killed_20_times": Case(fault=child_killed),
    "child_killed": Case(fault=child_killed_five_times),
    "notifier_killed": Case(fault=notifier_killed),
    "notifier_killed_in_requests": Case(fault=notifier_killed_during_requests),
    "worker_frozen": Case(fault=worker_frozen),
    "worker_frozen_beside_another": Case(fault=worker_frozen_beside_another),
    "child_frozen": Case(fault=child_frozen),
    "poison": Case(fault=poison),
    "time_limit": Case(fault=time_limit),
    "deploy": Case(fault=deploy),
    "clock_ahead": Case(fault=clock_ahead),
    "clock_behind": Case(fault=clock_behind),
    "everything": Case(fault=everything),
}
