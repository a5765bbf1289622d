"""`/ws` and the socket of the pages: garbage, floods, and addresses that ask for what is another's."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.contracts.clients import LATER, handshake_status
from tests.security.hostile.world import SECRET, World
from tests.services.processes import PATIENCE, eventually

QUERIES = [
    "since=x", "since=-1", "since=1.5", "since=1e3", "since=NaN", "since=" + "9" * 30, "since=" + "9" * 5000, "since=%00",
    "since=%FF", "since=%D9%A3", "since=1_000", "since=%201", "since=1;DROP TABLE x", "task_id=x", "task_id=%00", "task_id=7",
    "task_id=' OR 1=1--", "task_id={{7*7}}", "task_id=" + "x" * 5000, "since=1&task_id=none", "since=x&since=1",
    "task_id=../../admin", "task_id=*", "since=0x10", "since=+1", "task_id=%E2%80%AE",
]  # fmt: skip


@contextmanager
def _open(world: World, path: str, *, who: str = "alice") -> Iterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {world.people[who]['token']}"}
    if path.startswith("/ws/dashboard"):
        headers = {"Cookie": f"{world.server.api.cookie('sessionid')}={world.people[who]['session']}"}
    url = world.server.ws_url + path
    with connect(url, proxy=None, open_timeout=PATIENCE, additional_headers=headers, max_size=None) as socket:
        yield socket


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:30])
def test_a_query_that_makes_no_sense_opens_nothing(world: World, query: str) -> None:
    headers = {"Authorization": f"Bearer {world.people['alice']['token']}"}
    assert handshake_status(world.server, f"/ws?{query}".replace(" ", "%20"), **headers) == 403


BEARERS = ["Bearer", "Bearer x", "Bearer tm_" + "A" * 43, "Basic YTpi", "Bearer \x80", "x" * 5000, "Bearer ' OR 1=1--"]


@pytest.mark.parametrize("text", BEARERS, ids=lambda text: ascii(text)[:24])
def test_credentials_that_are_none_open_nothing(world: World, text: str) -> None:
    assert handshake_status(world.server, "/ws", Authorization=text) == 403


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "sessionid"])
def test_a_token_in_the_address_opens_nothing(world: World, name: str) -> None:
    """It would stand in the logs of every proxy."""
    assert handshake_status(world.server, f"/ws?{name}={world.people['alice']['token']}") == 403


@pytest.fixture(scope="module")
def neighbour(world: World) -> Iterator[ClientConnection]:
    """A socket of alice's that only listens, through all of it."""
    with _open(world, "/ws") as socket:
        yield socket


@pytest.fixture(scope="module")
def theirs(world: World) -> Iterator[str]:
    """The id of a task of bob's that changes."""
    fields = {"title": SECRET, "run_at": LATER}
    task_id = world.call("POST", "/api/v1/tasks", who="bob", json=fields).json()["id"]
    yield task_id
    world.remove(task_id)


def _change(world: World, task_id: str) -> None:
    for priority in (1, 2):
        answer = world.call("PATCH", f"/api/v1/tasks/{task_id}", who="bob", json={"priority": priority})
        assert answer.status_code == 200


def _hears(world: World, socket: ClientConnection, text: str = "") -> None:
    """The socket is told of a task of its own, and until then of nothing else than its own."""
    made = world.call("POST", "/api/v1/tasks", json={"title": f"Heard {text}", "run_at": LATER}).json()
    until = time.monotonic() + PATIENCE
    frame: dict[str, Any] = {}
    while frame.get("task_id") != made["id"]:
        told = socket.recv(timeout=max(0.1, until - time.monotonic()))
        assert SECRET not in str(told)
        frame = json.loads(told)
    world.remove(made["id"])


@pytest.mark.parametrize(
    "query", ["since=0", "since=0&task_id={theirs}", "task_id={theirs}", "since=1&task_id={THEIRS}"]
)
def test_what_is_anothers_is_neither_replayed_nor_told(world: World, theirs: str, query: str) -> None:
    with _open(world, "/ws?" + query.format(theirs=theirs, THEIRS=theirs.upper())) as socket:
        _change(world, theirs)
        if "task_id" not in query:
            _hears(world, socket)
        else:
            with pytest.raises(TimeoutError):
                socket.recv(timeout=0.5)


GARBAGE: dict[str, str | bytes] = {
    "nothing": "", "text": "hello", "binary": b"\x00\xff" * 500, "empty binary": b"", "object": "{}", "list": "[]",
    "null": "null", "number": "7", "NUL": "\0", "deep": "[" * 19_000, "SQL": "' OR 1=1--", "markup": "<script>alert(1)</script>",
    "event": '{"type": "tasks.changed", "items": []}', "group": '{"type": "group_add", "group": "tasks"}', "long": "x" * 500_000,
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
def test_ws_hears_nothing_of_what_it_is_told(world: World, neighbour: ClientConnection, name: str) -> None:
    with _open(world, "/ws") as socket:
        for _ in range(5):
            socket.send(GARBAGE[name])
        _hears(world, socket, name)
    _hears(world, neighbour, name)


KEY = "00000000-0000-7000-8000-000000000001"
VIEWS: dict[str, Any] = {
    "no filter": {"shown": {}, "floor": ""}, "no floor": {"shown": {}, "query": ""},
    "nothing shown": {"query": "", "floor": ""},
    "list shown": {"shown": [KEY], "query": "", "floor": ""}, "text shown": {"shown": "x", "query": "", "floor": ""},
    "no id": {"shown": {"x": 1}, "query": "", "floor": ""}, "SQL": {"shown": {"' OR 1=1--": 1}, "query": "", "floor": ""},
    "version text": {"shown": {KEY: "x"}, "query": "", "floor": ""},
    "version null": {"shown": {KEY: None}, "query": "", "floor": ""},
    "version list": {"shown": {KEY: [1]}, "query": "", "floor": ""}, "floor number": {"shown": {}, "query": "", "floor": 7},
    "floor text": {"shown": {}, "query": "", "floor": "x"}, "floor list": {"shown": {}, "query": "", "floor": [KEY]},
    "status unknown": {"shown": {}, "query": "status=done", "floor": ""},
    "query list": {"shown": {}, "query": ["DONE"], "floor": ""},
    "query object": {"shown": {}, "query": {"a": 1}, "floor": ""}, "query null": {"shown": {}, "query": None, "floor": ""},
    "path too deep": {"shown": {}, "query": "payload.a.b.c.d.e.f=1", "floor": ""},
    "path of SQL": {"shown": {}, "query": "payload.a'--=1", "floor": ""},
    "201 shown": {"shown": {f"{number:032x}": 1 for number in range(201)}, "query": "", "floor": ""},
}  # fmt: skip
NO_VIEWS = {
    **GARBAGE,
    **{name: json.dumps(view) for name, view in VIEWS.items()},
    "1e400": f'{{"shown": {{"{KEY}": 1e400}}}}',
}


@pytest.mark.parametrize("name", NO_VIEWS)
def test_the_pages_socket_closes_on_what_is_no_view(world: World, name: str) -> None:
    with _open(world, "/ws/dashboard") as socket:
        socket.send(NO_VIEWS[name])
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                assert SECRET not in str(socket.recv(timeout=PATIENCE))
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400


@pytest.mark.parametrize(
    "text", ["x", "%00", "7", "' OR 1=1--", "x" * 5000, "{{7*7}}", "%FF"], ids=lambda text: text[:20]
)
def test_the_pages_socket_of_no_task_is_closed(world: World, text: str) -> None:
    with _open(world, f"/ws/dashboard?task={text}".replace(" ", "%20")) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400


@pytest.mark.parametrize("how", ["list", "one"])
def test_the_pages_socket_shows_nothing_of_anothers_task(world: World, theirs: str, how: str) -> None:
    """Neither a page that says it has the row already, nor the page of that one task."""
    told: list[str] = []
    with _open(world, "/ws/dashboard" + (f"?task={theirs}" if how == "one" else "")) as socket:
        if how == "list":
            socket.send(json.dumps({"shown": {theirs: 0}, "query": "", "floor": ""}))
        _change(world, theirs)
        until = time.monotonic() + 2.5
        with suppress(TimeoutError):
            while True:
                told.append(str(socket.recv(timeout=max(0.0, until - time.monotonic()))))
    assert not [text for text in told if SECRET in text]
    assert told.count("changed") <= (how == "one"), "once at the start, since the page may be old; never for a change"


FLOODS = {
    "/ws": "x" * 100, "/ws?since=0": '{"since": 0}',
    "/ws/dashboard": json.dumps({"shown": {KEY: 1}, "query": "", "floor": ""}),
}  # fmt: skip


@pytest.mark.parametrize("path", FLOODS)
def test_a_flood_keeps_nobody_waiting_until_it_ends(world: World, neighbour: ClientConnection, path: str) -> None:
    sent, over = list[int](), threading.Event()

    def flood() -> None:
        while not over.is_set():
            with suppress(ConnectionClosed), _open(world, path) as socket:
                while not over.is_set():
                    socket.send(FLOODS[path])
                    sent.append(1)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        eventually(lambda: len(sent) >= 5000)
        assert world.call("GET", "/api/v1/tasks?limit=1").status_code == 200
        _hears(world, neighbour)
        before = len(sent)
        eventually(lambda: len(sent) > before, message="it had ended")
    finally:
        over.set()
        thread.join(PATIENCE)


def test_a_flood_of_sockets_leaves_room_for_others(world: World, neighbour: ClientConnection) -> None:
    with ExitStack() as opened:
        for _ in range(60):
            opened.enter_context(_open(world, "/ws"))
        _hears(world, neighbour)
    for _ in range(60):
        assert handshake_status(world.server, "/ws", Authorization="Bearer x") == 403
    _hears(world, neighbour)
