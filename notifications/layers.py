"""The two channel layers: in this process, and over Redis. Both can `announce` from any thread without an event loop."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast

import orjson
import redis
from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer

logger = logging.getLogger(__name__)

STATUS_CHANNEL = "task.status"
"""Redis channel on which any client reads status changes as plain JSON."""


class AnnouncingLayer(Protocol):
    """What this product asks of a channel layer besides Channels' own interface."""

    def announce(self, group: str, message: Mapping[str, Any], frames: Sequence[Mapping[str, Any]]) -> None: ...

    def ping(self) -> None: ...


def current() -> AnnouncingLayer:
    """The layer of settings.CHANNEL_LAYERS."""
    return cast(AnnouncingLayer, get_channel_layer())


class InProcessLayer(InMemoryChannelLayer):
    """Channels' own layer, usable from other threads: it wakes the server's loop, which the stock layer does not
    (a message then waits up to a second)."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def new_channel(self, prefix: str = "specific.") -> str:
        self._loop = asyncio.get_running_loop()
        return str(await super().new_channel(prefix))

    def announce(self, group: str, message: Mapping[str, Any], frames: Sequence[Mapping[str, Any]]) -> None:
        """Sends `message` to a group. `frames` are for other systems; here there are none."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        with suppress(RuntimeError):  # the loop was closed this very moment: nobody is left to tell
            loop.call_soon_threadsafe(lambda: loop.create_task(self.group_send(group, dict(message))))

    def ping(self) -> None:
        """Always there."""


class RedisLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """Redis Pub/Sub. `announce` is one pipelined round trip of PUBLISH: `async_to_sync(group_send)` costs fifty times that.

    It writes what the layer's own group_send would (channel name and encoding are channels_redis's, pinned by a test).
    """

    def __init__(self, hosts: Sequence[str], prefix: str = "asgi", **options: Any) -> None:
        super().__init__(hosts=list(hosts), prefix=prefix, **options)
        self._prefix = prefix
        self._client = redis.Redis.from_url(hosts[0], socket_timeout=1.0, socket_connect_timeout=1.0)

    def announce(self, group: str, message: Mapping[str, Any], frames: Sequence[Mapping[str, Any]]) -> None:
        """Sends `message` to a group, and each of `frames` as JSON to `task.status`. Raises redis.RedisError."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.publish(f"{self._prefix}__group__{group}", self.serialize(dict(message)))
        for frame in frames:
            pipeline.publish(STATUS_CHANNEL, orjson.dumps(frame))
        pipeline.execute()

    def ping(self) -> None:
        """Raises redis.RedisError if Redis does not answer."""
        self._client.ping()
