"""PgBouncer in transaction mode before a PostgreSQL server."""

import os
from pathlib import Path

import psycopg

from tests.services import packages
from tests.services.postgres import SYSTEM_USER, Postgres
from tests.services.processes import ManagedProcess, free_port

CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = postgres
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 300
"""


class PgBouncer(ManagedProcess):
    """Listens on 127.0.0.1. All clients of one database share `size` sessions, and each transaction may get another."""

    def __init__(self, tmpdir: Path, postgres: Postgres, *, size: int) -> None:
        packages.ensure("pgbouncer")
        self.postgres, self.port = postgres, free_port()
        configuration, users = postgres.directory / "pgbouncer.ini", postgres.directory / "users.txt"
        users.write_text('"postgres" ""\n')
        configuration.write_text(CONFIGURATION.format(server=postgres.port, port=self.port, users=users, size=size))
        for path in (configuration, users):
            path.chmod(0o644)
        super().__init__(
            "pgbouncer",
            [packages.program("pgbouncer"), configuration],
            directory=tmpdir,
            working_directory=postgres.directory,
            user=SYSTEM_USER if os.geteuid() == 0 else None,  # it refuses to run as root
        )

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        self.postgres.create_database(name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        self.postgres.drop_database(name)

    def is_ready(self) -> bool:
        with psycopg.connect(self.url(), connect_timeout=5):
            return True
