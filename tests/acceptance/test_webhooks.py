"""Endpoints that are well and endpoints that are not, while the notifier is killed and secrets are rotated."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator

import psycopg
import pytest

from benchmarks.webhooks import ROTATE, make_endpoints, settings_for, submit_at, takes
from tests.contracts.clients import run_in_shell
from tests.servers import Deployment
from tests.services.crowd import Arrival, Crowd
from tests.services.processes import eventually
from tests.services.stack import Services

EVENTS, AFTERWARDS, ENDPOINTS = 25, 5, 10


@pytest.fixture(scope="module")
def crowd() -> Iterator[Crowd]:
    with Crowd() as started:
        yield started


@pytest.fixture(scope="module")
def server(services: Services, crowd: Crowd) -> Iterator[Deployment]:
    environment = {**settings_for(crowd), "WEBHOOK_DEADLINE_SECONDS": "5", "NOTIFIER_CONCURRENCY": "8"}
    with Deployment(services, **environment) as deployment:
        yield deployment


@pytest.mark.services
def test_all_arrives_with_one_id_and_one_body_and_a_signature_either_secret_opens(
    server: Deployment, crowd: Crowd
) -> None:
    made = make_endpoints(server, crowd, ENDPOINTS)
    load = threading.Thread(target=submit_at, args=(server, 5, EVENTS))
    load.start()
    crowd_has(crowd, 20)
    server.notifier.kill()
    server.notifier.launch()
    server.notifier.wait_until_ready()
    rotated = json.loads(run_in_shell(server, ROTATE))
    load.join()
    submit_at(server, 5, AFTERWARDS)
    eventually(lambda: undelivered(server) == 0)

    secrets = {url.removeprefix(crowd.url("")): (secret, rotated[key]) for key, (url, secret) in made.items()}
    good = [arrival for arrival in crowd.arrivals if arrival.path.startswith("/ok/")]
    arrived: dict[str, set[str]] = defaultdict(set)
    bodies: dict[str, set[str]] = defaultdict(set)
    for arrival in good:
        arrived[arrival.path].add(arrival.headers["webhook-id"])
        bodies[arrival.headers["webhook-id"]].add(arrival.body)
    assert {path: len(ids) for path, ids in arrived.items()} == {
        path: EVENTS + AFTERWARDS for path in secrets if "/ok/" in path
    }
    assert {len(found) for found in bodies.values()} == {1}
    assert all(takes(secrets[arrival.path][0], arrival) for arrival in good), "the secret before is good for a day"
    after = [arrival for arrival in good if " " in arrival.headers["webhook-signature"]]
    assert len(after) >= 7 * AFTERWARDS and all(takes(secrets[arrival.path][1], arrival) for arrival in after)


def undelivered(server: Deployment) -> int:
    """How many deliveries to endpoints that are well have not arrived."""
    query = "SELECT count(*) FROM notifications_delivery WHERE url LIKE '%/ok/%' AND status <> 'DELIVERED'"
    with psycopg.connect(server.services.postgres.url(server.name)) as connection:
        ((count,),) = connection.execute(query).fetchall()
    return int(count)


def crowd_has(crowd: Crowd, count: int) -> list[Arrival]:
    """What arrived, once it is so much."""
    return eventually(lambda: crowd.arrivals if len(crowd.arrivals) >= count else [])
