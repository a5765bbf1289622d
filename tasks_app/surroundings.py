"""What belongs to the whole process and the code of a kind may change to the harm of the worker: put back after it.

Each look costs about a microsecond. Out of reach are the environment, the globals of modules, and threads left running.
"""

import gc
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from billiard.process import current_process

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


def _stop_alarm(_: Any) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)


def _put_back_signals(values: tuple[Any, ...]) -> None:
    for number, action in zip(_SIGNALS, values, strict=True):
        if action is not None:
            signal.signal(number, action)


def _put_back_streams(values: tuple[Any, ...]) -> None:
    sys.stdout, sys.stderr = values


def _limit(name: int) -> tuple[str, Callable[[], Any], Callable[[Any], object]]:
    return ("limit on memory", lambda: resource.getrlimit(name), lambda value: resource.setrlimit(name, value))


_PARTS: tuple[tuple[str, Callable[[], Any], Callable[[Any], object]], ...] = (
    _limit(resource.RLIMIT_AS),  # first: the rest takes memory
    _limit(resource.RLIMIT_DATA),
    ("working directory", os.getcwd, os.chdir),
    ("standard streams", lambda: (sys.stdout, sys.stderr), _put_back_streams),
    ("logging.disable", lambda: logging.root.manager.disable, logging.disable),
    ("socket time-out", socket.getdefaulttimeout, socket.setdefaulttimeout),
    ("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    ("garbage collection", gc.isenabled, lambda value: gc.enable() if value else gc.disable()),
)
_OF_MAIN_THREAD: tuple[tuple[str, Callable[[], Any], Callable[[Any], object]], ...] = (
    ("alarm", lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0, _stop_alarm),
    ("signals", lambda: tuple(map(signal.getsignal, _SIGNALS)), _put_back_signals),
)


class _Process:
    """This process as it was before its first handler."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._umask: int | None = None
        self._before: list[tuple[str, Callable[[], Any], Callable[[Any], object], Any]] = []

    def enter(self) -> None:
        with self._lock:
            self._running += 1
            if self._umask is not None:
                return
            self._umask = os.umask(0o077)  # there is no other way to read it
            os.umask(self._umask)
            is_main = threading.current_thread() is threading.main_thread()
            self._before = [(*part, part[1]()) for part in (*_PARTS, *(_OF_MAIN_THREAD if is_main else ()))]

    def leave(self, kind: str) -> None:
        with self._lock:
            self._running -= 1
            if self._running:
                return  # another handler may have changed something for the time being
            changed = [name for name, read, put_back, value in self._before if _differs(read, put_back, value)]
            if self._umask is not None and os.umask(self._umask) != self._umask:
                changed.append("umask")
        if changed:
            logger.warning("Put back what a handler of kind %s left changed: %s", kind, ", ".join(changed))


def _differs(read: Callable[[], Any], put_back: Callable[[Any], object], value: Any) -> bool:
    """Puts it back if it is not what it was."""
    with suppress(Exception):  # the working directory may be gone
        if read() == value:
            return False
    with suppress(Exception):
        put_back(value)
    return True


_process = _Process()


@contextmanager
def restored(kind: str) -> Iterator[None]:
    """Whatever runs inside, the process is as before once no handler runs in it."""
    _process.enter()
    try:
        yield
    finally:
        _process.leave(kind)
        if is_prefork_child():
            end_processes(kind)


def is_prefork_child() -> bool:
    """True in a process that runs one handler at a time and may end without harm to others."""
    return bool(current_process().name != "MainProcess")


def end_processes(kind: str) -> None:
    """Kills what `multiprocessing` started here and that still runs: nobody would ever wait for it."""
    left = multiprocessing.active_children()
    for process in left:
        with suppress(Exception):
            process.kill()
            process.join()
    if left:
        logger.warning("Ended %d processes that a handler of kind %s left running", len(left), kind)
