"""Child processes with a log and a readiness check, free ports, and `eventually`.

A child leads a session of its own; its whole tree ends with the test run, even one ended by SIGKILL.
"""

import atexit
import os
import pwd
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tests.services import reaper

PATIENCE = 180.0
"""Seconds until something that a test waits for counts as hanging.

A wait that succeeds ends when it does, so there is no reason to give one less: on a machine that is slow and busy, what
takes one second here takes ten. How long things take is measured by `make chaos` and benchmarks/, never by a test.
"""

T = TypeVar("T")
ProcessT = TypeVar("ProcessT", bound="ManagedProcess")


class ServiceFailed(Exception):
    """A child process did not start, or did not stop, as it should. The message ends with its log."""


def eventually(
    predicate: Callable[[], T], *, timeout: float = PATIENCE, interval: float = 0.05, message: str = ""
) -> T:
    """The predicate's first truthy value. A failed assertion inside it counts as "not yet".

    `interval` is the first pause; the longer it takes, the less often it is asked, down to every half second.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            value = predicate()
        except AssertionError as error:
            last = error
        else:
            if value:
                return value
            last = value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{message or 'Not true'} within {timeout} s; the last value was {last!r}")
        time.sleep(interval)
        interval = max(interval, min(1.2 * interval, 0.5))


def free_port() -> int:
    """A loopback port that nothing listens on and that this process has not handed out before.

    It lies below the kernel's ephemeral range: while a server is down, a port from that range may
    become the source port of any connection, and a client that retries may even connect to itself.
    """
    with _ports_lock:
        for _ in range(1000):
            port = _random.randrange(10_000, _first_ephemeral_port())
            if port in _ports_taken:
                continue
            with socket.socket() as candidate:
                candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    candidate.bind(("127.0.0.1", port))
                except OSError:
                    continue
            _ports_taken.add(port)
            return port
    raise ServiceFailed("found no free port on 127.0.0.1 in 1000 attempts")


def _first_ephemeral_port() -> int:
    configured = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    return configured if configured > 11_000 else 32_768


_ports_lock = threading.Lock()
_ports_taken: set[int] = set()
# Seeding the global generator must not make two test runs choose the same ports.
_random = random.SystemRandom()


class _Reaper:
    """This process's end of the pipe to reaper.py, which is started with the first charge."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, charge: int | Path) -> None:
        self._write(f"+{charge}\n")

    def remove(self, charge: int | Path) -> None:
        self._write(f"-{charge}\n")

    def _write(self, line: str) -> None:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", reaper.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd="/",
                )
                atexit.register(self._close)
            assert self._process.stdin is not None
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()

    def _close(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


_reaper = _Reaper()


def remove_with_this_process(directory: Path) -> None:
    """Have this directory deleted once the test run has ended, however it ends."""
    _reaper.add(directory.resolve())


class ManagedProcess:
    """One command, started and stopped as often as a test likes, always with the same arguments."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        working_directory: Path | None = None,
        user: str | None = None,
        ready: Callable[[], object] | None = None,
        start_seconds: float = PATIENCE,
        stop_seconds: float = PATIENCE,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """`environment` replaces the own one; `ready` may raise; the log goes into `directory`."""
        self.name = name
        self.command = [str(part) for part in command]
        self.environment = environment
        self.working_directory = working_directory
        self.user = user
        self.log = directory / f"{name}.log"
        self.start_seconds = start_seconds
        self.stop_seconds = stop_seconds
        self.stop_signal = stop_signal
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        self._started: str | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServiceFailed(f"{self.name} has not been started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs or before the first start; negative: the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def is_ready(self) -> bool:
        """Whether it serves: the `ready` argument, or the override of a subclass. May raise."""
        return self._ready is None or bool(self._ready())

    def start(self) -> None:
        """Start and wait until ready. Raises ServiceFailed with the log's tail."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start without waiting."""
        if self.is_running():
            raise ServiceFailed(f"{self.name} already runs as process {self.pid}")
        group = pwd.getpwnam(self.user).pw_gid if self.user else None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self.working_directory,
                user=self.user,
                group=group,
                extra_groups=[] if self.user else None,
                start_new_session=True,
            )
        self._started = reaper.started(self._process.pid)
        _reaper.add(self._process.pid)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_seconds
        problem: object = "it is not ready"
        while time.monotonic() < deadline:
            if not self.is_running():
                self.kill()
                raise self._failed(f"ended with {self.returncode} while starting")
            try:
                if self.is_ready():
                    return
            except Exception as error:
                problem = error
            time.sleep(0.1)
        self.kill()
        raise self._failed(f"did not become ready within {self.start_seconds} s: {problem}")

    def stop(self) -> None:
        """Ask it to end, and end whatever it leaves behind. No-op when it does not run."""
        self._stop_with(self.stop_signal)

    def _stop_with(self, number: signal.Signals) -> None:
        if self.is_running():
            self.resume()
            self.send_signal(number)
        self._wait_for_end()

    def _wait_for_end(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            raise self._failed(f"did not end within {self.stop_seconds} s and was killed") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL the whole tree, at once."""
        if self._process is not None and self._started is not None:
            # Its session may outlive it; another process may have got its id.
            if reaper.started(self._process.pid) in (None, self._started):
                reaper.kill_trees([self._process.pid])
            self._process.wait()
            self._started = None
            _reaper.remove(self._process.pid)

    def restart(self) -> None:
        self.stop()
        self.start()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its children."""
        if not self.is_running():
            raise ServiceFailed(f"{self.name} does not run, so it cannot get {number.name}")
        os.kill(self.pid, number)

    def pause(self) -> None:
        """SIGSTOP the whole tree: connections stay open, nothing answers."""
        self._signal_tree(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_tree(signal.SIGCONT)

    def wait(self, timeout: float) -> int:
        """Wait for it to end by itself; its return code."""
        if self._process is None:
            raise ServiceFailed(f"{self.name} has not been started")
        try:
            returncode = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self._failed(f"still runs after {timeout} s") from None
        self.kill()
        return returncode

    def log_tail(self, lines: int = 40) -> str:
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self: ProcessT) -> ProcessT:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _signal_tree(self, number: signal.Signals) -> None:
        if self.is_running():
            reaper.signal_tree(self.pid, number)

    def _failed(self, what: str) -> ServiceFailed:
        return ServiceFailed(f"{self.name} {what}. The end of {self.log}:\n{self.log_tail()}")
