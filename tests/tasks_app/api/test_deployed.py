"""What shows only on the production roles over real services: many at once, speed, and random requests."""

import threading
import uuid
from collections import Counter
from typing import Any

import pytest
from psycopg import sql

from tests import fuzz
from tests.servers import Deployment
from tests.services.processes import PATIENCE
from tests.services.stack import Services

pytestmark = pytest.mark.services


def test_fifty_requests_with_one_key_make_one_task(deployment: Deployment) -> None:
    key, title = str(uuid.uuid4()), f"Once {uuid.uuid4()}"
    answers: list[Any] = []
    start = threading.Barrier(50)

    def post() -> None:
        start.wait()
        answers.append(
            deployment.api.call(
                "POST", "/api/v1/tasks", json={"title": title}, headers={"Idempotency-Key": key}, timeout=PATIENCE
            )
        )

    threads = [threading.Thread(target=post) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answer.status_code for answer in answers) == {201: 50}, [answer.text for answer in answers]
    assert len({answer.text for answer in answers}) == 1
    replayed = Counter(answer.headers.get("Idempotent-Replayed", "first") for answer in answers)
    assert replayed == {"first": 1, "true": 49}
    found = deployment.api.call("GET", "/api/v1/tasks", params={"q": title}).json()["tasks"]
    assert [task["id"] for task in found] == [answers[0].json()["id"]]


def test_one_key_with_two_bodies_at_once_makes_one_task(deployment: Deployment) -> None:
    key = str(uuid.uuid4())
    answers: list[Any] = []
    start = threading.Barrier(20)

    def post(number: int) -> None:
        start.wait()
        body = {"title": f"Body {number % 2} {key}"}
        answers.append(
            deployment.api.call("POST", "/tasks", json=body, headers={"Idempotency-Key": key}, timeout=PATIENCE)
        )

    threads = [threading.Thread(target=post, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answer.status_code for answer in answers) == {201: 10, 409: 10}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1


def test_a_thousand_tasks_are_accepted_together(deployment: Deployment) -> None:
    body = {"tasks": [{"title": f"No. {number}"} for number in range(1000)]}
    answer = deployment.api.call("POST", "/api/v1/tasks/batch", json=body, timeout=PATIENCE)
    assert answer.status_code == 201
    assert [task["title"] for task in answer.json()["tasks"]] == [task["title"] for task in body["tasks"]]


def test_a_waiting_request_is_answered_when_the_worker_is_done(deployment: Deployment) -> None:
    made = deployment.api.submit(payload={"message": "x", "seconds": 1})
    answer = deployment.api.call("GET", f"/api/v1/tasks/{made['id']}?wait=30", timeout=PATIENCE)
    assert answer.json()["status"] == "DONE"


def test_random_requests_find_nothing_that_the_schema_does_not_allow(services: Services) -> None:
    """A small and seeded part of `make fuzz`."""
    deployment = Deployment(services, ANONYMOUS_API="off", API_RATE="0", LONG_POLLS="0")
    deployment.manage("migrate", "--verbosity", "0")
    with deployment.web:
        report = fuzz.run(deployment.url, fuzz.make_token(deployment), examples=5, seed=1, phases="fuzzing,stateful")
    services.postgres.drop_database(deployment.name)
    assert report.passed, report.text
    assert report.cases > 100, report.text


def test_a_role_that_may_not_make_the_extension_is_told_who_may(services: Services) -> None:
    """Then an administrator makes it, and the same migration goes on."""
    deployment = Deployment(services)
    name = sql.Identifier(f"{deployment.name}_app")
    database = deployment.name
    services.postgres.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    services.postgres.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(name), database=database)
    url = services.postgres.url(database).replace("postgres@", f"{database}_app@")
    deployment.environment["DATABASE_URL"] = url
    try:
        with pytest.raises(AssertionError, match="CREATE EXTENSION pg_trgm;"):
            deployment.manage("migrate", "--verbosity", "0")
        services.postgres.execute(sql.SQL("CREATE EXTENSION pg_trgm"), database=database)
        deployment.manage("migrate", "--verbosity", "0")
        deployment.manage("migrate", "tasks_app", "0002", "--verbosity", "0")  # and back
    finally:
        services.postgres.drop_database(database)
        services.postgres.execute(sql.SQL("DROP ROLE {}").format(name))
