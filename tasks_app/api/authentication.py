"""Who is asking, over HTTP: a session (with CSRF), or the built-in user where ANONYMOUS_API allows it."""

from typing import Any

from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from tasks_app.identity import anonymous_user


class SessionOrAnonymous(SessionAuthentication):
    """DRF's session authentication, then `tasks_app.identity`. Nobody: 401."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        if found := super().authenticate(request):
            return found
        user = anonymous_user(headers=request_headers(request), peer=request.META.get("REMOTE_ADDR", ""))
        return (user, None) if user else None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="taskmanager"'


def request_headers(request: Any) -> dict[str, str]:
    """The headers with lower-case names."""
    return {name.lower(): value for name, value in request.headers.items()}
