"""What settings.py makes of PUBLIC_URL, and the names of cookies."""

import hashlib
import hmac
import ipaddress
import re
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from taskmanager import addresses

OWN_PATHS = {
    "admin", "api", "dashboard", "healthz", "livez", "login", "logout", "metrics", "static", "tasks", "tokens", "ws",
}  # fmt: skip


def public_url(name: str) -> tuple[str, str, str]:
    """An address of this server, without a slash at its end; its origin as browsers spell it; its path, a prefix."""
    value = addresses.web_url(name).rstrip("/")
    if not value:
        return "", "", ""
    parts = urlsplit(value)
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", parts.path) or {".", ".."} & set(parts.path.split("/")):
        raise ImproperlyConfigured(
            f"{name}: its path may have letters, digits and . _ ~ - in each part, as in /tasks-app."
        )
    if parts.path.split("/")[1:2] and parts.path.split("/")[1] in OWN_PATHS:
        # Whether a proxy has taken the prefix away could not be told.
        raise ImproperlyConfigured(
            f"{name}: /{parts.path.split('/')[1]} is a path of the server itself. Choose another."
        )
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
    port = f":{parts.port}" if parts.port not in (None, {"http": 80, "https": 443}[parts.scheme]) else ""
    return value, f"{parts.scheme}://{host}{port}", parts.path


def is_loopback(host: str) -> bool:
    """An address of this machine that no other can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def cookie_names(secret_key: str, *, host_only: bool) -> tuple[str, str, str]:
    """Of the session, of the CSRF token and of messages. A browser does not tell the ports of a host apart: with the same
    names, two servers would log each other out. With `__Host-` it takes them over HTTPS, from this very host alone.
    """
    instance = hmac.new(secret_key.encode(), b"taskmanager instance", hashlib.sha256).hexdigest()[:8]
    start = "__Host-" if host_only else ""
    return f"{start}sessionid_{instance}", f"{start}csrftoken_{instance}", f"{start}messages_{instance}"
