"""The secrets of an endpoint: the one that signs, and up to two older ones that receivers may still hold."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from notifications import sealed, signing
from notifications.models import Endpoint

MOST_OLD = 2
LONGEST_OVERLAP = 604_800
OVERLAP = 86_400


@dataclass(frozen=True, kw_only=True)
class Secret:
    """`until` is None for the newest; an older one signs too until then. Times are ISO 8601."""

    secret: str
    made_at: str
    until: str | None = None

    def signs(self, now: datetime) -> bool:
        return self.until is None or datetime.fromisoformat(self.until) > now


def read(endpoint: Endpoint) -> list[Secret]:
    """All that are kept, newest first. Raises sealed.CannotUnseal."""
    return [Secret(**kept) for kept in sealed.unseal(endpoint.secrets)] if endpoint.secrets else []


def signing_with(endpoint: Endpoint, now: datetime) -> list[str]:
    """The secrets to sign with, newest first."""
    return [kept.secret for kept in read(endpoint) if kept.signs(now)]


def put(endpoint: Endpoint, secret: str, *, now: datetime, overlap_seconds: int = OVERLAP) -> None:
    """Makes `secret` the one that signs; the one before goes on for `overlap_seconds`. Raises signing.InvalidSecret.

    Changes the object only.
    """
    signing.parse_secret(secret)
    until = (now + timedelta(seconds=overlap_seconds)).isoformat()
    older = [replace(kept, until=kept.until or until) for kept in read(endpoint)]
    alive = [kept for kept in older if kept.signs(now)]
    _write(endpoint, [Secret(secret=secret, made_at=now.isoformat()), *alive[:MOST_OLD]])


def drop_old(endpoint: Endpoint) -> int:
    """Only the newest signs from now on. Returns how many went. Changes the object only."""
    newest, *older = read(endpoint)
    _write(endpoint, [newest])
    return len(older)


def headers(endpoint: Endpoint) -> dict[str, str]:
    """The endpoint's own headers, in the clear. Raises sealed.CannotUnseal."""
    return dict(sealed.unseal(endpoint.headers)) if endpoint.headers else {}


def put_headers(endpoint: Endpoint, found: dict[str, str]) -> None:
    """Keeps them encrypted; their names stay readable. Changes the object only."""
    endpoint.headers = sealed.seal(found) if found else ""
    endpoint.header_names = sorted(found)


def _write(endpoint: Endpoint, kept: list[Secret]) -> None:
    endpoint.secrets = sealed.seal([asdict(secret) for secret in kept])
