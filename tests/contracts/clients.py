"""Clients of other makes than ours: a socket that keeps all frames, a verifier, queues and channels read from outside."""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import groupby
from typing import Any, TypeAlias

import redis
import requests
from kombu import Connection, Exchange, Queue
from standardwebhooks.webhooks import Webhook
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.servers import MANAGE, ROOT, WEBHOOK_SECRET, Deployment, Role, Standalone
from tests.services.processes import PATIENCE, eventually
from tests.services.receiver import Receiver, Request

Server: TypeAlias = Standalone | Deployment
JSON: TypeAlias = dict[str, Any]

LATER = (datetime.now(timezone.utc) + timedelta(days=30)).isoformat()
"""A `run_at` that keeps a task PENDING."""


class Watcher:
    """Keeps every frame of one socket, in order of arrival."""

    def __init__(self, server: Server, query: str = "", **options: Any) -> None:
        self._connect = connect(f"{server.ws_url}/ws{query}", proxy=None, open_timeout=PATIENCE, **options)
        self.frames: list[JSON] = []
        self.texts: list[str | bytes] = []

    def __enter__(self) -> "Watcher":
        self.socket = self._connect.__enter__()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._connect.__exit__(None, None, None)
        self._thread.join(PATIENCE)

    def of(self, task_id: str) -> list[JSON]:
        """The frames of one task."""
        return [frame for frame in self.frames if frame.get("task_id") == task_id]

    def wait_for(self, task_id: str, status: str) -> list[JSON]:
        """The frames of one task, once the last one says this."""

        def reached() -> list[JSON]:
            frames = self.of(task_id)
            return frames if frames and frames[-1]["status"] == status else []

        return eventually(reached, message=f"no frame {status} of {task_id}")

    def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            for text in self.socket:
                self.texts.append(text)
                self.frames.append(json.loads(text))


def statuses(frames: list[JSON]) -> list[str]:
    """The statuses one after the other, each once."""
    return [status for status, _ in groupby(frame["status"] for frame in frames)]


def versions(frames: list[JSON]) -> list[int]:
    return [frame["version"] for frame in frames]


def handshake_status(server: Server | Role, path: str = "/ws", **headers: str) -> int:
    """What a plain HTTP client sees of a WebSocket handshake: 101, or why not."""
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    url = server.ws_url.replace("ws://", "http://") + path
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(url, headers={**upgrade, **headers}, timeout=PATIENCE, stream=True)
        answer.close()
        return answer.status_code


def about(task_id: str) -> Callable[[Request], bool]:
    """Whether a webhook is about this task."""
    return lambda request: task_id.encode() in request.body


def webhook(hooks: Receiver, task_id: str, *, count: int = 1) -> JSON:
    """The body of the latest of `count` webhooks about a task, its signature verified by the public library."""
    found = hooks.wait_for(count, where=about(task_id))
    assert len(found) == count
    return verified(found[-1])


def verified(request: Request, secret: str = WEBHOOK_SECRET) -> JSON:
    """The body of a webhook. Raises if the signature does not hold."""
    body: JSON = Webhook(secret).verify(request.body, dict(request.headers))
    return body


def management(deployment: Deployment, path: str, *, method: str = "GET", **options: Any) -> Any:
    """RabbitMQ's own account, from its management API."""
    url = f"{deployment.services.rabbitmq.management_url}/api/{path}"
    answer = requests.request(method, url, auth=("guest", "guest"), timeout=PATIENCE, **options)
    answer.raise_for_status()
    return answer.json()


@contextlib.contextmanager
def bound(
    deployment: Deployment, routing_key: str, *, exchange: str = "task.topic"
) -> Iterator[Callable[[], list[JSON]]]:
    """A queue of one's own on a topic exchange, as another service has it; yields what takes all its messages so far."""
    with Connection(deployment.broker_url) as connection:
        topic = Exchange(exchange, type="topic", durable=True, passive=True)
        queue = Queue("", topic, routing_key=routing_key, exclusive=True, auto_delete=True, durable=False)
        mine: Any = queue(connection.default_channel)
        mine.declare()

        def take() -> list[JSON]:
            found = []
            while (message := mine.get(no_ack=True)) is not None:
                assert message.content_type == "application/json"
                found.append(json.loads(message.body))
            return found

        yield take


@contextlib.contextmanager
def subscribed(deployment: Deployment, channel: str) -> Iterator[Callable[[], list[JSON]]]:
    """A plain Redis client on a channel; yields what takes all its messages so far."""
    with redis.Redis.from_url(deployment.services.redis.url) as client, client.pubsub() as pubsub:
        pubsub.subscribe(channel)
        assert eventually(lambda: pubsub.get_message(timeout=1))["type"] == "subscribe"

        def take() -> list[JSON]:
            found = []
            while (message := pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)) is not None:
                found.append(json.loads(message["data"]))
            return found

        yield take


def run_in_shell(server: Server, code: str) -> str:
    """Runs Python inside the project, beside the server, and returns what it printed."""
    environment = dict(server.environment or {})
    done = subprocess.run(
        [*MANAGE, "shell", "--no-imports", "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def cancel(server: Server, task_id: str) -> None:
    """Somebody cancels the task, by our own API: the earlier systems had no call for it."""
    assert server.api.call("POST", f"/api/v1/tasks/{task_id}/cancel", json={}).status_code in (200, 202)


def logs(server: Server) -> str:
    """What all processes of a server printed."""
    processes = [server] if isinstance(server, Standalone) else server.roles
    return "\n".join(process.log.read_text(errors="replace") for process in processes)


def is_problem(answer: requests.Response, status: int) -> JSON:
    """Asserts a problem document (RFC 9457) that also has the `error` of the earlier systems; returns it."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: JSON = answer.json()
    assert body["status"] == status
    for name in ("type", "title", "detail", "code", "error"):
        assert isinstance(body[name], str) and body[name], name
    return body


def pid_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
