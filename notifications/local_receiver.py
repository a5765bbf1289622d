"""A webhook receiver on one's own machine, to develop against: it verifies, prints, and misbehaves when asked to.

Not for production: it keeps nothing, and forgets which webhooks it has seen when it ends.
"""

from __future__ import annotations

import errno
import json
import socket
import socketserver
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .signing import parse_secret, verify

MAX_BODY_BYTES = 1_048_576
SHOWN_CHARACTERS = 20_000
SHOWN_HEADER_CHARACTERS = 80
REMEMBERED_IDS = 10_000
IDLE_SECONDS = 30.0
POLL_SECONDS = 0.1  # how long Ctrl-C may take
DROPPED = -1
"""In place of a status: the connection is closed without an answer."""


class CannotListen(Exception):
    """The receiver cannot listen where it was told to."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How to answer, and how badly. With `fail_first`, only the first so many requests of each webhook-id go wrong.

    `status` None: 200, or 500 for those that are to fail. A request whose signature is wrong gets 401.
    """

    status: int | None = None
    delay_seconds: float = 0.0
    drops: bool = False
    fail_first: int = 0
    shows_body: bool = True


class LocalReceiver(ThreadingHTTPServer):
    """Listens from the start; `serve()` returns after Ctrl-C or `end()`. Each line goes to `say`, one at a time.

    Without secrets, signatures are not checked. Port 0 takes a free one. Raises InvalidSecret and CannotListen.
    """

    daemon_threads = True
    block_on_close = False  # whoever still drips its request is not waited for
    allow_reuse_port = False  # a port that is taken is an error, on every release of Python

    def __init__(
        self, host: str, port: int, *, secrets: Sequence[str], behaviour: Behaviour, say: Callable[[str], None]
    ) -> None:
        for secret in secrets:
            parse_secret(secret)
        self.secrets = tuple(secrets)
        self.behaviour = behaviour
        self.ended = threading.Event()
        self._say = say
        self._saying = threading.Lock()
        self._seen: OrderedDict[str, int] = OrderedDict()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that no name server could be asked for
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                advice = "is taken. End what listens there, or choose another with --port."
                raise CannotListen(f"Port {port} of {host} {advice}") from error
            why = (isinstance(error, OSError) and error.strerror) or error
            raise CannotListen(f"Cannot listen on port {port} of {host}: {why}.") from error

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if self.address_family == socket.AF_INET6 else f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of the host's full name, which can take seconds and is not needed."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def serve(self) -> None:
        try:
            self.serve_forever(poll_interval=POLL_SECONDS)
        except KeyboardInterrupt:
            pass
        finally:
            self.ended.set()
            self.server_close()
            with self._saying:  # nobody is cut off in the middle of a line
                self._say = lambda _: None

    def end(self) -> None:
        """From another thread than the one that serves."""
        self.shutdown()

    def say(self, *lines: str) -> None:
        with self._saying:
            self._say("\n".join(lines))

    def count(self, webhook_id: str) -> int:
        """How often this id has come before."""
        if not webhook_id:
            return 0
        with self._saying:
            before = self._seen.pop(webhook_id, 0)
            self._seen[webhook_id] = before + 1
            if len(self._seen) > REMEMBERED_IDS:
                self._seen.popitem(last=False)
            return before

    def handle_error(self, request: Any, client_address: Any) -> None:
        """As the base class does, but for a client that hangs up or dawdles, which is its own affair."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: LocalReceiver
    timeout = IDLE_SECONDS
    server_version, sys_version = "Taskmanager-Receiver", ""

    def do_POST(self) -> None:
        body = self._read_body()
        if body is None:
            return
        found = {name.lower(): value for name, value in self.headers.items()}
        verdict, is_refused = "not checked", False
        if self.server.secrets:
            judged = verify(self.server.secrets, found, body, now=time.time())
            is_refused = not judged.is_valid
            verdict = f"valid (key {judged.key_number})" if judged.is_valid else f"INVALID: {judged.reason}"
        content = _json(body)
        kind = content.get("type") if isinstance(content, dict) else None
        webhook_id = found.get("webhook-id", "")
        before = self.server.count(webhook_id)
        misbehaves = not self.server.behaviour.fail_first or before < self.server.behaviour.fail_first
        answer = (misbehaves and self._misbehaviour()) or (401 if is_refused else 200)
        parts = [
            printable(str(kind or found.get("x-taskmanager-event", "no type"))),
            printable(webhook_id or "no webhook-id"),
            verdict,
            f"attempt {printable(found.get('x-taskmanager-attempt', '?'))}",
            *(["repeat"] if before else []),
            "→ dropped" if answer == DROPPED else f"→ {answer}",
        ]
        lines = [f"{_time()}  {'  '.join(parts)}"]
        if self.server.behaviour.shows_body:
            lines.append(pretty(content, body))
        self.server.say(*lines)
        if misbehaves:
            self.server.ended.wait(self.server.behaviour.delay_seconds)
        if answer == DROPPED:
            self.close_connection = True
        else:
            self._answer(answer)

    def do_GET(self) -> None:
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, "This is a receiver of webhooks: send a POST.\n")

    def log_message(self, format: str, *args: Any) -> None:
        """What the base class has to say of a malformed or unfinished request."""
        self.server.say(f"{_time()}  {printable(format % args, 200)}")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The line of `do_POST` says more."""

    def _read_body(self) -> bytes | None:
        """The body, or None if the client has been told, or has gone."""
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()) or "transfer-encoding" in self.headers:
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "a request without a Content-Length")
        elif len(length) > 9 or int(length) > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body of more than {MAX_BODY_BYTES} bytes")
        else:
            try:
                body = self.rfile.read(int(length))
            except OSError:
                body = b""
            if len(body) == int(length):
                return body
            self.server.say(f"{_time()}  a request ended before its body was complete")
        self.close_connection = True
        return None

    def _misbehaviour(self) -> int:
        """The status asked for, DROPPED for none, or 0 to answer as the signature deserves."""
        behaviour = self.server.behaviour
        if behaviour.drops:
            return DROPPED
        return behaviour.status or (500 if behaviour.fail_first else 0)

    def _refuse(self, status: HTTPStatus, what: str) -> None:
        self.server.say(f"{_time()}  {what}  → {status.value}")
        self._answer(status)

    def _answer(self, status: int, text: str = "") -> None:
        self.send_response(status)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def pretty(content: Any, body: bytes) -> str:
    """A body for people: JSON with its own indentation, anything else as text; cut, and without control characters."""
    text = "" if content is None else _indented(content)
    text = text or body[: 4 * SHOWN_CHARACTERS].decode(errors="replace")
    shown = "\n".join(printable(line, SHOWN_CHARACTERS) for line in text[:SHOWN_CHARACTERS].split("\n"))
    return shown + "\n… (there is more)" * (len(text) > SHOWN_CHARACTERS)


def _indented(content: Any) -> str:
    """A little more than may be shown: indentation can make a body a thousand times larger."""
    text = ""
    try:
        for piece in json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(content):
            text += piece
            if len(text) > SHOWN_CHARACTERS:
                break
    except (ValueError, RecursionError):
        return ""
    return text


def printable(text: str, limit: int = SHOWN_HEADER_CHARACTERS) -> str:
    """Nothing that moves the cursor or turns the text round: a terminal obeys such characters."""
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:limit])
    return shown + "…" * (len(text) > limit)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _time() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")
