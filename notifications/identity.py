"""Who is at the other end of a socket, and may a socket be opened from there at all."""

import logging
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from tasks_app import tokens
from tasks_app.access import Access
from tasks_app.identity import allowed_origin, anonymous_user

logger = logging.getLogger(__name__)


def socket_headers(scope: Any) -> dict[str, str]:
    """The handshake's headers with lower-case names."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}


async def socket_access(scope: Any) -> Access | None:
    """Who opened the socket: a token (`Authorization: Bearer …`), the session's user, or the built-in one; or None."""
    return await database_sync_to_async(_access)(scope)


def _access(scope: Any) -> Access | None:
    headers, user = socket_headers(scope), scope.get("user")
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        try:
            token = tokens.find(text.strip())
        except tokens.InvalidToken:
            return None
        return Access(user=token.owner, door="socket", scopes=frozenset(token.scopes))
    if user is None or not user.is_authenticated:
        user = anonymous_user(headers=headers, peer=(scope.get("client") or ("", 0))[0])
    return Access(user=user, door="socket") if user else None


def may_open(scope: Any) -> bool:
    """The same Host rule as over HTTP, and no page of another origin (a browser sends cookies with any handshake)."""
    headers = socket_headers(scope)
    named, origin = headers.get("host", ""), headers.get("origin", "")
    host, _ = split_domain_port(named)
    if not host or not validate_host(host, settings.ALLOWED_HOSTS):
        logger.warning("Refused a socket: its Host %.200r is not among ALLOWED_HOSTS", named)
        return False
    if not allowed_origin(headers):
        logger.warning(
            "Refused a socket: its Origin %.200r is not that of its Host %.200r, of PUBLIC_URL, or among CORS_ALLOW_ORIGINS. "
            "If people use this address, a proxy changes the Host or drops its port: set PUBLIC_URL, or let it pass the Host",
            origin,
            named,
        )
        return False
    return True
