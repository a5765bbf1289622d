"""Who is at the other end of a socket, and may a socket be opened from there at all."""

from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from tasks_app.identity import allowed_origin, anonymous_user


def socket_headers(scope: Any) -> dict[str, str]:
    """The handshake's headers with lower-case names."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}


async def socket_user(scope: Any) -> Any:
    """The session's user, or the built-in one where ANONYMOUS_API allows it, or None."""
    user = scope.get("user")
    if user is not None and user.is_authenticated:
        return user
    peer = (scope.get("client") or ("", 0))[0]
    return await database_sync_to_async(anonymous_user)(headers=socket_headers(scope), peer=peer)


def may_open(scope: Any) -> bool:
    """The same Host rule as over HTTP, and no page of another origin (a browser sends cookies with any handshake)."""
    headers = socket_headers(scope)
    host, _ = split_domain_port(headers.get("host", ""))
    return bool(host) and validate_host(host, settings.ALLOWED_HOSTS) and allowed_origin(headers)
