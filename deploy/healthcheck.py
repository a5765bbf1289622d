"""Asks the program in this container whether it still answers; the exit status says so. For HEALTHCHECK in the Dockerfile.

web, live and standalone: GET /livez. Flower: GET /healthcheck. worker and notifier: a ping through the broker, which
they answer from the loop that takes messages. While the broker is away they count as unhealthy; nothing restarts them.
"""

import http.client
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

SECONDS = 5


def main(processes: Path = Path("/proc")) -> None:
    for arguments in _command_lines(processes):
        if "celery" in arguments and "flower" in arguments:
            return _get(_port("FLOWER_PORT", 5555), os.environ.get("FLOWER_URL_PREFIX", "").strip("/"), "healthcheck")
        if "celery" in arguments and "worker" in arguments:
            return _ping(arguments[arguments.index("-n") + 1].replace("%h", socket.gethostname()))
        if {"granian", "taskmanager.daphne", "standalone"}.intersection(arguments):
            return _get(_port("PORT", _port("API_PORT", 8000)), "livez")
    sys.exit("No role runs here yet.")


def _command_lines(processes: Path) -> Iterator[list[str]]:
    # The role is process 1, or its child where an init comes first.
    for path in processes.glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has just ended


def _port(name: str, default: int) -> int:
    value = os.environ.get(name, "").strip()
    return int(value) if value.isdigit() else default  # Kubernetes sets FLOWER_PORT=tcp://… for a service of that name


def _get(port: int, *path: str) -> None:
    host = os.environ.get("HOST", "")
    # The server refuses names that are not its own; of `.example.org` and `*` any will do.
    allowed = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().removeprefix(".").replace("*", "")
    connection = http.client.HTTPConnection("127.0.0.1" if host in ("", "0.0.0.0") else host, port, timeout=SECONDS)  # noqa: S104
    connection.request("GET", "/" + "/".join(part for part in path if part), headers={"Host": allowed or "localhost"})
    status = connection.getresponse().status
    if status != 200:
        sys.exit(f"{'/'.join(path)} answers {status}.")


def _ping(name: str) -> None:
    from celery import Celery  # here: the other roles need not wait for it

    from taskmanager import addresses

    app = Celery("healthcheck", broker=addresses.broker_url("RABBITMQ_URL"), set_as_current=False)
    with app.connection_for_write(connect_timeout=SECONDS, heartbeat=0) as connection:
        if not app.control.inspect(destination=[name], connection=connection, timeout=SECONDS).ping():
            sys.exit(f"{name} does not answer.")


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # whatever it is: one line in `docker inspect`
        sys.exit(f"{type(error).__name__}: {error}")
