"""Announcing from threads reaches consumers: inside the process, and over Redis in channels_redis's own format."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
from channels_redis.pubsub import RedisPubSubChannelLayer

from notifications import layers
from notifications.announcements import FORMAT
from notifications.layers import STATUS_CHANNEL, InProcessLayer, RedisLayer
from tests.chaos.proxy import Proxy
from tests.services.processes import PATIENCE, eventually, free_port
from tests.services.stack import Services

MESSAGE = {
    "type": "tasks.changed",
    "items": [{"task_id": "1", "owner_id": None, "frame": {"status": "DONE", "ü": 1.5}}],
}


async def heard(layer: Any, announce: Callable[[], object]) -> Any:
    """What one consumer of group `tasks` gets after `announce` was called from another thread."""
    channel = await layer.new_channel()
    await layer.group_add("tasks", channel)
    threading.Thread(target=announce).start()
    return await asyncio.wait_for(layer.receive(channel), PATIENCE)


# ---- In this process -------------------------------------------------------------------------------------------------


def test_an_announcement_from_another_thread_wakes_a_sleeping_loop() -> None:
    """The stock layer leaves the message until the loop wakes by itself: here nothing else ever would."""
    layer = InProcessLayer()
    assert asyncio.run(heard(layer, lambda: layer.announce("tasks", MESSAGE, []))) == MESSAGE


def test_many_threads_may_announce_at_once() -> None:
    layer = InProcessLayer(capacity=1000)

    async def main() -> int:
        channel = await layer.new_channel()
        await layer.group_add("tasks", channel)
        threads = [threading.Thread(target=lambda: layer.announce("tasks", MESSAGE, [])) for _ in range(50)]
        for thread in threads:
            thread.start()
        for _ in range(50):
            await asyncio.wait_for(layer.receive(channel), PATIENCE)
        return len(threads)

    assert asyncio.run(main()) == 50


def test_before_and_after_the_servers_life_an_announcement_goes_nowhere_quietly() -> None:
    layer = InProcessLayer()
    layer.announce("tasks", MESSAGE, [])
    asyncio.run(heard(layer, lambda: layer.announce("tasks", MESSAGE, [])))
    layer.announce("tasks", MESSAGE, [])
    layer.try_out()


# ---- Over Redis ------------------------------------------------------------------------------------------------------


@pytest.mark.services
def test_an_announcement_reaches_a_consumer_of_the_stock_layer(services: Any) -> None:
    """Pins the private format: the channel's name is channels_redis's."""
    ours = RedisLayer(hosts=[services.redis.url])
    theirs = RedisPubSubChannelLayer(hosts=[services.redis.url], serializer_format=FORMAT)

    async def main() -> Any:
        try:
            return await heard(theirs, lambda: ours.announce("tasks", MESSAGE, []))
        finally:
            await theirs.flush()

    assert asyncio.run(main()) == MESSAGE


@pytest.mark.services
def test_an_announcement_reaches_our_own_layer_in_another_process_like_group_send_does(services: Any) -> None:
    listener, speaker = RedisLayer(hosts=[services.redis.url]), RedisLayer(hosts=[services.redis.url])

    async def main() -> list[Any]:
        channel = await listener.new_channel()
        await listener.group_add("tasks", channel)
        await speaker.group_send("tasks", MESSAGE)
        first = await asyncio.wait_for(listener.receive(channel), PATIENCE)
        await asyncio.to_thread(speaker.announce, "tasks", MESSAGE, [])
        second = await asyncio.wait_for(listener.receive(channel), PATIENCE)
        await listener.flush()
        await speaker.flush()
        return [first, second]

    assert asyncio.run(main()) == [MESSAGE, MESSAGE]


@pytest.mark.services
def test_frames_are_plain_json_on_task_status(services: Any) -> None:
    frames = [{"task_id": "1", "status": "DONE"}, {"task_id": "2", "status": "FAILED", "message": "ü"}]
    with redis.Redis.from_url(services.redis.url) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(STATUS_CHANNEL)
        eventually(lambda: client.pubsub_numsub(STATUS_CHANNEL)[0][1] == 1)
        RedisLayer(hosts=[services.redis.url]).announce("tasks", MESSAGE, frames)
        found = [eventually(lambda: listener.get_message(timeout=0.1)) for _ in frames]
    assert [json.loads(message["data"]) for message in found] == frames


def test_a_redis_that_is_away_raises_within_its_limits() -> None:
    layer = RedisLayer(hosts=[f"redis://127.0.0.1:{free_port()}/0"])
    with pytest.raises(redis.RedisError):
        layer.announce("tasks", MESSAGE, [])
    with pytest.raises(redis.RedisError):
        layer.try_out()


# ---- Silence ---------------------------------------------------------------------------------------------------------


@pytest.mark.services
def test_when_redis_falls_silent_listeners_are_told_and_hear_again(
    services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No error tells of a peer that is gone without a word."""
    monkeypatch.setattr(layers, "PULSE_SECONDS", 0.2)
    monkeypatch.setattr(layers, "SILENT_SECONDS", 1.0)

    async def main(proxy: Proxy) -> tuple[Any, Any]:
        layer = RedisLayer([f"redis://127.0.0.1:{proxy.port}"])
        channel = await layer.new_channel()
        await layer.group_add("tasks", channel)
        proxy.silence()
        await asyncio.to_thread(eventually, lambda: "Redis is silent" in caplog.text)
        proxy.speak()
        told = await asyncio.wait_for(layer.receive(channel), PATIENCE)
        outside = RedisLayer([services.redis.url])
        await asyncio.to_thread(outside.announce, "tasks", MESSAGE, [])
        heard = await asyncio.wait_for(layer.receive(channel), PATIENCE)
        layer._pulses[asyncio.get_running_loop()].cancel()
        await layer.flush()
        return told, heard

    with Proxy(services.redis.port) as proxy:
        assert asyncio.run(main(proxy)) == ({"type": layers.MISSED}, MESSAGE)
