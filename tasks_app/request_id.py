"""The name of the request being answered: in its log lines, its problem document, and its X-Request-ID header."""

import re
import uuid
from contextvars import ContextVar

_VALID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=-]{0,127}")

current: ContextVar[str] = ContextVar("request_id", default="")
"""Empty outside a request."""


def accept(text: str | None) -> str:
    """The client's own id if it is one to 128 harmless characters, else a new one."""
    return text if text and _VALID.fullmatch(text) else uuid.uuid4().hex
