"""Who is asking, over HTTP: a token, a session (with CSRF), or the built-in user where ANONYMOUS_API allows it."""

from typing import Any

from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from tasks_app import tokens
from tasks_app.access import Access
from tasks_app.identity import anonymous_user, request_headers


class Credentials(SessionAuthentication):
    """Sets `request.auth` to an Access. Nobody, or a token that is not good: 401."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer":
            return _by_token(text.strip())
        if found := super().authenticate(request):
            return found[0], Access(user=found[0], door="api")
        user = anonymous_user(headers=request_headers(request), peer=request.META.get("REMOTE_ADDR", ""))
        return (user, Access(user=user, door="api")) if user else None

    def enforce_csrf(self, request: Any) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied:  # DRF's repeats the Origin, and has no code of ours
            sentence = (
                "With a session this needs the CSRF token, and no other page may ask for it. Programs send a token."
            )
            raise PermissionDenied(sentence, code="csrf") from None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="taskmanager"'


def _by_token(text: str) -> tuple[Any, Any]:
    try:
        token = tokens.find(text)
    except tokens.InvalidToken as error:
        raise AuthenticationFailed(error.message, code=error.code) from None
    scopes = frozenset(token.scopes)
    return token.owner, Access(user=token.owner, door=f"token {token.name}", scopes=scopes, expires_at=token.expires_at)
