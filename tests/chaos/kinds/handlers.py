"""Kinds of task for the chaos suite only."""

import os
import signal
import time
from typing import Any

from tasks_app.handlers import RetryableError, TaskContext, exponential, handler


@handler("chaos_retry", max_attempts=4, backoff=exponential(first=0.3, factor=2.0, jitter=0.2))
def chaos_retry(payload: dict[str, Any], context: TaskContext) -> dict[str, int]:
    """Fails until so much time has passed since it was asked for; the number of attempts would not do, as kills add some.

    By the monotonic clock, which all processes of a machine share: a worker's own may be ten minutes behind.
    """
    if time.monotonic() < float(payload["from"]):
        raise RetryableError("not yet", code="not_yet")
    return {"attempt": context.attempt}


@handler("chaos_hopeless", max_attempts=2, backoff=exponential(first=0.3, factor=2.0, jitter=0.2))
def chaos_hopeless(payload: dict[str, Any], context: TaskContext) -> None:
    """Fails each time, in a way that may pass."""
    raise RetryableError("never", code="never")


@handler("chaos_poison", max_attempts=3)
def chaos_poison(payload: dict[str, Any], context: TaskContext) -> None:
    """Ends the process that works on it, or that one's parent, with SIGKILL."""
    victim = os.getppid() if payload["whom"] == "main" else os.getpid()
    os.kill(victim, signal.SIGKILL)
    time.sleep(60)
