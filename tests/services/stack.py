"""PostgreSQL, RabbitMQ and Redis together, as the application needs them."""

import contextlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.services import packages
from tests.services.postgres import Postgres
from tests.services.processes import ManagedProcess, remove_with_this_process
from tests.services.rabbitmq import RabbitMQ
from tests.services.redis import Redis


class Services:
    """Starts the three servers at the same time, in a directory of its own unless it is given one."""

    def __init__(self, directory: Path | None = None, *, fsync: bool = False) -> None:
        # One installation for all, instead of one for each server.
        packages.ensure("postgres", "initdb", "rabbitmq-server", "rabbitmqctl", "epmd", "redis-server")
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="taskmanager-services-"))
            directory.chmod(0o711)  # PostgreSQL's user passes through, and no more
            remove_with_this_process(directory)
        self.directory = directory
        self.postgres = Postgres(directory, fsync=fsync)
        self.rabbitmq = RabbitMQ(directory)
        self.redis = Redis(directory)

    @property
    def all(self) -> tuple[ManagedProcess, ...]:
        return self.rabbitmq, self.postgres, self.redis

    def start(self) -> None:
        """Start them all, or none: the first failure stops the others and is raised."""
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.stop)
            with ThreadPoolExecutor(max_workers=len(self.all)) as pool:
                for started in [pool.submit(service.start) for service in self.all]:
                    started.result()
            on_failure.pop_all()

    def stop(self) -> None:
        with ThreadPoolExecutor(max_workers=len(self.all)) as pool:
            for stopped in [pool.submit(service.stop) for service in self.all]:
                stopped.result()

    def environment(self, database: str = "postgres") -> dict[str, str]:
        """The settings by which the application finds these servers."""
        return {
            "DATABASE_URL": self.postgres.url(database),
            "RABBITMQ_URL": self.rabbitmq.url,
            "REDIS_URL": self.redis.url,
        }

    def __enter__(self) -> "Services":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
