"""The one connection of an outgoing request: resolved, judged, opened, checked again and cut at its deadline.

This sits where urllib3 gets its socket (`_new_conn`), so there is no way around it. TLS and HTTP above are
untouched: they still know the host by its name.
"""

from __future__ import annotations

import contextlib
import heapq
import http
import http.client
import itertools
import os
import queue
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import monotonic
from typing import Any, Literal

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from .addresses import Address, canonical
from .dialling import NoneAnswered, first_to_answer
from .targets import EgressPolicy, Reach, Target, TargetRefused, canonical_address, check_address

DNS_SECONDS = 3.0
CONNECT_SECONDS = 5.0
MAX_INTERIM_ANSWERS = 16
MAX_LOOKUPS = 64

ErrorCode = Literal["", "dns", "connect", "tls", "timeout", "reset", "interim", "blocked", "too_large", "invalid_url"]
AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
Resolver = Callable[[str, int], Sequence[AddressInfo]]

_lookups = threading.BoundedSemaphore(MAX_LOOKUPS)


class Failure(Exception):
    """Ends an exchange with an error code. Not an OSError: urllib3 would wrap it."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def system_resolver(host: str, port: int) -> Sequence[AddressInfo]:
    """The operating system's answers, in its order of preference (RFC 6724). Raises OSError."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Deadlines:
    """Cuts exchanges whose time is over. One thread for all of them, started at first use."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._heap: list[tuple[float, int, weakref.ref[Line]]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def watch(self, line: Line, at: float) -> None:
        """Cuts `line` at the moment `at` of the monotonic clock, unless it has ended before."""
        with self._changed:
            heapq.heappush(self._heap, (at, next(self._numbers), weakref.ref(line)))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="webhook-deadlines", daemon=True)
                self._thread.start()
            elif self._heap[0][0] == at:
                self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._heap or (wait := self._heap[0][0] - monotonic()) > 0:
                    self._changed.wait(wait if self._heap else None)
                _at, _number, reference = heapq.heappop(self._heap)
            line = reference()
            if line is not None:
                line.cut()


_deadlines = Deadlines()


class Keep:
    """One kept-alive connection to one receiver, used by one exchange at a time.

    Its address was checked when it was made, and the connection stays on that address: for MAX_AGE_SECONDS or MAX_USES
    requests, whichever comes first.
    """

    MAX_AGE_SECONDS = 60.0
    MAX_USES = 100

    def __init__(self) -> None:
        self.line: Line | None = None
        self.adapter: Any = None
        self.made_for: tuple[Any, ...] = ()
        self.peer_ip = ""
        self.reach = Reach.PRIVATE
        self.guard: socket.socket | None = None
        self._opened_at = 0.0
        self._uses = 0

    @property
    def is_open(self) -> bool:
        return self.guard is not None

    @property
    def is_worn(self) -> bool:
        """True once it is to be made anew."""
        return self._uses >= self.MAX_USES or monotonic() - self._opened_at > self.MAX_AGE_SECONDS

    def use(self, line: Line) -> None:
        """The next exchange is `line`."""
        self.line = line
        self._uses += 1

    def opened(self, connection: socket.socket, *, peer_ip: str, reach: Reach) -> None:
        """Its connection was made. Keeps a descriptor of its own: TLS takes over the other."""
        self.drop_guard()
        self.guard, self.peer_ip, self.reach = connection.dup(), peer_ip, reach
        self._opened_at, self._uses = monotonic(), 1

    def drop_guard(self) -> None:
        if self.guard is not None:
            _shut_down(self.guard)
            self.guard.close()
            self.guard = None

    def close(self) -> None:
        """Ends the connection. The next exchange makes another."""
        adapter, self.adapter, self.line = self.adapter, None, None
        if adapter is not None:
            adapter.close()
        self.drop_guard()


class Line:
    """One exchange's clock, the phases it has been through, and the socket that the deadline cuts.

    The clock runs from the first moment; `end()` must be called.
    """

    def __init__(self, policy: EgressPolicy, resolver: Resolver, *, seconds: float, keep: Keep) -> None:
        self.policy = policy
        self.resolver = resolver
        self.seconds = seconds
        self.target: Target | None = None
        self.reach = Reach.PRIVATE
        self.peer_ip = ""
        self.phases: dict[str, float] = {}  # milliseconds
        self.is_cut = False
        self.is_reused = keep.is_open
        self._started = self._phase_started = monotonic()
        self._deadline = self._started + seconds
        self._keep = keep
        self._has_ended = False
        self._lock = threading.Lock()
        if keep.is_open:
            self.peer_ip, self.reach = keep.peer_ip, keep.reach
        keep.use(self)
        _deadlines.watch(self, self._deadline)

    def open(self, host: str, port: int) -> socket.socket:
        """A connected socket to the target, for urllib3. Raises TargetRefused and Failure."""
        if self.target is None or (host, port) != (self.target.host, self.target.port):
            raise _refusal(f"urllib3 understood {host} port {port}")
        self.is_reused = False
        self._phase_started = monotonic()
        addresses = _resolve(self.resolver, host, port, seconds=min(DNS_SECONDS, self._remaining()))
        reaches = {check_address(it, port, self.policy, ground=self.target.ground) for it in addresses}
        self.reach = Reach.PUBLIC if reaches == {Reach.PUBLIC} else Reach.PRIVATE
        self.finish_phase("dns")
        connection = self._connect(addresses, port)
        self.finish_phase("connect")
        return connection

    def finish_phase(self, name: str) -> None:
        now = monotonic()
        self.phases[name] = _milliseconds(now - self._phase_started)
        self._phase_started = now

    def total_ms(self) -> float:
        return _milliseconds(monotonic() - self._started)

    def error_code(self, error: Exception) -> ErrorCode:
        """Name a failure by how far the exchange had come."""
        if self.is_cut or self._remaining() <= 0:
            return "timeout"
        if isinstance(error, Failure):
            return error.code
        if self.target is None or not (self.is_reused or "connect" in self.phases):
            return "invalid_url" if isinstance(error, ValueError) else "connect"
        if self.target.scheme == "https" and not self.is_reused and "tls" not in self.phases:
            return "tls"
        for cause in _causes(error):
            # http.client has no class of its own for "more than 100 header lines".
            if isinstance(cause, http.client.LineTooLong) or type(cause) is http.client.HTTPException:
                return "too_large"
        return "reset"

    def end(self, *, keeps: bool = False) -> None:
        """Stop the clock and, unless it is to be kept, let go of the connection, whoever still refers to it."""
        with self._lock:
            self._has_ended = True
        if not keeps or self.is_cut:
            self._keep.close()

    def _remaining(self) -> float:
        return self._deadline - monotonic()

    def _connect(self, addresses: Sequence[Address], port: int) -> socket.socket:
        try:
            found = first_to_answer(addresses, port, seconds=min(CONNECT_SECONDS, self._remaining()))
        except NoneAnswered as error:
            raise Failure("connect", str(error)) from None
        return self._take(found, port)

    def _take(self, found: tuple[Address, socket.socket], port: int) -> socket.socket:
        """The connection, once it is known to lead where it should and the deadline can cut it."""
        address, connection = found
        try:
            peer, peer_port = connection.getpeername()[:2]
            if (canonical_address(peer), peer_port) != (address, port):
                raise _refusal(f"connected to {address} and reached {peer}")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(self.seconds)
            with self._lock:
                if self.is_cut:
                    raise Failure("timeout", "the deadline passed while connecting")
                self._keep.opened(connection, peer_ip=str(address), reach=self.reach)
        except BaseException:
            connection.close()
            raise
        self.peer_ip = str(address)
        return connection

    def cut(self) -> None:
        """The deadline has come."""
        with self._lock:
            if self._has_ended:
                return
            self.is_cut = True
            if self._keep.guard is not None:
                _shut_down(self._keep.guard)


class _Response(http.client.HTTPResponse):
    """Skips interim answers (RFC 9110, 15.2): http.client itself skips 100 alone, and that without end."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM_ANSWERS + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status >= 200:
                return version, status, reason
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise Failure("interim", "answered 101, and no other protocol was asked for")
            http.client.parse_headers(self.fp)
        raise Failure("interim", f"more than {MAX_INTERIM_ANSWERS} interim answers")


class _Connection(HTTPConnection):
    response_class = _Response

    def __init__(self, *args: Any, keep: Keep, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keep = keep

    def _new_conn(self) -> socket.socket:
        if self.keep.line is None:
            raise _refusal("a connection outside of any exchange")
        return self.keep.line.open(self.host, self.port or self.default_port)


class _TLSConnection(_Connection, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        if self.keep.line is not None:
            self.keep.line.finish_phase("tls")


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


def pool_classes(keep: Keep, context: ssl.SSLContext) -> dict[str, Callable[..., HTTPConnectionPool]]:
    """For `PoolManager.pool_classes_by_scheme`: pools whose connections are all made by the exchange under way."""

    def tls_pool(host: str, port: int, **options: Any) -> HTTPSConnectionPool:
        # Ours last: requests 2.32 brings a context of its own.
        return _TLSPool(host, port, **options | {"keep": keep, "ssl_context": context, "cert_reqs": "CERT_REQUIRED"})

    return {"http": partial(_Pool, keep=keep), "https": tls_pool}


def _resolve(resolver: Resolver, host: str, port: int, *, seconds: float) -> list[Address]:
    """The addresses of a host, each once. A lookup cannot be interrupted, only left behind: hence a limit."""
    with contextlib.suppress(ValueError):
        return [canonical(host)]
    give_up = monotonic() + seconds
    if not _lookups.acquire(timeout=max(seconds, 0)):
        raise Failure("dns", f"{MAX_LOOKUPS} lookups are under way already")
    answers: queue.SimpleQueue[Sequence[AddressInfo] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(resolver(host, port))
        except Exception as error:
            answers.put(error)
        finally:
            _lookups.release()

    try:
        threading.Thread(target=look_up, name="webhook-dns", daemon=True).start()
    except RuntimeError as error:
        _lookups.release()
        raise Failure("dns", str(error)) from error
    try:
        answer = answers.get(timeout=max(give_up - monotonic(), 0))
    except queue.Empty:
        raise Failure("dns", f"no answer within {seconds:.1f} s") from None
    if isinstance(answer, Exception):
        raise Failure("dns", str(answer)) from answer
    if not answer:
        raise Failure("dns", "no addresses")
    return list(dict.fromkeys(map(_address, answer)))


def _address(info: AddressInfo) -> Address:
    family, *_, address = info
    is_ipv6 = family == socket.AF_INET6
    if not (is_ipv6 or family == socket.AF_INET) or (is_ipv6 and any(address[3:])):
        raise _refusal(f"{address} is of another family, or has a zone")
    return canonical_address(str(address[0]))


def is_closed_early(error: BaseException) -> bool:
    """Whether the connection was closed by the other side instead of an answer, or before the request was out."""
    closed = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)
    return any(isinstance(cause, closed) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refusal(detail: str) -> TargetRefused:
    return TargetRefused("address_not_allowed", "Destination not allowed.", detail=detail)


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        connection.shutdown(socket.SHUT_RDWR)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
