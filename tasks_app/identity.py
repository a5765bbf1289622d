"""Who is asking, where no token and no session says it: the built-in user `local`, or nobody."""

import ipaddress
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, User
from django.http.request import split_domain_port

LOCAL = "local"
LOCAL_USER_SECONDS = 10
_FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


def anonymous_user(*, headers: Mapping[str, str], peer: str) -> AbstractBaseUser | None:
    """The user a request without credentials acts as; None: it must say who it is. `headers` has lower-case names.

    ANONYMOUS_API=loopback means a person's own machine: standalone on a loopback bind, asked from loopback, under a
    loopback name (against DNS rebinding), not through a proxy, and from no other web page than our own.
    """
    return local_user() if is_open(headers=headers, peer=peer) else None


def is_open(*, headers: Mapping[str, str], peer: str) -> bool:
    """Whether a request without credentials is let in."""
    if not allowed_origin(headers):
        return False
    return settings.ANONYMOUS_API == "on" or (settings.ANONYMOUS_ON_LOOPBACK and _is_own_machine(headers, peer))


def request_headers(request: Any) -> dict[str, str]:
    """The headers of an HTTP request with lower-case names."""
    return {name.lower(): value for name, value in request.headers.items()}


def local_user() -> AbstractBaseUser | None:
    """The built-in user; it has no password and no permissions of its own. Read anew every ten seconds."""
    return _local_user(int(time.monotonic() / LOCAL_USER_SECONDS))


@lru_cache(maxsize=1)
def _local_user(_period: int) -> AbstractBaseUser | None:
    return get_user_model().objects.filter(username=LOCAL, is_active=True).first()


def allowed_origin(headers: Mapping[str, str]) -> bool:
    """Absent → not a browser; present → our own host, PUBLIC_URL, or one that is listed in CORS_ALLOW_ORIGINS."""
    origin = headers.get("origin", "")
    listed = (settings.PUBLIC_ORIGIN, *settings.CORS_ALLOWED_ORIGINS)
    if not origin or settings.CORS_ALLOW_ALL_ORIGINS or origin in listed:
        return True
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and host.lower() == headers.get("host", "").lower()


def _is_own_machine(headers: Mapping[str, str], peer: str) -> bool:
    if any(name in headers for name in _FORWARDING):
        return False
    host, _ = split_domain_port(headers.get("host", ""))
    return _is_loopback(peer) and (host == "localhost" or _is_loopback(host.strip("[]")))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def make_local_user(app_config: AppConfig, using: str, **_: Any) -> None:
    """Exists after every migrate, so that no request has to make it."""
    if app_config.label != "tasks_app":
        return
    users = User.objects.using(using)
    if not users.filter(username=LOCAL).exists():
        User(username=LOCAL, password="!").save(using=using)  # noqa: S106 - "!" is Django's mark for: none
    _local_user.cache_clear()
