"""A TCP proxy that can go silent: connections stay open and new ones are taken, but not a byte passes."""

import asyncio
import contextlib
import threading

from tests.services.processes import PATIENCE, free_port


class Proxy:
    """Stands before one port of this machine, in a thread of its own."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._speaking = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{target}", daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        assert self._listening.wait(PATIENCE), f"the proxy before port {self.target} does not listen"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.cancel)
        self._thread.join(PATIENCE)

    def silence(self) -> None:
        """From now on nothing passes. What is sent meanwhile is held, as by a network that loses packets."""
        self._loop.call_soon_threadsafe(self._speaking.clear)

    def speak(self) -> None:
        """What was held passes on, then everything."""
        self._loop.call_soon_threadsafe(self._speaking.set)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._end = self._loop.create_task(self._serve())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._end)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
        for writer in self._writers:
            writer.transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self) -> None:
        self._speaking.set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, backlog=512)
        self._listening.set()
        try:
            await asyncio.Event().wait()
        finally:
            server.close()

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            asyncio.CancelledError
        ):  # at the end; the callback of StreamReaderProtocol cannot take it
            self._writers.append(to_client)
            await self._speaking.wait()
            try:
                server, to_server = await asyncio.open_connection("127.0.0.1", self.target)
            except OSError:
                to_client.close()
                return
            self._writers.append(to_server)
            await asyncio.gather(self._pass_on(client, to_server), self._pass_on(server, to_client))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._speaking.wait()
                writer.write(data)
                await writer.drain()
            await self._speaking.wait()
        with contextlib.suppress(OSError):
            writer.close()
