"""PostgreSQL, as DATABASE_URL names it; base.py is Django's backend for it."""

import re
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

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
