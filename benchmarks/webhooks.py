"""Do bad receivers slow down good ones, and is anything lost? Counts and times deliveries to many endpoints.

    python -m benchmarks.webhooks [--endpoints 50] [--events 200] [--rate 2] [--kill] [--rotate]

Starts every production role; of the endpoints a tenth hang, a tenth fail, a tenth answer 429. `--rate` tasks a second,
`--events` in all, each told to every endpoint. `--kill` kills the notifier (SIGKILL) three times meanwhile and starts it
again; `--rotate` rotates every secret meanwhile. Prints the time from event to receipt at the healthy endpoints, what is
missing there, and how many signatures a receiver would refuse that knows the first secret, or either.
"""

import argparse
import json
import statistics
import threading
import time
from collections import defaultdict
from datetime import datetime
from typing import Any

from standardwebhooks.webhooks import Webhook

from tests.contracts.clients import run_in_shell
from tests.servers import Deployment
from tests.services.crowd import Arrival, Crowd
from tests.services.processes import eventually
from tests.services.stack import Services

CREATE = """
import json
from django.contrib.auth.models import User
from notifications import endpoints
local = User.objects.get(username="local")
made = {}
for url in json.loads(URLS):
    endpoint, secret = endpoints.create(local.pk, {"url": url, "event_types": ["task.completed"]}, who="benchmark")
    made[str(endpoint.pk)] = [url, secret]
print(json.dumps(made))
"""
ROTATE = """
import json
from notifications import endpoints
print(json.dumps({str(row.pk): endpoints.rotate(row.pk, who="benchmark")[1] for row in endpoints.own()}))
"""
LEFT = """
from notifications.models import Delivery as D, DeliveryAttempt as A
from django.db.models import Count
ok = D.objects.filter(endpoint__url__contains="/ok/")
print(D.objects.count(), ok.exclude(status="DELIVERED").count(), A.objects.count())
"""


def settings_for(crowd: Crowd) -> dict[str, str]:
    """Opens the crowd's port on loopback."""
    return {
        "WEBHOOK_ALLOWED_NETWORKS": f"127.0.0.0/8:{crowd.port}", "WEBHOOK_ALLOW_HTTP": "on", "NOTIFIER_CONCURRENCY": "32",
        "WORKER_CONCURRENCY": "2", "LOG_LEVEL": "warning", "WEBHOOK_ENDPOINTS_MOST": "1000",
    }  # fmt: skip


def paths(count: int) -> list[str]:
    """A tenth each hangs, fails and is busy."""
    bad = count // 10
    kinds = ["hang"] * bad + ["fail"] * bad + ["busy"] * bad + ["ok"] * (count - 3 * bad)
    return [f"/{kind}/{number}" for number, kind in enumerate(kinds)]


def make_endpoints(deployment: Deployment, crowd: Crowd, count: int) -> dict[str, list[str]]:
    """Endpoint id → URL and secret."""
    urls = json.dumps([crowd.url(path) for path in paths(count)])
    return dict(json.loads(run_in_shell(deployment, f"URLS = {urls!r}\n{CREATE}")))


def submit_at(deployment: Deployment, rate: float, count: int) -> None:
    started = time.monotonic()
    for number in range(count):
        time.sleep(max(0, started + number / rate - time.monotonic()))
        deployment.api.submit(f"Task {number}")


def kill_three_times(deployment: Deployment, *, every: float) -> None:
    for _ in range(3):
        time.sleep(every)
        deployment.notifier.kill()
        deployment.notifier.launch()
        deployment.notifier.wait_until_ready()


def delays(arrivals: list[Arrival]) -> list[float]:
    """Seconds from event to first receipt, at healthy endpoints."""
    first: dict[tuple[str, str], float] = {}
    for arrival in arrivals:
        event = datetime.fromisoformat(json.loads(arrival.body)["timestamp"]).timestamp()
        first.setdefault((arrival.path, arrival.headers["webhook-id"]), arrival.received_at - event)
    return sorted(first.values())


def takes(secret: str, arrival: Arrival) -> bool:
    try:
        Webhook(secret).verify(arrival.body, arrival.headers)
    except Exception:
        return False
    return True


def report(arrivals: list[Arrival], secrets: dict[str, list[str]], *, events: int, healthy: int) -> bool:
    good = [arrival for arrival in arrivals if arrival.path.startswith("/ok/")]
    got = {(arrival.path, arrival.headers["webhook-id"]) for arrival in good}
    bodies: dict[Any, set[str]] = defaultdict(set)
    for arrival in arrivals:
        bodies[arrival.headers["webhook-id"]].add(arrival.body)
    found = delays(good)
    first = sum(not takes(secrets[arrival.path][0], arrival) for arrival in good)
    either = sum(not any(takes(secret, arrival) for secret in secrets[arrival.path]) for arrival in good)
    both = sum(" " in arrival.headers["webhook-signature"] for arrival in good)
    p95 = found[int(len(found) * 0.95)]
    print(f"healthy endpoints: {len(got)} of {events * healthy} events arrived, in {len(good)} requests")
    print(f"event to receipt: p50 {statistics.median(found):.3f} s, p95 {p95:.3f} s, longest {found[-1]:.3f} s")
    print(f"ids with more than one body: {sum(len(found) > 1 for found in bodies.values())}")
    print(f"signatures refused by who knows the first secret: {first}, either: {either}; signed with both: {both}")
    return len(got) == events * healthy


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--endpoints", type=int, default=50)
    options.add_argument("--events", type=int, default=200)
    options.add_argument("--rate", type=float, default=2)
    options.add_argument("--kill", action="store_true")
    options.add_argument("--rotate", action="store_true")
    chosen = options.parse_args()
    with Crowd() as crowd, Services() as services, Deployment(services, **settings_for(crowd)) as deployment:
        made = make_endpoints(deployment, crowd, chosen.endpoints)
        healthy = sum("/ok/" in url for url, _ in made.values())
        secrets = {url.removeprefix(crowd.url("")): [secret] for url, secret in made.values()}
        lasts = chosen.events / chosen.rate
        others = [threading.Thread(target=submit_at, args=(deployment, chosen.rate, chosen.events))]
        if chosen.kill:
            others.append(threading.Thread(target=kill_three_times, args=(deployment,), kwargs={"every": lasts / 4}))
        for other in others:
            other.start()
        if chosen.rotate:
            time.sleep(lasts / 2)
            for key, secret in json.loads(run_in_shell(deployment, ROTATE)).items():
                secrets[made[key][0].removeprefix(crowd.url(""))].append(secret)
        for other in others:
            other.join()
        started = time.monotonic()
        eventually(lambda: run_in_shell(deployment, LEFT).split()[1] == "0", timeout=120, interval=1)
        total, _, attempts = run_in_shell(deployment, LEFT).split()
        print(f"{total} deliveries to {chosen.endpoints} endpoints in {lasts:.0f} s, {attempts} attempts; "
              f"the last healthy one {time.monotonic() - started:.0f} s after the last task")  # fmt: skip
        report(crowd.arrivals, secrets, events=chosen.events, healthy=healthy)


if __name__ == "__main__":
    main()
