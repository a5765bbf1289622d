"""A Redis server that keeps nothing on disk: a restart empties it."""

from pathlib import Path

import redis

from tests.services import packages
from tests.services.processes import ManagedProcess, free_port


class Redis(ManagedProcess):
    """Listens on 127.0.0.1 without a password."""

    def __init__(self, tmpdir: Path) -> None:
        packages.ensure("redis-server")
        self.port = free_port()
        super().__init__(
            "redis",
            [
                *(packages.program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", tmpdir, "--daemonize", "no"),
            ],
            directory=tmpdir,
        )

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def is_ready(self) -> bool:
        with redis.Redis(port=self.port, socket_timeout=30) as client:
            return bool(client.ping())

    def wipe(self) -> None:
        """Delete every key."""
        with redis.Redis(port=self.port, socket_timeout=30) as client:
            client.flushall()
