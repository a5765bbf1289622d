"""Typed readers of the environment that fail loudly.

Every reader takes a name or several that mean the same; `NAME_FILE` may hold the path of a file with the value,
as secrets mounted by Docker and Kubernetes do. An empty value counts as absent. Addresses are read in addresses.py.
"""

import base64
import fcntl
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

MAX_SHOWN = 80
"""Characters of a wrong value that its sentence repeats."""

known: set[str] = set()
"""Every setting that was asked for."""
ignored: list[str] = []
"""A sentence for each value that was passed over."""

_TRUE = {"1", "on", "true", "yes"}
_FALSE = {"0", "off", "false", "no"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})")
_SERVICE_LINK = re.compile(r"(?:tcp|udp|sctp)://[0-9A-Za-z.:\[\]-]+")


def _read(name: str) -> str | None:
    known.add(name)
    value, path = os.environ.get(name, "").strip(), os.environ.get(f"{name}_FILE", "").strip()
    if value and path:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: keep one of them.")
    if path:
        name = f"{name}_FILE={shown(path)}"
        try:
            value = Path(path).read_text(encoding="utf-8-sig").strip()
        except (OSError, ValueError) as error:  # UnicodeDecodeError is a ValueError, and so is a NUL in the path
            raise ImproperlyConfigured(f"{name} cannot be read: {error}.") from error
    if not value.isprintable():  # nor are bytes that are not UTF-8, which Python keeps as lone surrogates
        raise ImproperlyConfigured(
            f"{name} has a line break, a control character or bytes that are not UTF-8 inside: it must be one line of text."
        )
    return value or None


def shown(value: str) -> str:
    """A value as a sentence repeats it: in quotes, and not for pages."""
    return repr(value) if len(value) <= MAX_SHOWN else repr(value[:MAX_SHOWN]) + "…"


def text(*names: str, default: str = "") -> str:
    """First value set among `names`, which are one setting: two different values are refused."""
    return next(iter(_found(names).values()), default)


def _found(names: tuple[str, ...]) -> dict[str, str]:
    found = {name: value for name in names if (value := _read(name)) is not None}
    if len(set(found.values())) > 1:
        both = " and ".join(found)
        raise ImproperlyConfigured(f"{both} are one setting and have different values: keep one of them.")
    return found


def flag(name: str, *, default: bool) -> bool:
    """A switch: 1/on/true/yes or 0/off/false/no."""
    value = text(name).lower()
    if not value:
        return default
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(
            f"{name}={shown(value)} is neither on nor off: use 1, on, true, yes or 0, off, false, no."
        )
    return value in _TRUE


def integer(*names: str, default: int, minimum: int, maximum: int) -> int:
    """A whole number within bounds, in the digits 0 to 9."""
    return next((_whole(name, value, minimum, maximum) for name, value in _found(names).items()), default)


def _whole(name: str, value: str, minimum: int, maximum: int) -> int:
    if not _WHOLE.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name}={shown(value)} is no whole number: it must be one from {minimum} to {maximum}."
        )
    if not minimum <= int(value) <= maximum:
        raise ImproperlyConfigured(f"{name}={value} is out of range: {minimum} to {maximum}.")
    return int(value)


def port(*names: str, default: int) -> int:
    """A port to listen on or to connect to.

    Kubernetes gives every container a variable NAME_PORT=tcp://10.0.0.1:80 for each service called NAME, whatever that
    name means to others. No port looks like that, so it is passed over, and said in `ignored`.
    """
    for name in names:
        if _SERVICE_LINK.fullmatch(value := os.environ.get(name, "").strip()):
            known.add(name)
            ignored.append(f"{name}={shown(value)} is ignored: Kubernetes sets it for a service of that name.")
    return integer(*(name for name in names if not _SERVICE_LINK.fullmatch(os.environ.get(name, "").strip())),
                   default=default, minimum=1, maximum=65_535)  # fmt: skip


def seconds(name: str, *, default: float, maximum: float) -> float:
    """A duration in seconds, 0 to `maximum`; fractions allowed."""
    value = text(name)
    if not value:
        return default
    if not _NUMBER.fullmatch(value):
        raise ImproperlyConfigured(
            f"{name}={shown(value)} is no number of seconds: it must be one from 0 to {maximum:g}, such as 2 or 0.5."
        )
    if not 0 <= float(value) <= maximum:
        raise ImproperlyConfigured(f"{name}={value} is out of range: 0 to {maximum:g} seconds.")
    return float(value)


def words(name: str, *, default: str = "") -> list[str]:
    """A list separated by commas. One that is set and holds only commas is refused."""
    found = [word.strip() for word in text(name, default=default).split(",") if word.strip()]
    if not found and text(name):
        raise ImproperlyConfigured(
            f"{name} is a list with nothing between its commas: name something, or leave it out."
        )
    return found


def whole_numbers(name: str, *, default: str, minimum: int, maximum: int) -> list[int]:
    """Numbers with commas between them, at least one."""
    return [_whole(name, word, minimum, maximum) for word in words(name, default=default)]


def choice(name: str, *options: str, default: str) -> str:
    """One of a few words."""
    value = text(name, default=default).lower()
    if value not in options:
        raise ImproperlyConfigured(f"{name}={shown(value)} is not one of: {', '.join(o for o in options if o)}.")
    return value


def directory(name: str, *, default: Path | None = None) -> Path | None:
    """An absolute path, of a directory or of nothing yet."""
    given = text(name)
    try:
        path = Path(given).absolute() if given else default
        if path is not None and path.exists() and not path.is_dir():
            raise ImproperlyConfigured(f"{name}={shown(str(path))} is a file: it must be a directory.")
    except OSError as error:  # the working directory is gone, the name is too long, a directory above is closed to us
        raise ImproperlyConfigured(
            f"{name}={shown(given or str(default))} cannot be used: {error.strerror}."
        ) from error
    return path


def kept_secret(name: str, *, directory: Path | None, make: Callable[[], str]) -> str:
    """A secret from the environment or, where `directory` is given, from a file in it made at first use (mode 0600)."""
    value = text(name)
    if value or directory is None:
        return value
    path = directory / name.lower()
    try:
        if not path.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_once(path, make)
        kept = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{path.name} is not what was written there"
        raise ImproperlyConfigured(
            f"DATA_DIR={directory} cannot be used: {reason}. {name} is kept there: make it writable, choose another "
            f"directory, or set {name}."
        ) from error
    if not kept or not kept.isprintable():
        raise ImproperlyConfigured(f"{path} should hold {name}, and is empty or damaged: restore it, or delete it.")
    return kept


def _write_once(path: Path, make: Callable[[], str]) -> None:
    """Of several processes at once the first decides. By a lock and a rename: not every file system has hard links."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():  # another process was first, and this draft was opened after its own had gone
            draft.unlink(missing_ok=True)
            return
        file.truncate(0)  # what a process that died here has left
        file.write(make() + "\n")
        file.flush()
        os.fsync(file.fileno())
        draft.replace(path)


def random_key() -> str:
    """64 random bytes as URL-safe text."""
    return secrets.token_urlsafe(64)


def random_webhook_secret() -> str:
    """A secret in the form of Standard Webhooks: `whsec_` and 32 random bytes in padded base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode("ascii")
