"""daphne, for the role `live` and for standalone, with an eye on the clock: its own deadlines begin anew with each byte.

A head and a body must have arrived within REQUEST_SECONDS each, and a client that takes nothing of its answer for as long
is dropped. A body is kept up to the size that is read, whatever length it claims.
"""

import asyncio
from typing import Any

from daphne import cli, http_protocol, server
from django.conf import settings
from twisted.web import http

from tasks_app.api import bodies, errors

HTTPChannel: Any = http.HTTPChannel  # half of it has types


class Channel(HTTPChannel):  # type: ignore[misc]
    """One connection, from one request to the next."""

    _begun = False

    def resetTimeout(self) -> None:
        # Called for each piece of data: only the first of a request gives it more time.
        if not self._begun:
            self._begun = True
            super().resetTimeout()

    def allHeadersReceived(self) -> None:
        super().allHeadersReceived()
        self.setTimeout(self.timeOut)

    def requestDone(self, request: Any) -> None:
        self._begun = False
        super().requestDone(request)

    def timeoutConnection(self) -> None:
        if self.requests and not self._handlingRequest:
            answer = errors.body_too_slow(seconds=settings.REQUEST_SECONDS)
            head = f"HTTP/1.1 408 Request Timeout\r\nContent-Type: {answer.headers['Content-Type']}\r\n"
            head += f"Content-Length: {len(answer.content)}\r\nConnection: close\r\n\r\n"
            self.transport.write(head.encode() + answer.content)
        super().timeoutConnection()


class Flow:
    """Whether the connection takes more, as Twisted says it (IPushProducer)."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    def pauseProducing(self) -> None:
        self._open.clear()

    def resumeProducing(self) -> None:
        self._open.set()

    stopProducing = resumeProducing

    async def wait(self) -> bool:
        """False: for REQUEST_SECONDS nothing could be sent."""
        if not self._open.is_set():
            try:
                await asyncio.wait_for(self._open.wait(), settings.REQUEST_SECONDS)
            except asyncio.TimeoutError:
                return False
        return True


class Request(http_protocol.WebRequest):  # type: ignore[misc]
    """One request, with a bounded body and an answer that waits for its reader."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Twisted would read forms before Django does, and answer a broken one with an empty page.
        super().__init__(*arguments, **options, parsePOSTFormSubmission=False)
        self.flow = Flow()
        self._received = 0

    def gotLength(self, length: int | None) -> None:
        kept = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
        super().gotLength(kept if length is None else min(length, kept))  # beyond 100 kB: a file, and no larger one

    def handleContentChunk(self, data: bytes) -> None:
        room = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1 - self._received
        self._received += len(data)
        if room > 0:
            super().handleContentChunk(data[:room])
        elif self._received > bodies.MAX_DISCARDED_BYTES:
            self.channel.forceAbortClient()

    def handle_reply(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and self.channel is not None and not self.producer:
            self.registerProducer(self.flow, True)
        super().handle_reply(message)

    def finish(self) -> None:
        if self.producer:
            self.unregisterProducer()
        super().finish()

    def connectionLost(self, reason: Any) -> None:
        self.flow.resumeProducing()
        super().connectionLost(reason)


class Factory(server.HTTPFactory):  # type: ignore[misc]
    """Makes the protocol of each connection."""

    protocol = Channel

    def buildProtocol(self, address: Any) -> Any:
        built = super().buildProtocol(address)
        built.requestFactory = Request
        built.timeOut = settings.REQUEST_SECONDS
        return built


class Server(server.Server):  # type: ignore[misc]
    """daphne's server with the above."""

    endpoints: list[str]

    def run(self) -> None:
        server.HTTPFactory = Factory  # looked up there by its name
        # Twisted's own is 50: in a crowd a handshake would be dropped, and tried again after a second.
        given: list[str] = vars(self)["endpoints"]  # daphne has no types
        self.endpoints = [f"{one}:backlog=1024" if one.startswith("tcp:") else one for one in given]
        super().run()

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        await super().handle_reply(protocol, message)
        if isinstance(protocol, Request) and not await protocol.flow.wait() and protocol.channel is not None:
            protocol.channel.forceAbortClient()

    def kill_all_applications(self) -> Any:
        # A request that has not arrived has no application yet; daphne expects one.
        self.connections: dict[Any, Any] = {
            key: value for key, value in self.connections.items() if "application_instance" in value
        }
        return super().kill_all_applications()


class CommandLine(cli.CommandLineInterface):  # type: ignore[misc]
    """`python -m taskmanager.daphne`, with daphne's own options."""

    server_class = Server


if __name__ == "__main__":
    CommandLine.entrypoint()
