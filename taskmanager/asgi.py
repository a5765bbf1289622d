"""Everything over ASGI: WebSockets in the live process, and HTTP too under standalone."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskmanager.settings")
django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402 - models can be imported only from here on
from channels.routing import ProtocolTypeRouter  # noqa: E402

from notifications.identity import may_open  # noqa: E402
from notifications.routing import router  # noqa: E402
from taskmanager.prefix import with_prefix, without_prefix  # noqa: E402


def gate(inner: Any) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """Refuses a handshake with a foreign Host or Origin (403) before anything else looks at it."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if may_open(scope):
            await inner({**scope, "path": without_prefix(scope["path"])}, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 4403})

    return application


async def http(scope: Any, receive: Any, send: Any) -> None:
    """Django, with the path that urls.py knows."""
    await django_application({**scope, "path": with_prefix(scope["path"])}, receive, send)


application = ProtocolTypeRouter({"http": http, "websocket": gate(AuthMiddlewareStack(router))})
