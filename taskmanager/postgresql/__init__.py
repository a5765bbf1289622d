"""PostgreSQL, as DATABASE_URL names it; base.py is Django's backend for it."""

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn

IDLE_SECONDS = 30
"""A connection that nobody used for so long is left to others: there may be few."""
POOL: dict[str, Any] = {"min_size": 1, "max_size": 8, "timeout": 10, "max_idle": IDLE_SECONDS}
"""Of the roles with many threads."""
_URL = re.compile(r"(\w+://(?:[^/?#]*@)?)([^/?#]*)(.*)", re.DOTALL)


def hosts(url: str) -> tuple[str, dict[str, Any]]:
    """The URL with the first of its hosts, and Django's settings for all where there are several. Raises ImproperlyConfigured.

    libpq reads them, as it will when it connects: `postgresql://user:password@one:5432,[::1]:5433/name`.
    """
    parts = _URL.fullmatch(url)
    if parts is None or "," not in parts[2]:
        return url, {}
    try:
        found = conninfo_to_dict(f"postgresql://{parts[2]}/")
    except psycopg.ProgrammingError as error:
        raise ImproperlyConfigured(f"DATABASE_URL names several hosts: {str(error).strip()}.") from error
    names, ports = str(found["host"]), str(found.get("port") or "")
    if not all(names.split(",")) or not all(map(_is_port, ports.split(","))):
        raise ImproperlyConfigured(
            "DATABASE_URL names several hosts, and one lacks its name or a port from 1 to 65535: "
            "postgresql://user:password@one:5432,two:5432/name."
        )
    return parts[1] + parts[2].split(",")[0] + parts[3], {"HOST": names, "PORT": ports}


def _is_port(text: str) -> bool:
    return text == "" or (text.isascii() and text.isdigit() and 0 < int(text) < 65_536)


def check(parsed: Mapping[str, Any]) -> None:
    """Asks libpq, without any connection, whether it can use these settings of Django's. Raises ImproperlyConfigured."""
    texts = [str(parsed[key] or "") for key in ("NAME", "USER", "PASSWORD", "HOST")]
    if not all(text.isprintable() for text in texts) or " " in texts[-1]:
        raise ImproperlyConfigured(
            "DATABASE_URL has a character in its user, password, host or name that cannot be there: is a % not written %25?"
        )
    options = {key: value for key, value in parsed.get("OPTIONS", {}).items() if key != "assume_role"}
    if not _is_port(patience := str(options.get("connect_timeout", ""))):
        raise ImproperlyConfigured(f"DATABASE_URL: connect_timeout={patience!r} is no number of seconds.")
    port = "" if parsed["PORT"] in ("", None) or "," in str(parsed["PORT"]) else str(parsed["PORT"])
    try:
        # The host is a directory that does not exist: libpq looks at everything else first.
        text = make_conninfo("", **options, host="/nowhere", port=port)
    except psycopg.Error as error:
        raise ImproperlyConfigured(
            f"DATABASE_URL has an option that PostgreSQL does not know: {str(error).strip()}."
        ) from error
    link = PGconn.connect_start(text.encode())
    reason = link.get_error_message().strip()
    link.finish()
    if "/nowhere" not in reason:
        raise ImproperlyConfigured(f"DATABASE_URL cannot be used: {reason}.")
