"""`/ws`: one JSON text frame for every status change that its user may see."""

import logging
import uuid
from typing import Any
from urllib.parse import parse_qs

import orjson
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from notifications import payloads
from notifications.identity import socket_access
from notifications.live import GROUP, NO_STATUS
from tasks_app.access import Access
from tasks_app.models import TaskEvent

logger = logging.getLogger(__name__)

LOOK_BACK = 100
"""Events before the client's cursor that are sent again: commits may become visible out of order."""
MOST_REPLAYED = 1000


class StatusConsumer(AsyncWebsocketConsumer):
    """Frames: `{"task_id", "status", "updated_at", "version", "cursor", "message"?}`.

    `?since=CURSOR` first replays what was missed, a little too much rather than too little: keep the highest version. If
    over 1,000 were missed, one frame `{"resync": true}` says to read the list again. `?task_id=` narrows to one task.
    """

    async def connect(self) -> None:
        self.only, since, valid = _parameters(self.scope)
        access = await socket_access(self.scope)
        if access is None or not valid or not access.has("tasks:read"):
            await self.close(code=4401 if access is None else 4403 if valid else 4400)
            return
        self.access: Access = access
        self.sees_all = await database_sync_to_async(access.may_any)("view")
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        if since is not None:
            for frame in await database_sync_to_async(self._missed)(since):
                await self._send(frame)

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels', without what is for others and was repeated to this group: it would end the socket."""
        if message["type"].startswith(("tasks.", "websocket.")):
            await super().dispatch(message)

    async def tasks_changed(self, event: dict[str, Any]) -> None:
        """From live.announce."""
        for item in event["items"]:
            if item["frame"] and self._may_see(item["owner_id"]) and self.only in (None, item["task_id"]):
                await self._send(item["frame"])

    async def tasks_missed(self, event: dict[str, Any]) -> None:
        """From the channel layer: announcements may have been lost."""
        await self._send({"resync": True})

    async def _send(self, frame: dict[str, Any]) -> None:
        await self.send(text_data=orjson.dumps(frame).decode())

    def _may_see(self, owner_id: int | None) -> bool:
        return bool(self.sees_all or owner_id == self.access.user.pk)

    def _missed(self, since: int) -> list[dict[str, Any]]:
        events = TaskEvent.objects.filter(task__in=self.access.tasks()).exclude(what__in=NO_STATUS)
        if self.only:
            events = events.filter(task_id=self.only)
        if events.filter(pk__gt=since).order_by()[: MOST_REPLAYED + 1].count() > MOST_REPLAYED:
            return [{"resync": True}]
        return [payloads.event_frame(event) for event in events.filter(pk__gt=since - LOOK_BACK).order_by("pk")]


class NoSuchSocket(AsyncWebsocketConsumer):
    """Any other path: refused, without a traceback in the log."""

    async def connect(self) -> None:
        await self.close(code=4404)


def _parameters(scope: Any) -> tuple[str | None, int | None, bool]:
    """`task_id`, `since` and whether both make sense."""
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    only, since = query.get("task_id", [None])[0], query.get("since", [None])[0]
    try:
        if since is not None and not (since.isascii() and since.isdigit()):
            raise ValueError("int() takes signs, spaces, underscores and other scripts too")
        cursor = None if since is None else int(since)
        return (None if only is None else str(uuid.UUID(only))), cursor, cursor is None or cursor < 2**63
    except ValueError:
        return None, None, False
