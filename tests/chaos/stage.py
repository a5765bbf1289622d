"""Where a case happens: the production roles under a supervisor, with servers of their own, or the embedded server."""

import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from tests.chaos.hooks import Hooks
from tests.chaos.load import Load
from tests.chaos.proxy import Proxy
from tests.chaos.supervisor import Supervisor
from tests.servers import Api, Deployment, Role, Standalone, told
from tests.services.processes import PATIENCE, ManagedProcess, eventually, remove_with_this_process
from tests.services.stack import Services

LEASE_SECONDS = 6
IMPATIENT = {
    "LEASE_SECONDS": str(LEASE_SECONDS), "SWEEP_SECONDS": "1", "GRACE_SECONDS": "1", "WEBHOOK_DEADLINE_SECONDS": "3",
    "WEBHOOK_EVENTS": "task.completed,task.failed,task.cancelled",
}  # fmt: skip
"""Settings of every server here. A webhook's lease is its deadline and fifteen seconds."""


class Stage:
    """What a case may break. `load` is the work that is going on meanwhile."""

    processes: list[ManagedProcess]
    api: Api
    load: Load

    def __init__(self, *, seed: int) -> None:
        self.hooks = Hooks(seed=seed)
        self.random = random.Random(seed)
        self.settings = {**told(self.hooks), **IMPATIENT, "EXTRA_APPS": "tests.bad_handlers,tests.chaos.kinds"}
        self._stack = contextlib.ExitStack()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """From the server's database, as SQL finds them."""
        raise NotImplementedError

    def open(self) -> None:
        self._stack.enter_context(self.hooks)

    def close(self) -> None:
        self._stack.close()

    def pause(self, seconds: float) -> None:
        """Lets the load go on, or a fault last."""
        time.sleep(seconds)


class Deployed(Stage):
    """web, live, worker and notifier; whoever of them dies is started again at once."""

    def __init__(self, *, seed: int, **environment: str) -> None:
        super().__init__(seed=seed)
        self.settings |= {"WORKER_CONCURRENCY": "4", **environment}

    def open(self) -> None:
        super().open()
        self.services = self._stack.enter_context(Services())
        self.deployment = Deployment(self.services, **self.settings)
        self._prepare()
        self._stack.callback(self._stop_roles)
        self.deployment.start()
        self.api, self.processes = self.deployment.api, list(self.deployment.roles)
        self.supervisor = self._stack.enter_context(Supervisor(self.processes))

    def _prepare(self) -> None:
        """Before the roles start."""

    def _stop_roles(self) -> None:
        for role in self.deployment.roles:
            role.kill()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.services.postgres.url(self.deployment.name), connect_timeout=5) as connection:
            return connection.execute(query.encode()).fetchall()

    def kill(self, role: Role) -> None:
        """SIGKILL for the main process; waits until the supervisor's next one serves."""
        self.end(role, signal.SIGKILL)
        self.wait_until_back(role)

    def end(self, role: Role, number: signal.Signals) -> None:
        """Sends a signal, and waits until the supervisor has noticed that the process ended."""
        restarts = self.supervisor.restarts
        role.send_signal(number)
        eventually(lambda: self.supervisor.restarts > restarts, message=f"{role.name} did not end")

    def wait_until_back(self, role: Role) -> None:
        eventually(lambda: role.is_running() and role.is_ready(), message=f"{role.name} did not come back")

    def children(self, role: Role | None = None) -> list[int]:
        """Direct children of a role's main process, by default of the worker's: its pool."""
        pid = (role or self.deployment.worker).pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Proxied(Deployed):
    """The roles reach PostgreSQL, RabbitMQ and Redis through proxies only."""

    def _prepare(self) -> None:
        postgres, rabbitmq, redis = self.services.postgres, self.services.rabbitmq, self.services.redis
        self.proxies: dict[str, Proxy] = {}
        for name, port in (("postgres", postgres.port), ("rabbitmq", rabbitmq.port), ("redis", redis.port)):
            self.proxies[name] = proxy = self._stack.enter_context(Proxy(port))
            for role in self.deployment.roles:
                old, new = f"127.0.0.1:{port}/", f"127.0.0.1:{proxy.port}/"
                role.environment = {key: text.replace(old, new) for key, text in (role.environment or {}).items()}


class Embedded(Stage):
    """`manage.py standalone`, started again when it dies."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self.directory = Path(tempfile.mkdtemp(prefix="taskmanager-chaos-"))
        remove_with_this_process(self.directory)

    def open(self) -> None:
        super().open()
        self.server = self._server()
        self._stack.callback(self.server.kill)
        self.server.start()
        self.api, self.processes = self.server.api, [self.server]
        self.supervisor = self._stack.enter_context(Supervisor(self.processes))

    def _server(self) -> Standalone:
        return Standalone(self.directory, **self.settings)

    @property
    def database(self) -> Path:
        return self.directory / "data" / "db.sqlite3"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.database, timeout=20)) as connection:
            return connection.execute(query).fetchall()

    def kill(self) -> None:
        """SIGKILL; returns when the next one answers."""
        restarts = self.supervisor.restarts
        self.server.send_signal(signal.SIGKILL)
        eventually(lambda: self.supervisor.restarts > restarts)
        eventually(lambda: self.server.is_running() and self.server.is_ready())


class Small(Embedded):
    """The embedded server on a file system of 12 MB, which exists in a mount namespace of its own: it goes with its keeper."""

    MEGABYTES = 12

    def open(self) -> None:
        mount = f"mount -t tmpfs -o size={self.MEGABYTES}m tmpfs {self.directory} && touch {self.directory}/mounted"
        keeper = ManagedProcess(
            "small-file-system",
            ["unshare", "--mount", "sh", "-c", f"{mount} && exec sleep infinity"],
            directory=Path(tempfile.mkdtemp(prefix="taskmanager-chaos-")),
        )
        self._stack.callback(keeper.kill)
        keeper.launch()
        self.seen = Path(f"/proc/{keeper.pid}/root{self.directory}")
        """The same directory, as processes outside of the namespace reach it."""
        eventually((self.seen / "mounted").exists, message=f"no file system of its own: {keeper.log_tail()}")
        self.keeper = keeper
        super().open()

    def _server(self) -> Standalone:
        # Its log stays outside: a full disk would silence it.
        server = Standalone(Path(tempfile.mkdtemp(prefix="taskmanager-chaos-")),
                            DATA_DIR=str(self.directory / "data"), **self.settings)  # fmt: skip
        server.command = [*self._inside, *server.command]
        return server

    @property
    def _inside(self) -> list[str]:
        """Runs what follows in the namespace that has the small file system."""
        return ["nsenter", "--mount", "--target", str(self.keeper.pid)]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        # SQLite resolves symbolic links itself, and would leave the namespace on the way.
        asked = subprocess.run([*self._inside, sys.executable, "-c", READING, str(self.database), query],
                               capture_output=True, text=True, timeout=PATIENCE, check=False)  # fmt: skip
        if asked.returncode:
            raise RuntimeError(f"cannot read the database: {asked.stderr}")
        return [tuple(row) for row in json.loads(asked.stdout)]


READING = """
import json, sqlite3, sys
print(json.dumps(sqlite3.connect(sys.argv[1], timeout=20).execute(sys.argv[2]).fetchall()))
"""


@contextlib.contextmanager
def opened(stage: Stage) -> Iterator[Stage]:
    """Closed whatever happens, also while it opens."""
    try:
        stage.open()
        yield stage
    finally:
        stage.close()
