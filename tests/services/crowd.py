"""Many webhook receivers in one process of their own: each path behaves as its first part says.

`/ok/…` takes everything, `/fail/…` answers 500, `/busy/…` 429 with `Retry-After: 2`, `/hang/…` never answers. What
arrives is written down, one JSON line each, in the order of arrival.
"""

import asyncio
import contextlib
import json
import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services.processes import eventually, free_port

ANSWERS = {
    "ok": b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    "fail": b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    "busy": b"HTTP/1.1 429 Later\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
}


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One request. `received_at` is seconds since the epoch."""

    path: str
    received_at: float
    headers: dict[str, str]
    body: str


class Crowd:
    """Listens on one port of loopback while it is entered."""

    def __init__(self) -> None:
        self.port = free_port()
        self.log = Path(tempfile.mkdtemp(prefix="taskmanager-crowd-")) / "arrivals"
        self._process = multiprocessing.get_context("spawn").Process(
            target=_listen, args=(self.port, str(self.log)), daemon=True
        )

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def arrivals(self) -> list[Arrival]:
        """What has arrived so far, complete lines only."""
        lines = self.log.read_text().split("\n")[:-1]
        return [Arrival(**json.loads(line)) for line in lines]

    def __enter__(self) -> "Crowd":
        self._process.start()
        eventually(self.log.exists)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def _listen(port: int, log: str) -> None:
    asyncio.run(_serve(port, log))


async def _serve(port: int, log: str) -> None:
    with Path(log).open("a", buffering=1) as lines:

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                await _answer(reader, writer, lines)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", port, backlog=1000)
        async with server:
            await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lines: Any) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    path = head[0].split(" ")[1]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:]) if name}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    arrival = {"path": path, "received_at": time.time(), "headers": headers, "body": body.decode()}
    lines.write(json.dumps(arrival) + "\n")
    behaviour = path.split("/")[1]
    if behaviour == "hang":
        await reader.read()  # until the other side has had enough
        return
    writer.write(ANSWERS[behaviour])
    await writer.drain()
