"""HTTP for production: API, pages and admin under granian. WebSockets live in asgi.py."""

import os

from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskmanager.settings")


class Request(WSGIRequest):
    """Reads the query as UTF-8, always.

    Django's own reads it with the charset that a client names for the body, be it `hex` or `undefined`: that raises before
    there is a request, and so outside everything that makes an answer of an error.
    """

    @property
    def encoding(self) -> None:
        return None

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        pass


application = get_wsgi_application()
application.request_class = Request
