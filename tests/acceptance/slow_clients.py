"""Clients that send or read next to nothing, and keep at it."""

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType

from tests.services.processes import PATIENCE

DRIP_SECONDS = 0.3
ESTABLISHED = "01"  # in /proc/net/tcp


class SlowClients:
    """`count` connections that send `beginning` at once, then a byte of `rest` now and then, and read nothing."""

    def __init__(self, port: int, *, count: int, beginning: bytes, rest: bytes = b"") -> None:
        self._address = ("127.0.0.1", port)
        self._count, self._beginning, self._rest = count, beginning, rest
        self._sockets: list[socket.socket] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drip, daemon=True)

    def __enter__(self) -> "SlowClients":
        for _ in range(self._count):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before connect: it bounds the window
            client.settimeout(PATIENCE)
            client.connect(self._address)
            client.sendall(self._beginning)
            self._sockets.append(client)
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        for client in self._sockets:
            client.close()

    def connected(self) -> int:
        """How many of them the server still has open. It is asked of the kernel: a client that reads nothing sees no end."""
        own = {client.getsockname()[1] for client in self._sockets}
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        found = 0
        for _, local, remote, state, *_ in map(str.split, lines):
            is_servers = int(local[-4:], 16) == self._address[1] and int(remote[-4:], 16) in own
            found += is_servers and state == ESTABLISHED
        return found

    def _drip(self) -> None:
        sent = 0
        while not self._stop.wait(DRIP_SECONDS) and sent < len(self._rest):
            for client in self._sockets:
                with contextlib.suppress(OSError):
                    client.send(self._rest[sent : sent + 1], socket.MSG_DONTWAIT)
            sent += 1
