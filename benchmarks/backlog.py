"""Does the sweep leave a deep, healthy backlog alone? Counts how often each task was published.

    python -m benchmarks.backlog [--tasks 50000] [--minutes 10]

Starts every production role with one slow worker, submits that many tasks in batches, and mirrors whatever is published
to `task_created` into a queue of its own. Each task should be in it once.
"""

import argparse
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kombu import Connection, Exchange, Queue

from tests.servers import Api, Deployment
from tests.services.stack import Services

BATCH = 1000


def submit(api: Api, count: int) -> None:
    """Every second one travels alone, and works a second."""
    tasks = [{"title": f"Backlog {n}", "payload": {"message": "m", "seconds": n % 2}} for n in range(count)]
    answer = api.call("POST", "/api/v1/tasks/batch", json={"tasks": tasks}, timeout=60)
    assert answer.status_code == 201, answer.text


def drained(queue: Any) -> Counter[str]:
    """How often each id was published so far."""
    found: Counter[str] = Counter()
    while (message := queue.get(no_ack=True)) is not None:
        found.update(json.loads(message.body)[0][0])
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tasks", type=int, default=50_000)
    options.add_argument("--minutes", type=float, default=10)
    chosen = options.parse_args()
    with Services() as services, Deployment(services, LOG_LEVEL="warning", WORKER_CONCURRENCY="1") as deployment:
        with Connection(deployment.broker_url) as link:
            exchange = Exchange("taskmanager", type="topic", durable=True)
            mirror: Any = Queue("mirror", exchange, routing_key="task_created", durable=True)(link.default_channel)
            mirror.declare()
            started = time.monotonic()
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda _: submit(Api(deployment.url), BATCH), range(chosen.tasks // BATCH)))
            print(f"{chosen.tasks} tasks accepted in {time.monotonic() - started:.0f} s", flush=True)
            published: Counter[str] = Counter()
            worst = 0
            while time.monotonic() - started < chosen.minutes * 60:
                time.sleep(5)
                published += drained(mirror)
                health = deployment.api.call("GET", "/healthz").json()
                worst = max(worst, health["unaccounted"] or 0)
            published += drained(mirror)
        tasks = deployment.api.call("GET", "/api/v1/tasks?limit=1").status_code
        twice = sum(1 for number in published.values() if number > 1)
        print(f"after {chosen.minutes:g} min: {len(published)} of {chosen.tasks} published, {twice} of them more than once, "
              f"{sum(published.values())} times in all; unaccounted at most {worst}; list answers {tasks}")  # fmt: skip


if __name__ == "__main__":
    main()
