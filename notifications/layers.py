"""The two channel layers: in this process, and over Redis. Both can `announce` from any thread without an event loop."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import orjson
import redis
from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from channels_redis.serializers import registry

from notifications.announcements import FORMAT, Unbelievable, Vouched
from notifications.redis_replies import ListeningParser, Parser

logger = logging.getLogger(__name__)

STATUS_CHANNEL = "task.status"
"""Redis channel on which any client reads status changes as plain JSON."""
MISSED = "tasks.missed"
"""Type of the message to a group's members when announcements may have been lost."""
PULSE_SECONDS = 2.0
SILENT_SECONDS = 8.0
RESYNC_SECONDS = 10.0
"""Between two notes to listeners that something came which nobody can believe, and that an announcement may be lost so."""

registry.register_serializer(FORMAT, Vouched)


class AnnouncingLayer(Protocol):
    """What this product asks of a channel layer besides Channels' own interface."""

    def announce(self, group: str, message: Mapping[str, Any], frames: Sequence[Mapping[str, Any]]) -> None: ...

    def try_out(self) -> None: ...


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

    def try_out(self) -> None:
        """Always there."""


def _streams(local: Any) -> list[Any]:
    """What the layer listens to. Others than before: it connected anew, and what was sent in between is lost."""
    connections = [getattr(shard._pubsub, "connection", None) for shard in local._shards]
    return [getattr(connection, "_reader", None) for connection in connections]


async def _subscribe_anew(local: Any) -> None:
    """A new connection with the same subscriptions, for each of the layer's connections. Reaches into channels_redis."""
    for shard in local._shards:
        names = [name for name in (*local.channels, *local.groups) if local._get_shard(name) is shard]
        try:
            await asyncio.wait_for(shard.flush(), PULSE_SECONDS)
        except Exception:  # what is silent cannot be closed politely
            with suppress(Exception):
                await asyncio.wait_for(shard._redis.connection_pool.disconnect(), PULSE_SECONDS)
            shard._redis = shard._pubsub = None
            shard._subscribed_to = set()
        for name in names:
            await shard.subscribe(name)


class RedisLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """Redis Pub/Sub. `announce` is one pipelined round trip of PUBLISH: `async_to_sync(group_send)` costs fifty times that.

    It writes what the layer's own group_send would (the channel's name is channels_redis's, pinned by a test). Redis is
    believed nothing: see announcements.py.
    """

    def __init__(self, hosts: Sequence[str], prefix: str = "asgi", **options: Any) -> None:
        limits = {"socket_connect_timeout": 2.0, "socket_timeout": 5.0, "parser_class": ListeningParser}
        super().__init__(
            hosts=[{"address": host, **limits} for host in hosts],
            prefix=prefix,
            serializer_format=FORMAT,
            **options,
        )
        self._prefix = prefix
        self._told_at = -RESYNC_SECONDS
        self._pulses: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = WeakKeyDictionary()
        self._client = redis.Redis.from_url(
            hosts[0], socket_timeout=1.0, socket_connect_timeout=1.0, parser_class=Parser
        )

    async def new_channel(self, prefix: str = "specific.") -> str:
        """As the layer's own; from the first on, the loop's subscription is watched."""
        loop, local = asyncio.get_running_loop(), self._get_layer()
        channel = str(await local.new_channel(prefix))
        if loop not in self._pulses or self._pulses[loop].done():
            self._pulses[loop] = loop.create_task(self._watch(local, _streams(local)))
        return channel

    async def receive(self, channel: str) -> Any:
        """The next message of ours. What anybody else put there is left out."""
        local = self._get_layer()
        while True:
            try:
                return await local.receive(channel)
            except Unbelievable as error:
                logger.warning("Ignored an announcement: %s", error)
                if time.monotonic() - self._told_at > RESYNC_SECONDS:
                    self._told_at = time.monotonic()
                    self._tell_missed(local)

    async def _watch(self, local: Any, before: list[Any]) -> None:
        """Sends itself a pulse. One that does not come back was swallowed, and so is all else: subscribes anew.

        A socket whose other end fell silent raises no error by itself. Who listened meanwhile, or while the connection was
        made anew, is told that it missed some.
        """
        channel, heard, missing = "", time.monotonic(), False
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            try:
                channel = channel or await asyncio.wait_for(local.new_channel("pulse."), PULSE_SECONDS)
                await asyncio.wait_for(local.send(channel, {"type": "pulse"}), PULSE_SECONDS)
                # Not `receive`: it gives the channel up when its time is over.
                await asyncio.wait_for(local.channels[channel].get(), PULSE_SECONDS)
            except Exception:  # redis's errors are many; asyncio.TimeoutError is one more
                missing = True
                if time.monotonic() - heard > SILENT_SECONDS:
                    logger.warning("Redis is silent, subscribing anew")
                    with suppress(Exception):
                        await asyncio.wait_for(_subscribe_anew(local), SILENT_SECONDS)
                    heard = time.monotonic()
                continue
            heard, streams = time.monotonic(), _streams(local)
            if missing or streams != before:
                self._tell_missed(local)
            missing, before = False, streams

    def _tell_missed(self, local: Any) -> None:
        for channels in local.groups.values():
            for channel in channels:
                if queue := local.channels.get(channel):
                    queue.put_nowait(self.serialize({"type": MISSED}))

    def announce(self, group: str, message: Mapping[str, Any], frames: Sequence[Mapping[str, Any]]) -> None:
        """Sends `message` to a group, and each of `frames` as JSON to `task.status`. Raises redis.RedisError."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.publish(f"{self._prefix}__group__{group}", self.serialize(dict(message)))
        for frame in frames:
            pipeline.publish(STATUS_CHANNEL, orjson.dumps(frame))
        pipeline.execute()

    def try_out(self) -> None:
        """Announces nothing to nobody. Raises redis.RedisError if Redis does not answer, or forbids that."""
        self._client.publish(f"{self._prefix}__group__health", b"")
