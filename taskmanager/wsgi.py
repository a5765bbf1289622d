"""HTTP for production: API, pages and admin under granian. WebSockets live in asgi.py."""

import os
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application

from taskmanager.prefix import with_prefix

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskmanager.settings")


class Request(WSGIRequest):
    """Reads the query as UTF-8, always.

    Django's own reads it with the charset that a client names for the body, be it `hex` or `undefined`: that raises before
    there is a request, and so outside everything that makes an answer of an error.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        environ["PATH_INFO"] = with_prefix(environ.get("PATH_INFO", "/"))
        super().__init__(environ)

    @property
    def encoding(self) -> None:
        return None

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        pass


application = get_wsgi_application()
application.request_class = Request
