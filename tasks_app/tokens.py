"""API tokens: made, found, revoked. The text is `tm_` and 32 random bytes; only its SHA-256 is kept.

A plain hash is enough for what nobody can guess, and lets one indexed look-up find the token.
"""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from tasks_app.access import SCOPES
from tasks_app.exceptions import TaskError
from tasks_app.models import ApiToken

PREFIX = "tm_"
SHOWN = 9
"""Characters of the text that lists show."""
USED_EVERY = timedelta(minutes=1)


class InvalidToken(TaskError):
    """The token is unknown, revoked or expired."""

    code = "invalid_token"


class UnknownScope(TaskError):
    """There is no such scope."""

    code = "unknown_scope"


def issue(
    owner: User, *, name: str, scopes: Collection[str], expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """A new token and its text, which cannot be had again. Raises UnknownScope."""
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise UnknownScope(f"There is no scope {', '.join(unknown)}. Known: {', '.join(SCOPES)}.")
    text = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        owner=owner, name=name, prefix=text[:SHOWN], digest=_digest(text), scopes=sorted(set(scopes)), expires_at=expires_at
    )  # fmt: skip
    return token, text


def find(text: str, *, now: datetime | None = None) -> ApiToken:
    """The token of a text, with its owner, if it is good. Raises InvalidToken."""
    now = now or timezone.now()
    token = ApiToken.objects.select_related("owner").filter(digest=_digest(text)).first()
    if token is None or token.revoked_at is not None or not token.owner.is_active:
        raise InvalidToken("This token is unknown or was revoked.")
    if token.expires_at is not None and token.expires_at <= now:
        raise InvalidToken(f"This token expired at {token.expires_at.isoformat()}.")
    if token.last_used_at is None or token.last_used_at < now - USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def revoke(token: ApiToken, *, now: datetime | None = None) -> None:
    """From now on it opens nothing. It stays in the list."""
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now or timezone.now())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
