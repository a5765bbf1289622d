"""Failed logins: some a minute for one user name from one address, then 429, on every login form."""

import hashlib
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

from taskmanager.middleware import GetResponse
from tasks_app.api.errors import too_many
from tasks_app.api.throttles import Counter, seconds_left

_failures = Counter("login")
PATHS = tuple(f"{settings.PATH_PREFIX}/{path}/" for path in ("login", "admin/login"))


class LoginLimitMiddleware:
    """Refuses before a password is looked at: guessing must not cost us the hashing either."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit: int = settings.LOGIN_RATE
        if not limit or request.method != "POST" or request.path not in PATHS:
            return self.get_response(request)
        count = _failures.add(_name(request, request.POST.get("username", "")), amount=0)
        if count < limit:
            return self.get_response(request)
        detail = "Too many failed logins with this name. Wait a minute, then try again."
        return too_many(request, detail=detail, seconds=seconds_left())


@receiver(user_login_failed, dispatch_uid="taskmanager.login_limit")
def count_failure(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Sent by django.contrib.auth with whatever was typed."""
    if request is not None and settings.LOGIN_RATE:
        _failures.add(_name(request, str(credentials.get("username", ""))))


def _name(request: HttpRequest, username: str) -> str:
    text = f"{username.strip().lower()}\n{request.META.get('REMOTE_ADDR', '')}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
