"""`/ws/dashboard`: the socket of one open dashboard. What it is sent is made in feed.py, for all dashboards at once."""

import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from notifications.identity import socket_access
from notifications.pages.feed import Feed
from notifications.pages.viewers import MOST_CHARACTERS, View, Viewer

NOT_LOGGED_IN, MALFORMED = 4401, 4400


class DashboardConsumer(AsyncWebsocketConsumer):
    """From the server: `beat` about once a second, and htmx fragments for swaps out of band.

    From the page, whenever its list changed: `{"shown": {task id: version}, "query": of its address, "floor":
    id}`; a task above `floor` belongs on the page (the last id shown where the list goes on, else empty). The answer is what
    the page missed.
    """

    # No channel of its own: the feed listens for all, and a page stays connected (and says "delayed") without Redis.
    channel_layer_alias = "none"
    viewer: Viewer | None = None

    async def connect(self) -> None:
        access = await socket_access(self.scope)
        await self.accept()
        if access is None or not access.has("tasks:read"):
            await self.close(code=NOT_LOGGED_IN)  # after accept, so that the page learns why
            return
        sees_all = await database_sync_to_async(access.may_any)("view")
        try:
            task = _task_of(self.scope)
        except ValueError:
            await self.close(code=MALFORMED)
            return
        self.viewer = Viewer(access=access, sees_all=sees_all, send=self._send)
        self.feed = Feed.of_this_loop()
        self.feed.join(self.viewer)
        if task:
            self.feed.show(self.viewer, View(task=task))

    async def disconnect(self, code: int) -> None:
        if self.viewer is not None:
            await self.feed.leave(self.viewer)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        view = View.parse(text_data) if text_data and len(text_data) <= MOST_CHARACTERS else None
        if view is None:
            await self.close(code=MALFORMED)
        elif self.viewer is not None and not self.viewer.view.task:
            self.feed.show(self.viewer, view)

    async def _send(self, text: str) -> None:
        await self.send(text_data=text)


def _task_of(scope: Mapping[str, Any]) -> str:
    """The id in `?task=`, or an empty text. Raises ValueError."""
    found = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("task")
    return str(uuid.UUID(found[0])) if found else ""
