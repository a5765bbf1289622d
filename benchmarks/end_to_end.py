"""From POST to the webhook's receipt: tasks per second, latency and SQL statements, embedded and on real services.

    make install test-fast   # once, for the packages
    python -m benchmarks.end_to_end [--tasks 1000] [--clients 8] [--rounds 3]

Starts its own servers on free ports of this machine, alternates between the two in each round, and prints medians.
Driver and receiver run on the same processors: the figures are lower bounds, and only ratios travel between machines.
"""

import argparse
import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from psycopg import sql

from tests.servers import Deployment, Standalone
from tests.services.receiver import Receiver, Request
from tests.services.stack import Services

Server = Standalone | Deployment
PAYLOAD = {"message": "It works"}


def submit(connection: http.client.HTTPConnection, title: str) -> str:
    """One POST over a kept connection; returns the id."""
    body = json.dumps({"title": title, "payload": PAYLOAD})
    connection.request("POST", "/tasks", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 201, text
    return str(json.loads(text)["id"])


def connect(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)


def throughput(server: Server, receiver: Receiver, *, tasks: int, clients: int) -> tuple[float, float]:
    """Tasks per second accepted, and done with their webhook received."""
    receiver.clear()
    started = time.perf_counter()

    def client(count: int) -> None:
        connection = connect(server)
        for index in range(count):
            submit(connection, f"Task {index}")

    threads = [threading.Thread(target=client, args=(tasks // clients,)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = time.perf_counter() - started
    received = receiver.wait_for(tasks // clients * clients, timeout=300)
    total = time.perf_counter() - started
    ids = {json.loads(request.body)["id"] for request in received}
    assert len(ids) == tasks // clients * clients, "a webhook is missing"
    return len(ids) / accepted, len(ids) / total


def latency(server: Server, receiver: Receiver, *, rate: float, tasks: int) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds from before the POST to the webhook's arrival, at `rate` a second."""
    receiver.clear()
    connection = connect(server)
    sent: dict[str, float] = {}
    for index in range(tasks):
        before = time.monotonic()
        sent[submit(connection, f"Latency {index}")] = before
        time.sleep(max(0.0, 1 / rate - (time.monotonic() - before)))
    arrived: dict[str, float] = {}
    request: Request
    for request in receiver.wait_for(tasks, timeout=60):
        arrived.setdefault(json.loads(request.body)["id"], request.received_monotonic)
    waits = sorted((arrived[key] - moment) * 1000 for key, moment in sent.items())
    return statistics.median(waits), waits[int(len(waits) * 0.95)]


def statements(services: Services, deployment: Deployment, receiver: Receiver, *, tasks: int, clients: int) -> float:
    """SQL statements per task, as PostgreSQL logs them, sweeps and health checks included."""
    log = Path(services.postgres.log)
    services.postgres.execute(sql.SQL("ALTER SYSTEM SET log_statement = 'all'"))
    services.postgres.execute(sql.SQL("SELECT pg_reload_conf()"))
    time.sleep(1)  # the reload is asynchronous
    size = log.stat().st_size
    throughput(deployment, receiver, tasks=tasks, clients=clients)
    with log.open("rb") as file:
        file.seek(size)
        lines = file.read()
    services.postgres.execute(sql.SQL("ALTER SYSTEM RESET log_statement"))
    services.postgres.execute(sql.SQL("SELECT pg_reload_conf()"))
    return (lines.count(b"LOG:  statement:") + lines.count(b"LOG:  execute ")) / tasks


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tasks", type=int, default=1000)
    options.add_argument("--clients", type=int, default=8)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    size: dict[str, int] = {"tasks": chosen.tasks, "clients": chosen.clients}

    with Services(fsync=True) as services, Receiver() as receiver:
        hook = receiver.url("/hook")
        with Standalone(WEBHOOK_URL=hook) as embedded, Deployment(services, WEBHOOK_URL=hook) as deployment:
            servers: dict[str, Server] = {"embedded": embedded, "real services": deployment}
            found: dict[str, list[tuple[float, ...]]] = {name: [] for name in servers}
            for server in servers.values():  # warm-up
                throughput(server, receiver, tasks=100, clients=chosen.clients)
            for _ in range(chosen.rounds):
                for name, server in servers.items():
                    rates = throughput(server, receiver, **size)
                    found[name].append((*rates, *latency(server, receiver, rate=20, tasks=100)))
            report(found)
            busy = statements(services, deployment, receiver, **size)
            idle = statements(services, deployment, receiver, tasks=50, clients=1)
            print(f"SQL statements per task, real services: {busy:.1f} under load, {idle:.1f} one at a time")


def report(found: dict[str, list[tuple[float, ...]]]) -> None:
    """A table of medians over the rounds."""
    median: Callable[[list[float]], float] = statistics.median
    print(f"{'':16}{'accepted/s':>12}{'end to end/s':>14}{'p50 ms':>9}{'p95 ms':>9}")
    for name, rounds in found.items():
        columns = [median([figures[index] for figures in rounds]) for index in range(4)]
        print(f"{name:16}{columns[0]:12.0f}{columns[1]:14.0f}{columns[2]:9.1f}{columns[3]:9.1f}")


if __name__ == "__main__":
    main()
