"""Faults of PostgreSQL, RabbitMQ, Redis and of the network between them and us."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable

import requests
from websockets.sync.client import ClientConnection, connect

from tests.chaos.run import Case
from tests.chaos.stage import Deployed, Proxied
from tests.servers import make_vhost
from tests.services.processes import PATIENCE, eventually

AWAY_SECONDS = 4
SILENT_SECONDS = 12


def rabbitmq_restarted(stage: Deployed) -> None:
    stage.services.rabbitmq.stop()
    stage.pause(AWAY_SECONDS)
    stage.services.rabbitmq.start()


def rabbitmq_killed(stage: Deployed) -> None:
    stage.services.rabbitmq.kill()
    stage.pause(AWAY_SECONDS)
    stage.services.rabbitmq.start()


def rabbitmq_wiped(stage: Deployed) -> None:
    """Its data directory is gone with all queues and messages; an operator makes an empty vhost."""
    rabbitmq = stage.services.rabbitmq
    rabbitmq.kill()
    shutil.rmtree(rabbitmq.directory / "mnesia")
    rabbitmq.start()
    make_vhost(stage.services, stage.deployment.name)


def rabbitmq_frozen(stage: Deployed) -> None:
    stage.services.rabbitmq.pause()
    stage.pause(SILENT_SECONDS)
    stage.services.rabbitmq.resume()


def rabbitmq_alarmed(stage: Deployed) -> None:
    """For longer than two heartbeats."""
    stage.services.rabbitmq.set_memory_alarm(True)
    try:
        stage.pause(25)
    finally:
        stage.services.rabbitmq.set_memory_alarm(False)


def rabbitmq_alarmed_shortly(stage: Deployed) -> None:
    stage.services.rabbitmq.set_memory_alarm(True)
    try:
        stage.pause(8)
    finally:
        stage.services.rabbitmq.set_memory_alarm(False)


def queues_purged(stage: Deployed) -> None:
    for _ in range(3):
        for queue in ("task_created", "task_completed"):
            _manage(stage, "DELETE", f"queues/{stage.deployment.name}/{queue}/contents")
        stage.pause(1)


def queues_deleted(stage: Deployed) -> None:
    for queue in ("task_created", "task_completed"):
        _manage(stage, "DELETE", f"queues/{stage.deployment.name}/{queue}")
    stage.pause(2)


def next_step_unroutable(stage: Deployed) -> None:
    """Workers consume as before, but what they publish for the next step leads nowhere."""
    until = time.monotonic() + 6
    while time.monotonic() < until:  # the sweep mends it each time
        path = f"bindings/{stage.deployment.name}/e/taskmanager/q/task_completed/task_completed"
        with contextlib.suppress(requests.HTTPError):  # not there: not mended yet
            _manage(stage, "DELETE", path)
        stage.pause(0.3)


def consumer_timed_out(stage: Deployed) -> None:
    """Tasks that take longer than RabbitMQ waits for their acknowledgement: it closes the channel."""
    rabbitmq, worker = stage.services.rabbitmq, stage.deployment.worker
    rabbitmq.rabbitmqctl("eval", "application:set_env(rabbit, consumer_timeout, 4000), "
                         "application:set_env(rabbit, channel_tick_interval, 1000).")  # fmt: skip
    try:
        stage.kill(worker)  # channels take both settings when they are opened
        for _ in range(2):
            stage.load.submit({"payload": {"message": "long", "seconds": 12}}, sort="long")
        eventually(lambda: "timed out" in rabbitmq.log_tail(4000), interval=0.5, message="no time-out")
        stage.pause(4)
    finally:
        rabbitmq.rabbitmqctl("eval", "application:set_env(rabbit, consumer_timeout, 1800000), "
                             "application:set_env(rabbit, channel_tick_interval, 60000).")  # fmt: skip
        stage.kill(worker)


def postgres_restarted(stage: Deployed) -> None:
    stage.services.postgres.stop("fast")
    stage.pause(AWAY_SECONDS)
    stage.services.postgres.start()


def postgres_crashed(stage: Deployed) -> None:
    stage.services.postgres.stop("immediate")
    stage.services.postgres.start()


def postgres_killed(stage: Deployed) -> None:
    stage.services.postgres.kill()
    stage.pause(AWAY_SECONDS)
    stage.services.postgres.start()


def postgres_frozen(stage: Deployed) -> None:
    stage.services.postgres.pause()
    stage.pause(SILENT_SECONDS)
    stage.services.postgres.resume()


def redis_restarted(stage: Deployed) -> None:
    """130 sockets are open, one of which reads nothing: each hears of a task that is submitted afterwards."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(_socket(stage)) for _ in range(129)]
        stack.enter_context(_socket(stage, max_queue=1))
        stage.services.redis.stop()
        stage.pause(2)
        stage.services.redis.start()
        stage.pause(3)
        task = stage.load.submit({"payload": {"message": "seen?"}}, sort="short")
        last = time.monotonic() + PATIENCE
        deaf = [socket for socket in sockets if not _hears(socket, str(task), last=last)]
        assert not deaf, f"{len(deaf)} of {len(sockets)} sockets did not hear of a task after the restart"


def _socket(stage: Deployed, *, max_queue: int | None = None) -> ClientConnection:
    """It takes whatever comes, in a thread of its own; with `max_queue`, it stops reading after so many frames."""
    return connect(f"{stage.deployment.ws_url}/ws", proxy=None, open_timeout=PATIENCE, max_queue=max_queue)


def _hears(socket: ClientConnection, task_id: str, *, last: float) -> bool:
    with contextlib.suppress(TimeoutError):
        while (seconds := last - time.monotonic()) > 0:
            if json.loads(socket.recv(timeout=seconds)).get("task_id") == task_id:
                return True
    return False


def redis_frozen(stage: Deployed) -> None:
    stage.services.redis.pause()
    stage.pause(SILENT_SECONDS)
    stage.services.redis.resume()


def _cut(name: str) -> Callable[[Proxied], None]:
    def cut(stage: Proxied) -> None:
        stage.proxies[name].silence()
        stage.pause(SILENT_SECONDS)
        stage.proxies[name].speak()

    return cut


def _manage(stage: Deployed, method: str, path: str) -> None:
    url = f"{stage.services.rabbitmq.management_url}/api/{path}"
    requests.request(method, url, auth=("guest", "guest"), timeout=PATIENCE).raise_for_status()


CASES = {
    "rabbitmq_restarted": Case(fault=rabbitmq_restarted, post_within=2.5),
    "rabbitmq_killed": Case(fault=rabbitmq_killed, post_within=2.5),
    "rabbitmq_wiped": Case(fault=rabbitmq_wiped),
    "rabbitmq_frozen": Case(fault=rabbitmq_frozen, post_within=2.5),
    "rabbitmq_alarmed": Case(fault=rabbitmq_alarmed, post_within=2.5),
    "rabbitmq_alarmed_shortly": Case(fault=rabbitmq_alarmed_shortly, post_within=2.5),
    "queues_purged": Case(fault=queues_purged),
    "queues_deleted": Case(fault=queues_deleted),
    "next_step_unroutable": Case(fault=next_step_unroutable),
    "consumer_timed_out": Case(fault=consumer_timed_out),
    "postgres_restarted": Case(fault=postgres_restarted),
    "postgres_crashed": Case(fault=postgres_crashed),
    "postgres_killed": Case(fault=postgres_killed),
    "postgres_frozen": Case(fault=postgres_frozen),
    "redis_restarted": Case(fault=redis_restarted),
    "redis_frozen": Case(fault=redis_frozen),
    "network_to_postgres_cut": Case(fault=_cut("postgres"), stage=Proxied),
    "network_to_rabbitmq_cut": Case(fault=_cut("rabbitmq"), stage=Proxied, post_within=2.5),
    "network_to_redis_cut": Case(fault=_cut("redis"), stage=Proxied),
}
