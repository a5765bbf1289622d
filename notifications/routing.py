"""WebSocket paths."""

from channels.routing import URLRouter
from django.urls import path, re_path

from notifications.consumers import NoSuchSocket, StatusConsumer
from notifications.pages.consumers import DashboardConsumer

# The stubs know Django's path() for HTTP views only.
router = URLRouter(
    [
        path("ws", StatusConsumer.as_asgi()),  # type: ignore[arg-type, list-item]
        path("ws/dashboard", DashboardConsumer.as_asgi()),  # type: ignore[arg-type, list-item]
        re_path("", NoSuchSocket.as_asgi()),  # type: ignore[arg-type, list-item]
    ]
)
