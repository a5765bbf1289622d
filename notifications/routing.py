"""WebSocket paths."""

from channels.routing import URLRouter
from django.urls import path, re_path

from notifications.consumers import NoSuchSocket, StatusConsumer

router = URLRouter([path("ws", StatusConsumer.as_asgi()), re_path("", NoSuchSocket.as_asgi())])
