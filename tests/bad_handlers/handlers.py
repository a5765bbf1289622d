"""Every way we could think of in which the code of a kind may be wrong. Nothing here is to be imitated."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks_app.handlers import PermanentError, RetryableError, TaskContext, exponential, handler
from tests.bad_handlers import leavings  # noqa: F401  # it registers kinds too


class Unspeakable(Exception):
    """Cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Unprintable(BaseException):
    """No Exception, and not to be printed either: even that ends in SystemExit."""

    def __str__(self) -> str:
        raise SystemExit("no words")


def _raise(error: BaseException) -> None:
    raise error


def _cycle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def _deep() -> Any:
    found: Any = []
    for _ in range(100_000):
        found = [found]
    return found


def _recurse(context: TaskContext) -> None:
    _recurse(context)


def _killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _log_a_megabyte(context: TaskContext) -> None:
    for _ in range(1024):
        context.log("x" * 1024)


RAISES: dict[str, Callable[[TaskContext], Any]] = {
    "exception": lambda context: _raise(ValueError("a bug in the handler")),
    "exit": lambda context: sys.exit("leaving"),
    "keyboard_interrupt": lambda context: _raise(KeyboardInterrupt()),
    "base_exception": lambda context: _raise(BaseException("no Exception")),
    "generator_exit": lambda context: _raise(GeneratorExit()),
    "unspeakable": lambda context: _raise(Unspeakable()),
    "unprintable": lambda context: _raise(Unprintable()),
    "nul_text": lambda context: _raise(ValueError("half\0way")),
    "surrogate_text": lambda context: _raise(ValueError("half \ud800 way")),
    "long_text": lambda context: _raise(ValueError("x" * 5_000_000)),
    "memory_error": lambda context: _raise(MemoryError()),
    "recursion": lambda context: _recurse(context),
    "permanent": lambda context: _raise(PermanentError("never", code="never")),
    "megabyte_of_logs": _log_a_megabyte,
}  # fmt: skip
RETURNS: dict[str, Callable[[], Any]] = {
    "set": lambda: {1, 2},
    "nan": lambda: {"value": float("nan")},
    "infinity": lambda: [float("-inf")],
    "nul": lambda: {"text": "a\0b"},
    "nul_key": lambda: {"a\0b": 1},
    "surrogate": lambda: ["\ud800"],
    "number_key": lambda: {1: "one"},
    "cycle": _cycle,
    "deep": _deep,
    "large": lambda: "x" * 10_000_000,
    "many": lambda: list(range(1_000_000)),
    "object": object,
    "bytes": lambda: b"bytes",
    "huge_number": lambda: 10**5000,
    "module": lambda: sys,
    "generator": lambda: (number for number in range(3)),
}


@handler("bad_raise", max_attempts=1)
def bad_raise(payload: dict[str, Any], context: TaskContext) -> Any:
    """Raises what the payload's `what` says."""
    return RAISES[payload["what"]](context)


@handler("bad_return", max_attempts=1)
def bad_return(payload: dict[str, Any], context: TaskContext) -> Any:
    """Returns what JSON or the database cannot hold."""
    return RETURNS[payload["what"]]()


@handler("bad_rider", max_attempts=1, is_short=lambda payload: True)
def bad_rider(payload: dict[str, Any], context: TaskContext) -> Any:
    """Short, so that it rides in a batch: raises, returns, ends its process, or behaves."""
    what = payload.get("what", "")
    if what == "kill":
        _killed()
    if what in RAISES:
        RAISES[what](context)
    return RETURNS[what]() if what in RETURNS else what


@handler("bad_end", max_attempts=1)
def bad_end(payload: dict[str, Any], context: TaskContext) -> None:
    """Ends its own process, politely or not."""
    if payload["how"] == "os._exit":
        os._exit(int(payload.get("code", 0)))
    _killed()


@handler("bad_hang", timeout=1, max_attempts=1)
def bad_hang(payload: dict[str, Any], context: TaskContext) -> None:
    """Works longer than it may, and heeds no stop; `deaf` swallows even exceptions."""
    until = time.monotonic() + float(payload.get("seconds", 60))
    while time.monotonic() < until:
        try:
            time.sleep(0.2)
            context.progress(50, "still here")
        except BaseException:
            if not payload.get("deaf"):
                raise


@handler("bad_lock", timeout=1, max_attempts=1)
def bad_lock(payload: dict[str, Any], context: TaskContext) -> None:
    """Waits for itself in C code, where no exception reaches it."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=float(payload.get("seconds", 60)))


@handler("bad_patience", timeout=3600, max_attempts=1)
def bad_patience(payload: dict[str, Any], context: TaskContext) -> None:
    """Has time, and does not care for a cancellation."""
    time.sleep(float(payload.get("seconds", 60)))


@handler("held", timeout=3600)
def held(payload: dict[str, Any], context: TaskContext) -> dict[str, bool]:
    """Ends when the file `until` is there: for a test that needs something to run, and decides for how long."""
    while not Path(payload["until"]).exists():
        context.check()
        time.sleep(0.02)
    return {"ended": True}


@handler("bad_success", max_attempts=1)
def bad_success(payload: dict[str, Any], context: TaskContext) -> dict[str, bool]:
    """Its `on_success` function fails inside the transaction that settles it."""
    context.on_success(lambda: _raise(ValueError("not after all")))
    return {"ok": True}


@handler("flaky", max_attempts=4, backoff=exponential(first=0.25, factor=3.0, jitter=0))
def flaky(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Fails until its attempt `succeeds_at`, in a way that may pass."""
    if context.attempt < int(payload.get("succeeds_at", 99)):
        raise RetryableError("not yet", code="not_yet")
    return {"attempt": context.attempt}
