"""What SQLite has not and PostgreSQL has: functions that statements of ours call."""

import unicodedata
from decimal import Decimal, InvalidOperation
from typing import Any


def prepare(connection: Any, **_: Any) -> None:
    """Receiver of Django's `connection_created`."""
    if connection.vendor == "sqlite":
        connection.connection.create_function("tasks_app_same_number", 2, _same_number, deterministic=True)
        connection.connection.create_function("tasks_app_fold", 1, fold, deterministic=True)


def fold(text: str | None) -> str | None:
    """The text without differences of case, and with its accents written one way: migration 0011 has it for PostgreSQL."""
    return None if text is None else unicodedata.normalize("NFC", text.lower().upper())


def _same_number(one: str | None, other: str | None) -> bool:
    """Of two JSON texts: whether they are one number, however it is written."""
    try:
        return Decimal(one or "") == Decimal(other or "")
    except InvalidOperation:
        return False
