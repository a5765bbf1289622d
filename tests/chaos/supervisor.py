"""Starts a role again when it died, as compose's `restart: always` does."""

import contextlib
import threading
from collections.abc import Iterator, Sequence

from tests.services.processes import PATIENCE, ManagedProcess


class Supervisor:
    """One thread that looks at its processes ten times a second."""

    def __init__(self, processes: Sequence[ManagedProcess]) -> None:
        self.processes = list(processes)
        self.restarts = 0
        self._lock = threading.RLock()
        self._left_alone: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="supervisor", daemon=True)

    @contextlib.contextmanager
    def hands_off(self, process: ManagedProcess) -> Iterator[None]:
        """Inside, somebody else stops and starts this process."""
        with self._lock:
            self._left_alone.add(process.name)
        try:
            yield
        finally:
            with self._lock:
                self._left_alone.discard(process.name)

    def _work(self) -> None:
        while not self._ended.wait(0.1):
            with self._lock:
                for process in self.processes:
                    if process.name not in self._left_alone and not process.is_running():
                        process.kill()  # what its death left behind: a container would be gone as a whole
                        process.launch()
                        self.restarts += 1

    def __enter__(self) -> "Supervisor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(PATIENCE)
