"""What the code of a kind may leave behind for those after it. Nothing here is to be imitated."""

import decimal
import gc
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import Error, connection, transaction
from django.utils import timezone

from tasks_app.handlers import TaskContext, handler


def _execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _postgresql() -> bool:
    return connection.vendor == "postgresql"


def _broken_transaction() -> None:
    _execute("BEGIN")
    _swallow()


def _autocommit_off() -> None:
    transaction.set_autocommit(False)
    _execute("SELECT 1")


def _atomic_never_left() -> None:
    transaction.atomic().__enter__()
    _execute("CREATE TABLE left_open (id integer)")


def _read_only() -> None:
    _execute("SET default_transaction_read_only = on" if _postgresql() else "PRAGMA query_only = ON")


def _other_tables() -> None:
    if _postgresql():
        _execute("SET search_path = nowhere")
    else:
        _execute("CREATE TEMP TABLE tasks_app_task (id integer)")


def _temporary_tables() -> None:
    _execute(
        "CREATE TEMPORARY TABLE tasks_app_task (id integer)", "CREATE TEMPORARY TABLE tasks_app_taskevent (id integer)"
    )


def _raw_connection() -> None:
    """Past Django, at the driver."""
    connection.ensure_connection()
    raw: Any = connection.connection
    raw.execute("SET default_transaction_read_only = on" if _postgresql() else "PRAGMA query_only = ON")
    raw.execute("BEGIN")


def _raw_closed() -> None:
    connection.ensure_connection()
    raw: Any = connection.connection
    raw.close()


def _swallow() -> None:
    with suppress(Error):
        _execute("SELECT nothing FROM nowhere")


def _set_rollback() -> None:
    if connection.in_atomic_block:
        transaction.set_rollback(True)


def _function_that_sets() -> None:
    if _postgresql():
        _execute("SELECT set_config('search_path', 'nowhere', false)", "SELECT pg_advisory_lock(1)")
    else:
        connection.ensure_connection()
        raw: Any = connection.connection
        raw.create_function("json_each", 1, lambda _: None)


def _in_main_thread(function: Callable[[], Any]) -> None:
    """What has to do with signals is for that thread alone."""
    if threading.current_thread() is threading.main_thread():
        function()


def _wrapper() -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("No statement passes here.")

    connection.execute_wrappers.append(refuse)


def _rollback_marked() -> None:
    block = transaction.atomic()
    block.__enter__()
    transaction.set_rollback(True)


def _locked() -> None:
    if _postgresql():
        _execute("BEGIN", "LOCK TABLE tasks_app_task IN ACCESS EXCLUSIVE MODE")
    else:
        _execute("BEGIN EXCLUSIVE")


LEAVES: dict[str, Callable[[], Any]] = {
    "transaction": lambda: _execute("BEGIN"),
    "broken_transaction": _broken_transaction,
    "autocommit_off": _autocommit_off,
    "atomic_never_left": _atomic_never_left,
    "read_only": _read_only,
    "other_tables": _other_tables,
    "temporary_tables": _temporary_tables,
    "raw_connection": _raw_connection,
    "raw_closed": _raw_closed,
    "wrapper": _wrapper,
    "rollback_marked": _rollback_marked,
    "locked": _locked,
    "commit": lambda: _execute("COMMIT"),
    "rollback": lambda: _execute("ROLLBACK"),
    "rollback_and_begin": lambda: _execute("ROLLBACK", "BEGIN"),
    "swallowed_error": _swallow,
    "set_rollback": _set_rollback,
    "closed": lambda: connection.close(),
    "function_that_sets": _function_that_sets,
    "decimal_context": lambda: setattr(decimal.getcontext(), "prec", 2),
    "time_zone": lambda: timezone.activate("Asia/Tokyo"),
    "working_directory": lambda: os.chdir("/"),
    "umask": lambda: os.umask(0o777),
    "socket_timeout": lambda: socket.setdefaulttimeout(0.0001),
    "recursion_limit": lambda: sys.setrecursionlimit(500),
    "logging": lambda: logging.disable(logging.CRITICAL),
    "no_stdout": lambda: sys.__dict__.update(stdout=None, stderr=None),
    "collector": gc.disable,
    "alarm": lambda: _in_main_thread(lambda: signal.setitimer(signal.ITIMER_REAL, 0.5)),
    "signal": lambda: _in_main_thread(lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN)),
}


@handler("leaves", max_attempts=1)
def leaves(payload: dict[str, Any], context: TaskContext) -> str:
    """Leaves something behind, in the settlement if the payload says so, and returns as if nothing were."""
    what = LEAVES[payload["what"]]
    if payload.get("in_effect"):
        context.on_success(what)
    else:
        what()
    return "done"


@handler("finds", max_attempts=1)
def finds(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Behaves, and says what it finds of what others may leave behind."""
    with connection.cursor() as cursor:
        names = ["query_only", "busy_timeout"]
        if _postgresql():
            names = ["search_path", "default_transaction_read_only", "TimeZone", "statement_timeout"]
        database = {}
        for name in names:
            cursor.execute(f"SHOW {name}" if _postgresql() else f"PRAGMA {name}")
            database[name] = str(cursor.fetchone()[0])
        cursor.execute("SELECT count(*) > 0 FROM tasks_app_taskevent")
    os.umask(mask := os.umask(0o022))
    return {
        **database, "atomic": connection.in_atomic_block, "precision": decimal.getcontext().prec, "umask": mask,
        "zone": timezone.get_current_timezone_name(), "directory": str(Path.cwd()),
        "timeout": socket.getdefaulttimeout(), "recursion": sys.getrecursionlimit(), "collector": gc.isenabled(),
        "logging": logging.root.manager.disable, "stdout": sys.stdout is not None,
        "sigterm": repr(signal.getsignal(signal.SIGTERM)),
    }  # fmt: skip


def _chain_of(length: int) -> BaseException:
    error: BaseException = ValueError("the first")
    for number in range(length):
        try:
            raise ValueError(f"number {number}")
        except ValueError as found:
            found.__cause__ = error
            error = found
    return error


def _own_cause() -> BaseException:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def _own_context() -> BaseException:
    first, second = ValueError("first"), KeyError("second")
    first.__context__, second.__context__ = second, first
    return first


class Hangs(Exception):
    """Never says what it is."""

    def __str__(self) -> str:
        while True:
            time.sleep(0.1)


class Huge(Exception):
    """Says 100 million characters."""

    def __str__(self) -> str:
        return "x" * 100_000_000


class NoText(Exception):
    """Says something that is no text."""

    def __str__(self) -> Any:
        return 42


def _wide_group() -> BaseException:
    return ExceptionGroup(  # noqa: F821  # from Python 3.11 on
        "wide", [ValueError(str(number)) for number in range(100_000)]
    )


def _deep_group() -> BaseException:
    group: Exception = ValueError("innermost")
    for number in range(10_000):
        group = ExceptionGroup(str(number), [group])  # noqa: F821
    return group


ERRORS: dict[str, Callable[[], BaseException]] = {
    "chain_of_20000": lambda: _chain_of(20_000),
    "own_cause": _own_cause,
    "own_context": _own_context,
    "hangs": Hangs,
    "huge": Huge,
    "no_text": NoText,
    "notes": lambda: _with_notes(ValueError("with notes")),
    **({"wide_group": _wide_group, "deep_group": _deep_group} if sys.version_info >= (3, 11) else {}),
}


def _with_notes(error: BaseException) -> BaseException:
    for _ in range(1000):
        error.add_note("x" * 100_000)
    return error


@handler("bad_error", max_attempts=1)
def bad_error(payload: dict[str, Any], context: TaskContext) -> None:
    """Raises what is hard to write down; in its `on_success` function if the payload says so."""
    error = ERRORS[payload["what"]]()

    def throw() -> None:
        raise error

    if payload.get("in_effect"):
        context.on_success(throw)
    else:
        throw()


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def _square(number: int) -> int:
    return number * number


def _pool(payload: dict[str, Any]) -> Any:
    with multiprocessing.get_context(payload["method"]).Pool(2) as pool:
        return pool.map(_square, range(5))


def _left_running(payload: dict[str, Any]) -> None:
    child = multiprocessing.get_context("fork").Process(target=_sleep, args=(3600,))
    child.start()
    Path(payload["file"]).write_text(str(child.pid))


def _left_and_killed(payload: dict[str, Any]) -> None:
    _left_running(payload)
    os.kill(os.getpid(), signal.SIGKILL)


def _left_and_deaf(payload: dict[str, Any]) -> None:
    _left_running(payload)
    while True:
        with suppress(BaseException):
            time.sleep(1)


PROCESSES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pool": _pool,
    "left_running": _left_running,
    "left_and_killed": _left_and_killed,
    "left_and_deaf": _left_and_deaf,
}


@handler("bad_processes", max_attempts=1)
def bad_processes(payload: dict[str, Any], context: TaskContext) -> Any:
    """Starts processes; writes into the file `file` the number of the one that it leaves."""
    return PROCESSES[payload["what"]](payload)


@handler("bad_memory", max_attempts=1)
def bad_memory(payload: dict[str, Any], context: TaskContext) -> None:
    """Takes memory until there is none, under a limit that it leaves behind."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 100_000_000, resource.RLIM_INFINITY))
    taken: list[Any] = []
    step = 1_000_000
    while True:
        try:
            taken.append(bytearray(step))
        except MemoryError:
            if step < 100:
                raise
            step //= 10


@handler("bad_hold", max_attempts=1)
def bad_hold(payload: dict[str, Any], context: TaskContext) -> None:
    """Holds locks of the database's until the file `until` is there, whatever it is asked; `in_effect`: in the settlement."""

    def hold() -> None:
        with transaction.atomic():
            _execute("CREATE TABLE held_by_a_handler (id integer)", "DELETE FROM django_session")
            while not Path(payload["until"]).exists():
                with suppress(BaseException):
                    context.progress(10, "holding")
                    time.sleep(0.1)

    if payload.get("in_effect"):
        context.on_success(hold)
    else:
        hold()
