"""How fast lists, filters and search are over a million tasks: p50 and p95 of each query over HTTP.

    make install test-fast   # once, for the packages
    python -m benchmarks.million [--tasks 1000000] [--requests 100]

Fills a PostgreSQL of its own, starts one `web` process on it, and asks as an operator, who sees every task, and as a
member with a share of them. Also times a batch of 1,000 tasks. Driver, server and database share this machine; the
last column is what a request without a list took at the same time, so that a busy machine can be told from a slow query.
"""

import argparse
import hashlib
import http.client
import json
import random
import statistics
import time
from collections.abc import Callable
from urllib.parse import urlencode

import psycopg
from psycopg import sql

from tests.servers import Api, Deployment
from tests.services.stack import Services

SETUP = """
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from tasks_app import tokens
for name, role in (("boss", "operator"), ("many", "member"), ("few", "member")):
    user = User.objects.create_user(name)
    user.groups.add(Group.objects.get(name=role))
    session = SessionStore()
    session.update({"_auth_user_id": str(user.pk), "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
                    "_auth_user_hash": user.get_session_auth_hash()})
    session.save()
    token = tokens.issue(user, name="bench", scopes=["tasks:read", "tasks:write", "admin"])[1]
    print(name, user.pk, token, session.session_key)
"""
# One task each second, ending now. Status, kind, owner and tags come in shares from every other row to 1 in 100,000.
FILL = """
INSERT INTO tasks_app_task (
    id, owner_id, title, description, kind, payload, tags, metadata, callback_url, priority, max_attempts, timeout,
    status, progress, message, result, error_code, error_message, attempt, attempts_uncounted, solo, run_at, worker,
    version, created_at, updated_at, started_at, finished_at, lease_expires_at
)
SELECT
    (encode(substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3), 'hex')
        || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
    CASE WHEN chance < 65 THEN %(few)s::int WHEN chance < 32768 THEN %(many)s::int ELSE %(boss)s::int END,
    (ARRAY['Send report', 'Resize picture', 'Import customers', 'Clean up', 'Bill'])[1 + n %% 5] || ' ' || n
        || CASE WHEN n %% 10000 = 5 THEN ' zebrafinch' ELSE '' END,
    'For customer ' || md5((n * 7)::text) || CASE WHEN n %% 100 = 7 THEN ' urgently' ELSE '' END,
    CASE WHEN n %% 100000 = 3 THEN 'audit' WHEN n %% 20 = 3 THEN 'resize' ELSE 'message' END,
    jsonb_build_object('message', 'It works', 'customer', jsonb_build_object('id', n %% 10000, 'key', md5(n::text)),
        'tier', CASE WHEN n %% 3 = 0 THEN 'gold' ELSE 'base' END),
    CASE WHEN n %% 10000 = 5 THEN '["gold", "nightly"]' WHEN n %% 3 = 0 THEN '["nightly"]' ELSE '[]' END::jsonb,
    '{}'::jsonb, '', n %% 7 - 3, 5, 60, status, 0, '', NULL::jsonb, '', '', 1, 0, false, at + interval '1 year', '', 3, at, at,
    CASE WHEN status <> 'PENDING' THEN at END,
    CASE WHEN status IN ('DONE', 'FAILED', 'CANCELLED') THEN at + (n %% 600) * interval '1 second' END,
    CASE WHEN status = 'PROCESSING' THEN at + interval '1 year' END
FROM (
    SELECT n, now() - (%(tasks)s::int - n) * interval '1 second' AS at, CASE
        WHEN n %% 100000 = 9 THEN 'PROCESSING' WHEN n %% 1000 = 11 THEN 'CANCELLED' WHEN n %% 50 = 13 THEN 'FAILED'
        WHEN n %% 25 = 14 THEN 'PENDING' ELSE 'DONE' END AS status
    FROM generate_series(1, %(tasks)s::int) AS n
) AS made, LATERAL (SELECT ('x' || substr(md5('owner' || n), 1, 4))::bit(16)::int AS chance) AS drawn
"""


class Client:
    """One kept connection with a token."""

    def __init__(self, url: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        self._cookie = Api(url).cookie("sessionid")
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def page(self, path: str, *, session: str) -> tuple[float, int, str]:
        """Milliseconds, status and HTML, for somebody who is logged in."""
        started = time.perf_counter()
        self._connection.request("GET", path, None, {"Cookie": f"{self._cookie}={session}"})
        answer = self._connection.getresponse()
        text = answer.read().decode()
        return (time.perf_counter() - started) * 1000, answer.status, text

    def call(self, path: str, *, method: str = "GET", body: object = None) -> tuple[float, int, dict[str, object]]:
        """Milliseconds, status and body."""
        data = None if body is None else json.dumps(body)
        started = time.perf_counter()
        self._connection.request(method, path, data, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        return (time.perf_counter() - started) * 1000, answer.status, json.loads(text)


def fill(services: Services, deployment: Deployment, ids: dict[str, str], *, tasks: int) -> None:
    """Makes the tasks, then the indexes of the list: in bulk they are made faster."""
    deployment.manage("migrate", "tasks_app", "0002", "--verbosity", "0")
    with psycopg.connect(services.postgres.url(deployment.name), autocommit=True) as connection:
        connection.execute(FILL, {**ids, "tasks": tasks})
        deployment.manage("migrate", "--verbosity", "0")
        connection.execute(
            "UPDATE tasks_app_task SET kind = 'theirs' WHERE owner_id <> %s AND kind = 'resize'", [ids["many"]]
        )
        connection.execute("VACUUM ANALYZE tasks_app_task")
        sizes = connection.execute(
            "SELECT indexrelname, pg_relation_size(indexrelid) / 1048576 FROM pg_stat_user_indexes "
            "WHERE relname = 'tasks_app_task' ORDER BY 2 DESC"
        ).fetchall()
        print("MiB by index:", ", ".join(f"{name} {size}" for name, size in sizes))


def queries(tasks: int) -> dict[str, Callable[[], dict[str, object]]]:
    """Name → a query, other values each time where there are any."""
    now = time.time()

    def ago(seconds: float) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - seconds))

    def same(**query: object) -> Callable[[], dict[str, object]]:
        return lambda: query

    def anywhere() -> str:
        return ago(random.random() * tasks)

    return {
        "newest": dict,
        "oldest": lambda: {"order": "created"},
        "200 rows": lambda: {"limit": 200},
        "created_before anywhere (a deep page)": lambda: {"created_before": anywhere()},
        "created_after anywhere, oldest first": lambda: {"created_after": anywhere(), "order": "created"},
        "finished_before anywhere": lambda: {"finished_before": anywhere()},
        "latest finished": lambda: {"order": "-finished"},
        "failed, latest finished": lambda: {"order": "-finished", "status": "FAILED"},
        "by priority": lambda: {"order": "-priority", "status": "PENDING"},
        **{f"status {s}": same(status=s) for s in ("PENDING", "PROCESSING", "DONE", "FAILED", "CANCELLED")},
        "status FAILED or CANCELLED": lambda: {"status": ["FAILED", "CANCELLED"]},
        "status FAILED, deep": lambda: {"status": "FAILED", "created_before": anywhere()},
        **{f"kind {k}": same(kind=k) for k in ("message", "resize", "audit", "unknown", "theirs")},
        "kind resize, FAILED": lambda: {"kind": "resize", "status": "FAILED"},
        **{f"tag {t}": same(tag=t) for t in ("nightly", "gold", "unknown")},
        "tag gold, deep": lambda: {"tag": "gold", "created_before": anywhere()},
        "text in every 5th (report)": lambda: {"q": "report"},
        "text in every 100th (urgently)": lambda: {"q": "urgently"},
        "text in every 10,000th (zebrafinch)": lambda: {"q": "zebrafinch"},
        "text in one (a number)": lambda: {"q": f"customers {random.randrange(tasks)}"},
        "text nowhere": lambda: {"q": "quokka"},
        "part of a word (rent)": lambda: {"q": "ebrafin"},
        "payload in every 3rd": same(**{"payload.tier": "gold"}),
        "payload in every 10,000th": lambda: {"payload.customer.id": random.randrange(10_000)},
        "payload in one": lambda: {"payload.customer.key": hashlib.md5(b"%d" % random.randrange(1, tasks)).hexdigest()},
        "payload nowhere": lambda: {"payload.customer.id": "nobody"},
        "payload in every 10,000th, deep": lambda: {"payload.customer.id": 77, "created_before": anywhere()},
        "payload in every 3rd and FAILED": lambda: {"payload.tier": "gold", "status": "FAILED"},
        "text and FAILED, which never meet": lambda: {"q": "report", "status": "FAILED"},
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tasks", type=int, default=1_000_000)
    options.add_argument("--requests", type=int, default=100)
    options.add_argument("--keep", action="store_true", help="wait at the end, to look around")
    chosen = options.parse_args()
    with Services(fsync=True) as services:
        services.postgres.execute(sql.SQL("ALTER SYSTEM SET shared_buffers = '1GB'"))
        deployment = Deployment(services, ANONYMOUS_API="off", LOG_LEVEL="warning")
        deployment.manage("migrate", "--verbosity", "0")
        lines = deployment.manage("shell", "--no-imports", "-c", SETUP).split("\n")
        users = {name: rest for name, *rest in (line.split() for line in lines if line)}
        started = time.perf_counter()
        fill(services, deployment, {name: pk for name, (pk, *_) in users.items()}, tasks=chosen.tasks)
        print(f"{chosen.tasks:,} tasks in {time.perf_counter() - started:.0f} s")
        with deployment.web:
            for name, (_, token, session) in users.items():
                client = Client(deployment.url, token)
                measure(name, client, tasks=chosen.tasks, requests=chosen.requests)
                pages(name, client, session=session, tasks=chosen.tasks, requests=chosen.requests)
            batches(Client(deployment.url, users["many"][1]))
            if chosen.keep:
                input(f"{services.postgres.url(deployment.name)} {deployment.url} {users}\n")


def measure(name: str, client: Client, *, tasks: int, requests: int) -> None:
    print(f"\nas {name:40}{'rows':>6}{'p50 ms':>9}{'p95 ms':>9}{'max':>9}{'p95 of /me':>12}")
    for title, make in queries(tasks).items():
        times, noise, rows = [], [], 0
        for _ in range(requests):
            path = "/api/v1/tasks?" + urlencode(make(), doseq=True)
            noise.append(client.call("/api/v1/me")[0])
            milliseconds, status, body = client.call(path)
            assert status == 200, (path, body)
            rows = len(body["tasks"])  # type: ignore[arg-type]
            times.append(milliseconds)
        noise.sort()
        times.sort()
        middle, late = statistics.median(times), times[int(len(times) * 0.95)]
        idle = noise[int(len(noise) * 0.95)]
        print(f"{title:43}{rows:6}{middle:9.1f}{late:9.1f}{times[-1]:9.1f}{idle:12.1f}", flush=True)


def pages(name: str, client: Client, *, session: str, tasks: int, requests: int) -> None:
    """The dashboard as the server makes it, in several states, and a task's page."""

    newest = client.call("/api/v1/tasks?limit=1")[2]["tasks"]
    states: dict[str, Callable[[], str]] = {
        "dashboard": lambda: "/dashboard/",
        "100 rows": lambda: "/dashboard/?size=100",
        "failed": lambda: "/dashboard/?status=FAILED",
        "kind and tag": lambda: "/dashboard/?kind=message&tag=gold",
        "text": lambda: f"/dashboard/?text=customers+{random.randrange(tasks)}",
        "chart": lambda: "/dashboard/chart",
        "a task": lambda: f"/dashboard/tasks/{newest[0]['id']}/",  # type: ignore[index]
    }
    print(f"\nas {name}, pages {' ':36}{'p50 ms':>9}{'p95 ms':>9}{'max':>9}")
    for title, make in states.items():
        times = []
        for _ in range(requests):
            milliseconds, status, text = client.page(path := make(), session=session)
            assert status == 200 and "<html" in text, (path, status, text[:200])
            times.append(milliseconds)
        times.sort()
        late = times[int(len(times) * 0.95)]
        print(f"{title:46}{statistics.median(times):9.1f}{late:9.1f}{times[-1]:9.1f}", flush=True)


def batches(client: Client) -> None:
    """Batches of 1,000 small tasks."""
    times = []
    for number in range(6):
        items = [{"title": f"Batch {number}, task {index}", "tags": ["batch"]} for index in range(1000)]
        milliseconds, status, body = client.call("/api/v1/tasks/batch", method="POST", body={"tasks": items})
        assert status == 201, body
        times.append(milliseconds)
    print(f"\n1,000 tasks in a batch: {', '.join(f'{ms:.0f}' for ms in times)} ms")


if __name__ == "__main__":
    main()
