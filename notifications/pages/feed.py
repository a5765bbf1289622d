"""One listener in each process feeds all dashboards open there: a change is read and rendered once, however many watch.

Announcements may be lost, so all pages are also compared with the database every half minute. The feed sends itself a
beat through the channel layer and passes it on: a page that misses it knows that it may be out of date.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer

from notifications.layers import MISSED
from notifications.live import GROUP
from notifications.pages.push import Change, Push
from notifications.pages.viewers import View, Viewer

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.1
"""Between a change and its push: the answer to a page's own POST gets there first."""
PUSH_SECONDS = 0.25
BEAT_SECONDS = 1.0
COMPARE_SECONDS = 30.0
COUNT_SHARE = 20
"""Counting may take a twentieth of the time, however large the table is."""
RETRY_SECONDS = 1.0
BEAT = "beat"


class Feed:
    """Begins with the first viewer and ends with the last."""

    _feeds: "WeakKeyDictionary[asyncio.AbstractEventLoop, Feed]" = WeakKeyDictionary()

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()
        self._changes: dict[str, Change] = {}
        self._uncounted: set[int | None] = set()
        self._count_at = 0.0
        self._compare_at = 0.0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._troubles: set[str] = set()

    @classmethod
    def of_this_loop(cls) -> "Feed":
        """The feed of the running event loop."""
        return cls._feeds.setdefault(asyncio.get_running_loop(), cls())

    def join(self, viewer: Viewer) -> None:
        """From now on the viewer is sent what changes."""
        self._viewers.add(viewer)
        if not self._tasks:
            self._compare_at = time.monotonic() + COMPARE_SECONDS
            self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._work())]

    async def leave(self, viewer: Viewer) -> None:
        """No more is sent to the viewer."""
        self._viewers.discard(viewer)
        if not self._viewers:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def show(self, viewer: Viewer, view: View) -> None:
        """The viewer's page says what it shows; it is sent what it missed."""
        viewer.view, viewer.is_stale = view, True
        self._uncounted.add(viewer.audience)
        self._wake.set()

    async def _listen(self) -> None:
        layer: Any = get_channel_layer()
        while True:
            channel, beat = "", None
            try:
                channel = await layer.new_channel()
                await layer.group_add(GROUP, channel)
                beat = asyncio.create_task(self._beat(layer, channel))
                self._over("listen to changes")
                while True:
                    await self._take(await layer.receive(channel))
            except Exception as error:  # redis's errors are many; the pages say "delayed" meanwhile
                self._trouble("listen to changes", error)
            finally:
                if beat is not None:
                    beat.cancel()
                with suppress(Exception):
                    await layer.group_discard(GROUP, channel)
            await asyncio.sleep(RETRY_SECONDS)

    async def _beat(self, layer: Any, channel: str) -> None:
        # Through the layer, by the way that changes come: what does not arrive is not said.
        while True:
            with suppress(Exception):
                await asyncio.wait_for(layer.send(channel, {"type": BEAT}), timeout=2 * BEAT_SECONDS)
            await asyncio.sleep(BEAT_SECONDS)

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == BEAT:
            await _send([(viewer, BEAT) for viewer in list(self._viewers)])
            return
        if message["type"] == MISSED:
            self._compare()
            self._wake.set()
            return
        for item in message["items"]:
            change = Change.of(item)
            before = self._changes.get(item["task_id"])
            self._changes[item["task_id"]] = before.then(change) if before else change
            if change.is_counted:
                self._uncounted |= {None, change.owner_id}
        self._wake.set()

    async def _work(self) -> None:
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout=max(0.0, self._compare_at - time.monotonic()))
            await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            if time.monotonic() >= self._compare_at:
                self._compare()
            try:
                await self._push()
                self._over("push changes")
            except Exception as error:  # the database is away: compare everything once it is back
                self._trouble("push changes", error)
                self._compare()
                self._wake.set()
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(PUSH_SECONDS - GATHER_SECONDS)

    def _compare(self) -> None:
        self._compare_at = time.monotonic() + COMPARE_SECONDS
        for viewer in self._viewers:
            viewer.is_stale = True
            self._uncounted.add(viewer.audience)

    async def _push(self) -> None:
        changes, self._changes = self._changes, {}
        viewers = list(self._viewers)
        audiences: set[int | None] = set()
        self._uncounted &= {viewer.audience for viewer in viewers if not viewer.view.task}
        if self._uncounted and time.monotonic() >= self._count_at:
            audiences, self._uncounted = self._uncounted, set()
        push = await database_sync_to_async(Push)(changes, viewers, audiences=audiences)
        if audiences:
            self._count_at = time.monotonic() + COUNT_SHARE * push.counting_seconds
        if self._uncounted:
            asyncio.get_running_loop().call_later(max(0.0, self._count_at - time.monotonic()), self._wake.set)
        await _send(push.messages)

    def _trouble(self, what: str, error: Exception) -> None:
        if what not in self._troubles:
            logger.warning("Dashboards cannot %s: %s", what, error)
        self._troubles.add(what)

    def _over(self, what: str) -> None:
        if what in self._troubles:
            logger.info("Dashboards can %s again", what)
        self._troubles.discard(what)


async def _send(messages: list[tuple[Viewer, str]]) -> None:
    for viewer, text in messages:
        with suppress(Exception):  # it is leaving this very moment
            await viewer.send(text)
