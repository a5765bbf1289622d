"""A PostgreSQL server with a data directory of its own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import sql

from tests.services import packages
from tests.services.processes import ManagedProcess, ServiceFailed, free_port, remove_with_this_process

SYSTEM_USER = "postgres"


class Postgres(ManagedProcess):
    """Listens on 127.0.0.1 and a socket in its directory; the superuser `postgres` needs no password.

    `fsync=False` still keeps every commit through kill(): only the machine's own crash could lose one.
    One that is the `standby_of` another begins as a copy of it and follows it until `promote`.
    """

    def __init__(
        self, tmpdir: Path, *, fsync: bool = False, max_connections: int = 300, standby_of: "Postgres | None" = None
    ) -> None:
        packages.ensure("postgres", "initdb")
        # The server refuses to run as root.
        user = SYSTEM_USER if os.geteuid() == 0 else None
        self.primary = standby_of
        self.port = free_port()
        self.directory = _directory_for(user, tmpdir)
        self.data = self.directory / "data"
        self.has_migrated = False
        """Whether a database with our tables is kept for copies: see tests/servers.py."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.directory,
            "max_connections": max_connections,
            "timezone": "UTC",
            "log_timezone": "UTC",
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            # In files below the data directory, because segments in /dev/shm would outlive a SIGKILL.
            "dynamic_shared_memory_type": "mmap",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        super().__init__(
            "postgres",
            [packages.program("postgres"), "-D", self.data, *options],
            directory=tmpdir,
            environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            working_directory=self.directory,
            user=user,
            stop_signal=signal.SIGINT,
        )

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def launch(self) -> None:
        if not self.data.exists():
            self._make()
        super().launch()

    def is_ready(self) -> bool:
        with psycopg.connect(self.url(), connect_timeout=30):
            return True

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """fast: disconnect everybody; immediate: quit as in a crash and recover at the next start."""
        self._stop_with(signal.SIGINT if mode == "fast" else signal.SIGQUIT)

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create it as a copy of `template`, to which nobody may be connected; its URL."""
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop it if it is there, whoever is connected."""
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def execute(self, statement: sql.Composed | sql.SQL, *, database: str = "postgres") -> None:
        """Run one statement outside a transaction, as the superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def promote(self) -> None:
        """No standby any more: it writes, and follows nobody."""
        self.execute(sql.SQL("SELECT pg_promote(true, 120)"))

    def set_read_only(self, is_on: bool) -> None:
        """`default_transaction_read_only`, also for the sessions that are open."""
        self.execute(sql.SQL("ALTER SYSTEM SET default_transaction_read_only = {}").format(sql.Literal(is_on)))
        self.execute(sql.SQL("SELECT pg_reload_conf()"))

    def _make(self) -> None:
        name = "pg_basebackup" if self.primary else "initdb"
        if self.primary:
            options = ["--dbname", self.primary.url(), "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        else:
            options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
                       "--no-instructions"]  # fmt: skip
        command = [str(packages.program(name)), "-D", str(self.data), *options]
        finished = subprocess.run(
            command,
            env=dict(self.environment or {}),
            cwd=self.directory,
            user=self.user,
            group=pwd.getpwnam(self.user).pw_gid if self.user else None,
            extra_groups=[] if self.user else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if finished.returncode != 0:
            raise ServiceFailed(f"{name} failed with {finished.returncode}:\n{finished.stdout}")


def _directory_for(user: str | None, tmpdir: Path) -> Path:
    """A directory which that user may enter: pytest's own are closed to everybody but root."""
    open_to_all = all(parent.stat().st_mode & 0o001 for parent in (tmpdir, *tmpdir.resolve().parents))
    directory = Path(tempfile.mkdtemp(prefix="postgres-", dir=tmpdir if user is None or open_to_all else None))
    if user is not None:
        shutil.chown(directory, user, pwd.getpwnam(user).pw_gid)
    remove_with_this_process(directory)
    return directory
