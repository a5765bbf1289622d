"""An HTTP server on loopback that records what it is sent and answers as it is told."""

import contextlib
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from requests.structures import CaseInsensitiveDict

from tests.services.processes import PATIENCE, free_port


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it arrived. `path` keeps its query; repeated headers are joined by commas."""

    method: str
    path: str
    headers: CaseInsensitiveDict[str]
    body: bytes
    received_at: float
    """Seconds since the epoch."""
    received_monotonic: float
    """time.monotonic(): for measuring gaps between requests."""


@dataclass(frozen=True)
class Answer:
    """What to reply after `delay` seconds; with `drop`, the connection is closed without a reply."""

    status: int = 200
    delay: float = field(default=0.0, kw_only=True)
    headers: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    body: bytes = field(default=b"", kw_only=True)
    drop: bool = field(default=False, kw_only=True)


Behaviour: TypeAlias = int | Answer | Callable[[Request], int | Answer]


class Receiver:
    """Answers 200 with an empty body until told otherwise. One thread for each connection."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._default: Behaviour = 200
        self._sequence: list[Behaviour] = []
        self._server: _Server | None = None
        self.port = free_port()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def requests(self) -> list[Request]:
        """What has arrived so far, in order of arrival."""
        with self._changed:
            return list(self._requests)

    def start(self) -> None:
        """Listen; after stop(), again on the same port."""
        if self._server is None:
            self._server = _Server(self.port, self._record)
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on; drop the open ones and the answers that wait."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def __enter__(self) -> "Receiver":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def respond(
        self,
        behaviour: Behaviour = 200,
        *,
        delay: float = 0.0,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """Answer like this from now on. A status may come with a delay, headers and a body."""
        if isinstance(behaviour, int):
            behaviour = Answer(behaviour, delay=delay, headers=headers or {}, body=body)
        elif delay or headers or body:
            raise TypeError("delay, headers and body belong to a status; put them into the Answer")
        with self._changed:
            self._default = behaviour

    def respond_in_order(self, *behaviours: Behaviour) -> None:
        """Answer the next requests like these, one each, and after them as respond() said."""
        with self._changed:
            self._sequence = list(behaviours)

    def clear(self) -> None:
        """Forget the requests and the unused part of a sequence; answer 200 again."""
        with self._changed:
            self._requests.clear()
            self._sequence.clear()
            self._default = 200

    def wait_for(
        self,
        wanted: int | Callable[[Request], bool] = 1,
        *,
        where: Callable[[Request], bool] | None = None,
        timeout: float = PATIENCE,
    ) -> list[Request]:
        """The requests, once at least `wanted` of them (that satisfy `where`) are there.

        A function instead of a number waits for one request that satisfies it.
        """
        count, matches = (wanted, where) if isinstance(wanted, int) else (1, wanted)
        deadline = time.monotonic() + timeout
        seen = 0
        found: list[Request] = []
        with self._changed:
            while True:
                arrived = self._requests[seen:]
                seen += len(arrived)
                found += [request for request in arrived if matches is None or matches(request)]
                if len(found) >= count:
                    return found
                if not self._changed.wait(deadline - time.monotonic()):
                    raise AssertionError(
                        f"{len(found)} of {count} wanted requests within {timeout} s, among {seen} in all: "
                        + ", ".join(f"{request.method} {request.path}" for request in self._requests[-10:])
                    )

    def _record(self, request: Request) -> Answer:
        with self._changed:
            self._requests.append(request)
            behaviour = self._sequence.pop(0) if self._sequence else self._default
            self._changed.notify_all()
        if callable(behaviour):
            behaviour = behaviour(request)
        return Answer(behaviour) if isinstance(behaviour, int) else behaviour


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, port: int, record: Callable[[Request], Answer]) -> None:
        self.record = record
        self.closing = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # Without HTTPServer's look-up of its own name, which may ask a name server.
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests; anything else is worth a traceback."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def close(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # status, headers and body leave in one segment
    server: _Server

    def _answer(self) -> None:
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self.send_error(411, "The receiver reads bodies with a Content-Length only")
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
        for name, value in self.headers.items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        answer = self.server.record(
            Request(
                method=self.command,
                path=self.path,
                headers=headers,
                body=body,
                received_at=time.time(),
                received_monotonic=time.monotonic(),
            )
        )
        interrupted = answer.delay > 0 and self.server.closing.wait(answer.delay)
        if answer.drop or interrupted:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        bodiless = answer.status < 200 or answer.status in (204, 304)
        if not bodiless and "content-length" not in {name.lower() for name in answer.headers}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if not bodiless and self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Requests are recorded, not logged."""
