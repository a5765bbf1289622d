"""Whoever can write to Redis: nothing runs, nothing false is shown, nobody gets a 500."""

import pickle
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
import requests
from channels_redis.serializers import MsgPackSerializer
from websockets.sync.client import connect

from tests.servers import Deployment
from tests.services.processes import PATIENCE, eventually

pytestmark = pytest.mark.services


class Executed:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture
def liar(deployment: Deployment) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(deployment.services.redis.url) as client:
        yield client


def log_in(deployment: Deployment, name: str) -> requests.Response:
    with requests.Session() as session:
        session.get(f"{deployment.url}/login/", timeout=20)
        form = {
            "username": name,
            "password": "x",
            "csrfmiddlewaretoken": session.cookies[deployment.api.cookie("csrftoken")],
        }
        return session.post(f"{deployment.url}/login/", data=form, timeout=20)


def counted(deployment: Deployment, liar: redis.Redis) -> tuple[str, list[bytes]]:
    """A name that failed to log in, and the keys of what Redis counts; none while it is not asked."""
    name = uuid.uuid4().hex
    assert log_in(deployment, name).status_code == 200
    keys = list(liar.scan_iter("taskmanager:*login*"))
    assert keys, "Redis is not asked at the moment"
    return name, keys


def test_nothing_that_lies_in_the_cache_runs_or_breaks_a_request(
    deployment: Deployment, liar: redis.Redis, tmp_path: Path
) -> None:
    executed = tmp_path / "executed"
    values: list[Any] = [
        pickle.dumps(Executed(executed)),
        b"",
        b"-1",
        b"9" * 30,
        b"9" * 19,
        b"x" * 100_000,
        b"\xff",
        "list",
        "hash",
    ]
    for value in values:
        name, keys = eventually(lambda: counted(deployment, liar), message="logins are counted in Redis")
        for key in keys:
            liar.delete(key)
            if value == "list":
                liar.rpush(key, "x")
            elif value == "hash":
                liar.hset(key, "x", "y")
            else:
                liar.set(key, value)
        assert log_in(deployment, name).status_code in (200, 429)
        assert deployment.api.call("GET", "/tasks").status_code == 200
        liar.delete(*keys)
    assert not executed.exists()
    assert "Traceback" not in deployment.web.printed


def test_the_limit_of_logins_holds_though_redis_forgets(deployment: Deployment, liar: redis.Redis) -> None:
    name, answers = uuid.uuid4().hex, []
    while 429 not in answers:
        answers.append(log_in(deployment, name).status_code)
        for key in liar.scan_iter("taskmanager:*login*"):
            liar.delete(key)
        assert len(answers) < 30, "10 a minute, and a minute may end meanwhile"


FRAME = {
    "task_id": str(uuid.uuid4()),
    "status": "DONE",
    "updated_at": "2026-01-01T00:00:00Z",
    "version": 9,
    "cursor": 9,
}
ITEM = {
    "task_id": FRAME["task_id"],
    "owner_id": None,
    "what": "succeeded",
    "status": "DONE",
    "version": 9,
    "frame": FRAME,
}
FORGED: dict[str, bytes] = {
    "nothing": b"",
    "a change": MsgPackSerializer.as_bytes({"type": "tasks.changed", "items": [ITEM]}),
    "a change behind a code": b"x" * 16 + MsgPackSerializer.as_bytes([0.0, {"type": "tasks.changed", "items": [ITEM]}]),
    "the end": MsgPackSerializer.as_bytes({"type": "websocket.disconnect", "code": 1000}),
    "a text to send": MsgPackSerializer.as_bytes({"type": "send", "text_data": "<script>"}),
    "no type": MsgPackSerializer.as_bytes({}),
    "nonsense": b"\xc1" * 1000,
    "nested": b"\x91" * 100_000,
}


def test_a_forged_announcement_reaches_nobody_and_ends_no_socket(deployment: Deployment, liar: redis.Redis) -> None:
    with connect(f"{deployment.ws_url}/ws", open_timeout=PATIENCE) as socket:
        eventually(lambda: liar.pubsub_numsub("asgi__group__tasks")[0][1])
        for data in FORGED.values():
            for channel in liar.pubsub_channels("asgi*"):
                liar.publish(channel, data)
        task = deployment.api.submit("Real", payload={"message": "x"})
        frames: list[dict[str, Any]] = []
        while not frames or frames[-1].get("status") != "DONE":
            frames.append(orjson.loads(socket.recv(timeout=PATIENCE)))
        told = [frame for frame in frames if frame != {"resync": True}]
        assert {frame["task_id"] for frame in told} == {task["task_id"]}
        assert [frame["status"] for frame in told] == ["PENDING", "PROCESSING", "DONE"]
        assert {"resync": True} in frames, "a message that nobody can believe may stand for one that was lost"
    assert deployment.live.is_running()


def test_who_loses_the_connection_for_a_moment_is_told_that_something_may_be_missing(
    deployment: Deployment, liar: redis.Redis
) -> None:
    """Redis closes a connection that much is published to; what came meanwhile is lost."""
    with connect(f"{deployment.ws_url}/ws", open_timeout=PATIENCE) as socket:
        eventually(lambda: liar.pubsub_numsub("asgi__group__tasks")[0][1])
        liar.client_kill_filter(_type="pubsub")
        while orjson.loads(socket.recv(timeout=PATIENCE)) != {"resync": True}:
            pass


def test_an_announcement_of_another_server_on_the_same_redis_is_not_believed(
    deployment: Deployment, liar: redis.Redis
) -> None:
    """Two servers of one Redis, each with its own SECRET_KEY: neither shows the other's tasks."""
    other = deployment.extra("web", SECRET_KEY="another key, " + "x" * 50)
    with other, connect(f"{deployment.ws_url}/ws", open_timeout=PATIENCE) as socket:
        eventually(lambda: liar.pubsub_numsub("asgi__group__tasks")[0][1])
        strange = other.api.submit("By the other", payload={"message": "x"})
        deployment.api.wait(strange["task_id"])
        mine = deployment.api.submit("Ours", payload={"message": "x"})
        seen: list[dict[str, Any]] = []
        while not seen or (seen[-1].get("task_id"), seen[-1].get("status")) != (mine["task_id"], "DONE"):
            seen.append(orjson.loads(socket.recv(timeout=PATIENCE)))
    assert ("PENDING", strange["task_id"]) not in {(frame.get("status"), frame.get("task_id")) for frame in seen}


def test_a_flood_of_forged_announcements_delays_and_no_more(deployment: Deployment, liar: redis.Redis) -> None:
    over = threading.Event()

    def flood() -> None:
        while not over.wait(0.001):
            liar.publish("asgi__group__tasks", FORGED["a change"])

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    try:
        with connect(f"{deployment.ws_url}/ws", open_timeout=PATIENCE) as socket:
            task = deployment.api.submit("Amid the flood", payload={"message": "x"})
            frame: dict[str, Any] = {}
            while (frame.get("task_id"), frame.get("status")) != (task["task_id"], "DONE"):
                frame = orjson.loads(socket.recv(timeout=PATIENCE))
    finally:
        over.set()
        thread.join(10)
