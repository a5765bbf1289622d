"""The role `web` under granian: the event loop deals with clients, WEB_THREADS threads with Django.

A request is handed to a thread once its body has arrived, and an answer leaves by the loop: a client that sends or reads
slowly, or not at all, holds a few kilobytes and no thread. Django runs by WSGI (taskmanager/wsgi.py), so that each thread
keeps its connection to the database. docs/decisions/0018-slow-clients.md has the alternatives and their cost.
"""

import asyncio
import contextlib
import io
import logging
import queue
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpResponse

from taskmanager import wsgi
from tasks_app.api import bodies, errors

logger = logging.getLogger(__name__)

PIECE_BYTES = 65_536
"""Of an answer, on its way to one client: the next piece is made when this one has left. Each has REQUEST_SECONDS."""
MAX_BUFFERED_BYTES = 67_108_864
"""Bodies of unfinished requests in one process. Above it 503: memory must not grow with the number of clients."""

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")


class ClientGone(Exception):
    """The client closed its connection, or stopped reading."""


class Threads:
    """A fixed number of threads, started at first use and never ended: each keeps its database connection."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._work: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]] = (
            queue.SimpleQueue()
        )
        self._started = False

    def call(self, function: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        """From the event loop: the function's result, once a thread was free for it."""
        if not self._started:
            self._started = True
            for number in range(self._count):
                threading.Thread(target=self._run, name=f"web-{number}", daemon=True).start()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._work.put((future, function, arguments))
        return future

    def _run(self) -> None:
        while True:
            future, function, arguments = self._work.get()
            result, error = None, None
            try:
                result = function(*arguments)
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():  # given up
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class Answer:
    """What Django answered: status, headers, and pieces of the body. `next` and `close` belong into a thread."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self._response: Any = wsgi.application(environ, self._start)
        self._parts: Iterator[bytes] = iter(self._response)
        # A known length means that all of it is there already: small parts go together.
        self._gather = any(name == b"content-length" for name, _ in self.headers)
        try:
            self.first = self.next()
        except BaseException:
            self.close()
            raise
        self.is_whole = not getattr(self._response, "streaming", True) and len(self.first) <= PIECE_BYTES
        if self.is_whole:
            self.close()

    def _start(self, status: str, headers: list[tuple[str, str]], *_: Any) -> Callable[[bytes], object]:
        self.status = int(status[:3])
        self.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return _write

    def next(self) -> bytes:
        """The next piece, empty after the last."""
        found: list[bytes] = []
        size = 0
        for part in self._parts:
            found.append(part)
            size += len(part)
            if size and (size >= PIECE_BYTES or not self._gather):
                break
        return b"".join(found)

    def close(self) -> None:
        self._response.close()


def _write(_: bytes) -> object:
    raise NotImplementedError("Django answers with an iterable")


threads = Threads(settings.WEB_THREADS)


class Buffered:
    """Bytes of bodies held at the moment. Only the event loop changes it."""

    bytes = 0


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """One request (ASGI, `http` only)."""
    environ = _environ(scope)
    held = 0
    try:
        if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
            body = await _body(environ, receive)
            if isinstance(body, HttpResponse):
                await _say(body, send)
                return
            held = len(body)
            Buffered.bytes += held
            environ["wsgi.input"] = io.BytesIO(body)
        answer = await threads.call(Answer, environ)
        if answer.is_whole:
            await _send(answer, answer.first, send)
        else:
            await _stream(answer, send)
    except ClientGone:
        pass
    finally:
        Buffered.bytes -= held


_BASE: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def _environ(scope: Scope) -> dict[str, Any]:
    """As PEP 3333 has it. A name with an underscore is dropped: X_Forwarded_For would pass for X-Forwarded-For."""
    server, client = scope["server"], scope["client"]
    environ = {
        **_BASE,
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": scope["path"].encode(errors="replace").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(),
    }
    for raw, value in scope["headers"]:
        if b"_" in raw:
            continue
        key = raw.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        text = value.decode("latin-1")
        if key in environ:
            text = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{text}"
        environ[key] = text
    return environ


async def _body(environ: dict[str, Any], receive: Receive) -> "bytes | HttpResponse":
    """All of it, or the answer to one that does not arrive. Of one that is too large: enough to be seen as that."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
    announced = environ.get("CONTENT_LENGTH", "")
    if announced.isdecimal() and int(announced) >= limit and "HTTP_EXPECT" in environ:
        return errors.body_too_large()  # it waits to be asked for, and is not
    task = asyncio.current_task()
    assert task is not None
    # Nobody else cancels it; asyncio.wait_for would make a task of its own for each request.
    timer = asyncio.get_running_loop().call_later(settings.REQUEST_SECONDS, task.cancel)
    parts: list[bytes] = []
    kept = total = 0
    try:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            total += len(part)
            if kept < limit:
                parts.append(part[: limit - kept])
                kept += len(parts[-1])
                Buffered.bytes += len(parts[-1])
            if not message.get("more_body"):
                break
            if Buffered.bytes > MAX_BUFFERED_BYTES:
                return errors.too_busy()
            if total > bodies.MAX_DISCARDED_BYTES:
                return errors.body_too_large()
    except asyncio.CancelledError:
        return errors.body_too_slow(seconds=settings.REQUEST_SECONDS)
    finally:
        timer.cancel()
        Buffered.bytes -= kept
    environ["CONTENT_LENGTH"] = str(kept)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return b"".join(parts)


async def _say(response: HttpResponse, send: Send) -> None:
    """An answer to a request that was not read to its end: nothing can follow on this connection."""
    body = response.content
    headers = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _send(answer: Answer, body: bytes, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _stream(answer: Answer, send: Send) -> None:
    """Piece by piece, each made in a thread when the one before has left. A client that takes none is given up."""
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        piece = answer.first
        while piece:
            for start in range(0, len(piece), PIECE_BYTES):
                message = {"type": "http.response.body", "body": piece[start : start + PIECE_BYTES], "more_body": True}
                try:
                    await asyncio.wait_for(send(message), settings.REQUEST_SECONDS)
                except asyncio.TimeoutError:
                    raise ClientGone from None
            piece = await threads.call(answer.next)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        await threads.call(answer.close)
