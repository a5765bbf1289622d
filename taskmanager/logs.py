"""What log lines say beyond their message."""

import logging
import re
import textwrap
import threading
import time
from typing import Any

from tasks_app import request_id, tracebacks

MAX_CHARACTERS = 8_000
MAX_TRACEBACK = 40_000
_CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160))}
_CONTROL |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"}
_CONTROL_IN_TRACEBACKS = {number: text for number, text in _CONTROL.items() if chr(number) not in "\n\t"}
_NUMBERS = re.compile(r"[0-9a-f-]*\d[0-9a-f-]*")


class LineFormatter(logging.Formatter):
    """One line for one event, of bounded length: what others sent cannot begin a line of its own, nor steer a terminal."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname:<7} {name} [{threadName}] {message}{request}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, its control characters written out."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """A traceback keeps its lines, all of them indented."""
        text = tracebacks.trace_of(ei[1]).rstrip() if ei[1] is not None else ""
        text = _shortened(text, MAX_TRACEBACK).translate(_CONTROL_IN_TRACEBACKS)
        return textwrap.indent(text, "  ")


def one_line(text: str) -> str:
    """The text with its control characters written out, the middle left out where it is very long."""
    return _shortened(text, MAX_CHARACTERS).translate(_CONTROL)


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} … ({len(text) - most:,} characters left out) … {text[-most // 2 :]}"


class RequestFilter(logging.Filter):
    """Adds ` request_id=…` to the lines of a request, and leaves out where in Django a client's mistake was noticed.

    A traceback is about an error of ours. Without this anybody fills the log with them, by a wrong Host alone.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        name = request_id.current.get()
        record.request = f" request_id={name}" if name else ""
        if 400 <= getattr(record, "status_code", 0) < 500:
            record.exc_info = record.exc_text = None
        return True


class RepeatFilter(logging.Filter):
    """Says the same complaint once in a while, and how often it was left out: a service that is away is one fact.

    Lines about one task (`task_id=`) are facts of their own. Numbers and ids do not make a line another.
    """

    SECONDS = 10.0
    MOST_KEPT = 1000

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str], list[float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or "task_id=" in str(record.msg):
            return True
        key = (record.name, _NUMBERS.sub("#", record.getMessage()))
        now = time.monotonic()
        with self._lock:
            until, left_out = self._said.get(key, (0.0, 0.0))
            if now < until:
                self._said[key] = [until, left_out + 1]
                return False
            if len(self._said) >= self.MOST_KEPT:
                self._said.clear()
            self._said[key] = [now + self.SECONDS, 0]
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (left out: {left_out:.0f} like it)", None
        return True


def to_stdout(level: str) -> dict[str, Any]:
    """Django's LOGGING: one line an event, all to standard output."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "taskmanager.logs.LineFormatter"}},
        "filters": {
            "request": {"()": "taskmanager.logs.RequestFilter"},
            "repeats": {"()": "taskmanager.logs.RepeatFilter"},
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "line",
                "filters": ["request", "repeats"],
            }
        },
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            **{
                name: {"level": "WARNING"}
                for name in ("amqp", "asyncio", "celery.app.trace", "celery.worker.strategy", "daphne", "kombu")
            },
            "urllib3": {"level": "ERROR"},  # its warnings hold the URLs of receivers, secrets in them included
        },
    }
