"""Typed readers of the environment that fail loudly.

Every reader takes a name or several that mean the same; `NAME_FILE` may hold the path of a file with the value,
as secrets mounted by Docker and Kubernetes do. An empty value counts as absent.
"""

import base64
import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "on", "true", "yes"}
_FALSE = {"0", "off", "false", "no"}


def _read(name: str) -> str | None:
    value, path = os.environ.get(name, "").strip(), os.environ.get(f"{name}_FILE", "").strip()
    if value and path:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: keep one of them.")
    if not path:
        return value or None
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE={path} cannot be read: {error}.") from error


def text(*names: str, default: str = "") -> str:
    """First value set among `names`, which are one setting: two different values are refused."""
    found = {name: value for name in names if (value := _read(name)) is not None}
    if len(set(found.values())) > 1:
        both = " and ".join(found)
        raise ImproperlyConfigured(f"{both} are one setting and have different values: keep one of them.")
    return next(iter(found.values()), default)


def flag(name: str, *, default: bool) -> bool:
    """A switch: 1/on/true/yes or 0/off/false/no."""
    value = text(name).lower()
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(
            f"{name}={value!r} is neither on nor off: use 1, on, true, yes or 0, off, false, no."
        )
    return value in _TRUE


def integer(*names: str, default: int, minimum: int, maximum: int) -> int:
    """A whole number within bounds."""
    value = text(*names)
    if not value:
        return default
    name = next(name for name in names if _read(name) is not None)
    try:
        number = int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={value!r} is no whole number.") from error
    if not minimum <= number <= maximum:
        raise ImproperlyConfigured(f"{name}={number} is out of range: {minimum} to {maximum}.")
    return number


def seconds(name: str, *, default: float, maximum: float) -> float:
    """A duration in seconds, 0 to `maximum`; fractions allowed."""
    value = text(name)
    try:
        number = float(value) if value else default
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={value!r} is no number of seconds.") from error
    if not 0 <= number <= maximum:
        raise ImproperlyConfigured(f"{name}={value} is out of range: 0 to {maximum:g} seconds.")
    return number


def words(name: str, *, default: str = "") -> list[str]:
    """A list separated by commas."""
    return [word.strip() for word in text(name, default=default).split(",") if word.strip()]


def whole_numbers(name: str, *, default: str, minimum: int, maximum: int) -> list[int]:
    """Numbers with commas between them, at least one."""
    found = words(name, default=default)
    if not found or not all(word.isascii() and word.isdigit() and minimum <= int(word) <= maximum for word in found):
        raise ImproperlyConfigured(f"{name} is a list of whole numbers from {minimum} to {maximum}, with commas.")
    return [int(word) for word in found]


def choice(name: str, *options: str, default: str) -> str:
    """One of a few words."""
    value = text(name, default=default).lower()
    if value not in options:
        raise ImproperlyConfigured(f"{name}={value!r} is not one of: {', '.join(o for o in options if o)}.")
    return value


def url(*names: str, schemes: tuple[str, ...]) -> str:
    """An address with one of `schemes` and a host, or an empty string. Its password never shows in the error."""
    value = text(*names)
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        valid = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ImproperlyConfigured(f"{names[0]} is no address of the form {' or '.join(schemes)}://host….")
    return value


def kept_secret(name: str, *, directory: Path | None, make: Callable[[], str]) -> str:
    """A secret from the environment or, where `directory` is given, from a file in it made at first use (mode 0600)."""
    value = text(name)
    if value or directory is None:
        return value
    path = directory / name.lower()
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(make() + "\n", encoding="ascii")
        with contextlib.suppress(FileExistsError):  # another process was first: its secret stands
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text(encoding="ascii").strip()


def random_key() -> str:
    """64 random bytes as URL-safe text."""
    return secrets.token_urlsafe(64)


def random_webhook_secret() -> str:
    """A secret in the form of Standard Webhooks: `whsec_` and 32 random bytes in padded base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode("ascii")
