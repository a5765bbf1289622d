"""A worker's consumer, against a real RabbitMQ: it notices that its queue was deleted, whatever RabbitMQ says of it."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from kombu import Connection

from taskmanager.celery import app
from tests.servers import Deployment
from tests.services.processes import PATIENCE, eventually
from tests.services.stack import Services

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def deployment(services: Services) -> Iterator[Deployment]:
    """One of its own: here the queues are deleted."""
    with Deployment(services, SWEEP_SECONDS="1") as started:
        yield started


@contextlib.contextmanager
def declaring(deployment: Deployment) -> Iterator[None]:
    """Others declare the queues all the time, as publishers do under load when nothing takes their messages."""
    over = threading.Event()

    def declare() -> None:
        while not over.wait(0.01):
            with contextlib.suppress(Exception), Connection(deployment.broker_url) as connection:
                while not over.wait(0.01):
                    for queue in app.conf.task_queues:
                        queue(connection.default_channel).declare()

    threads = [threading.Thread(target=declare, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)


def rabbitmq(deployment: Deployment, method: str, path: str) -> requests.Response:
    url = f"{deployment.services.rabbitmq.management_url}/api/{path}"
    return requests.request(method, url, auth=("guest", "guest"), timeout=PATIENCE)


def ties(deployment: Deployment, queue: str) -> list[str]:
    """The exchanges by which workers notice that their queue is gone."""
    exchanges: list[dict[str, Any]] = rabbitmq(deployment, "GET", f"exchanges/{deployment.name}").json()
    return [found["name"] for found in exchanges if found["name"].startswith(f"taskmanager.consumer.{queue}.")]


def test_work_goes_on_after_the_queues_were_deleted_while_others_declared_them(deployment: Deployment) -> None:
    """RabbitMQ then often leaves the consumers of the old queue where no message ever comes, and tells nobody."""
    with declaring(deployment):
        for _ in range(3):
            for queue in ("task_created", "task_completed"):
                rabbitmq(deployment, "DELETE", f"queues/{deployment.name}/{queue}")
            task = deployment.api.submit(payload={"message": "after"})
            assert deployment.api.wait(task["id"])["status"] == "DONE"


def test_a_consumer_begins_anew_when_its_queue_is_another(deployment: Deployment) -> None:
    [tie] = ties(deployment, "task_created")
    rabbitmq(deployment, "DELETE", f"exchanges/{deployment.name}/{tie}").raise_for_status()
    eventually(lambda: "Queue task_created was deleted: consuming anew" in deployment.worker.printed)
    eventually(lambda: ties(deployment, "task_created") == [tie])


def test_a_worker_that_stops_leaves_nothing_in_rabbitmq(deployment: Deployment) -> None:
    deployment.notifier.stop()
    assert ties(deployment, "task_completed") == []
