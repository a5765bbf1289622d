"""The main job: submit, process, watch, be told; on a quiet day, and while servers and processes die underneath."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.contracts.clients import JSON, Server, Watcher, about, statuses, verified, versions
from tests.servers import Api, Deployment, Gate, Role, Standalone, told
from tests.services.processes import PATIENCE, eventually
from tests.services.receiver import Receiver, Request


def submit_many(api: Api, count: int, *, threads: int = 8, **fields: Any) -> list[str]:
    """The ids of so many tasks, submitted by several clients at once."""

    def client(share: range) -> list[str]:
        mine = Api(api.url)
        return [mine.submit(f"Task {number}", **fields)["id"] for number in share]

    with ThreadPoolExecutor(threads) as pool:
        shares = [range(start, count, threads) for start in range(threads)]
        return [task_id for ids in pool.map(client, shares) for task_id in ids]


def ended(api: Api, ids: list[str]) -> dict[str, JSON]:
    """These tasks by id, once all are finished."""

    def look() -> dict[str, JSON]:
        wanted = set(ids)
        found = {task["id"]: task for task in api.all() if task["id"] in wanted and task["finished_at"]}
        return found if len(found) == len(wanted) else {}

    return eventually(look, interval=0.3, message=f"{len(ids)} tasks ended")


def all_done(api: Api, ids: list[str]) -> None:
    tasks = ended(api, ids)
    assert {task["status"] for task in tasks.values()} == {"DONE"}


def run_the_main_job(server: Server, hooks: Receiver, *, count: int) -> None:
    """Every third task fails on purpose."""
    with Watcher(server) as watcher:
        good = submit_many(server.api, count - count // 3, payload={"message": "hi"})
        bad = submit_many(server.api, count // 3, payload={"no": "message"})
        tasks = ended(server.api, [*good, *bad])
        for task_id in good:
            assert statuses(watcher.wait_for(task_id, "DONE")) == ["PENDING", "PROCESSING", "DONE"]
        for task_id in bad:
            assert statuses(watcher.wait_for(task_id, "FAILED")) == ["PENDING", "PROCESSING", "FAILED"]
        for task_id in (*good, *bad):
            assert versions(watcher.of(task_id)) == [1, 2, 3]
    assert {tasks[task_id]["status"] for task_id in good} == {"DONE"}
    assert {tasks[task_id]["status"] for task_id in bad} == {"FAILED"}
    assert {task["attempt"] for task in tasks.values()} == {1}

    mine = set(good)

    def is_mine(request: Request) -> bool:
        # Not by verifying: a signature of another test may be over five minutes old by now, and is rightly refused.
        return json.loads(request.body)["id"] in mine

    sent = hooks.wait_for(len(good), where=is_mine)
    told_of = [verified(request)["id"] for request in sent]
    assert sorted(told_of) == sorted(good), "each exactly once"
    assert all(verified(request)["done"] is True for request in sent)
    assert not [request for request in hooks.requests if any(about(task_id)(request) for task_id in bad)]


@pytest.mark.services
def test_200_tasks_all_end_and_every_change_and_webhook_arrives(told_deployment: Deployment, hooks: Receiver) -> None:
    run_the_main_job(told_deployment, hooks, count=200)


def test_50_tasks_all_end_on_the_embedded_server_and_every_change_and_webhook_arrives(
    told_standalone: Standalone, hooks: Receiver
) -> None:
    run_the_main_job(told_standalone, hooks, count=50)


@pytest.mark.services
@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_without_a_broker_tasks_are_taken_in_and_done_once_it_is_back(
    breakable: Deployment, hooks: Receiver, how: str
) -> None:
    broker, web = breakable.services.rabbitmq, breakable.web
    breakable.api.wait(breakable.api.submit()["id"])  # all connections stand
    noticed = web.printed.count("Cannot publish")
    broker.stop() if how == "stopped" else broker.pause()
    ids = []
    try:
        for _ in range(5):  # each is answered while the broker is still away
            ids.append(breakable.api.submit("While the broker is away")["id"])
        eventually(lambda: web.printed.count("Cannot publish") > noticed)
        assert {breakable.api.task(task_id)["status"] for task_id in ids} == {"PENDING"}
    finally:
        broker.start() if how == "stopped" else broker.resume()
    all_done(breakable.api, ids)
    for task_id in ids:
        hooks.wait_for(1, where=about(task_id))


@pytest.mark.services
def test_without_redis_tasks_are_done_all_the_same(breakable: Deployment) -> None:
    redis = breakable.services.redis
    redis.stop()
    try:
        all_done(breakable.api, submit_many(breakable.api, 20))
    finally:
        redis.start()
    with Watcher(breakable) as watcher:
        task_id = breakable.api.submit()["id"]
        assert versions(watcher.wait_for(task_id, "DONE")) == [1, 2, 3]


@pytest.mark.services
def test_a_database_restarted_under_a_running_worker_costs_no_task(breakable: Deployment) -> None:
    all_done(breakable.api, submit_many(breakable.api, 10))
    breakable.services.postgres.stop("immediate")
    breakable.services.postgres.start()
    eventually(lambda: breakable.api.call("GET", "/healthz").status_code == 200)
    all_done(breakable.api, submit_many(breakable.api, 100))


@pytest.mark.services
def test_a_database_that_goes_away_during_a_task_does_not_fail_it(breakable: Deployment, gate: Gate) -> None:
    ids = submit_many(breakable.api, 2, **gate.order)
    for task_id in ids:
        breakable.api.wait(task_id, status="PROCESSING")
    breakable.services.postgres.restart()
    gate.open()
    all_done(breakable.api, ids)


@pytest.fixture(scope="module")
def mortal(breakable: Deployment) -> Iterator[Deployment]:
    """A deployment that soon notices a worker's death."""
    with Deployment(breakable.services, LEASE_SECONDS="3", SWEEP_SECONDS="0.5") as deployment:
        yield deployment


@pytest.mark.services
def test_a_worker_killed_under_load_and_started_again_loses_nothing(mortal: Deployment) -> None:
    with ThreadPoolExecutor(1) as pool:
        submitting = pool.submit(submit_many, mortal.api, 150, payload={"message": "x", "seconds": 0.05})
        eventually(lambda: any(task["done"] for task in mortal.api.all()))
        mortal.worker.kill()
        ids = submitting.result()
    assert {task["status"] for task in mortal.api.all()} > {"DONE"}
    mortal.worker.start()
    all_done(mortal.api, ids)


@pytest.mark.services
def test_two_workers_on_one_machine_share_the_work(mortal: Deployment) -> None:
    other = Role("worker", mortal.directory, mortal.environment)
    with other:
        all_done(mortal.api, submit_many(mortal.api, 40, payload={"message": "x", "seconds": 0.1}))
        assert "Processed" in other.printed and "Processed" in mortal.worker.printed
        assert "connection lost" not in other.printed.lower() + mortal.worker.printed.lower()


def test_an_embedded_server_killed_three_times_keeps_every_task_it_took_in(hooks: Receiver) -> None:
    server = Standalone(**told(hooks))
    acknowledged: list[str] = []
    wanted = 150

    def client(number: int) -> None:
        """Tries until the server says 201: what was answered otherwise, or not at all, does not count."""
        give_up = time.monotonic() + 2 * PATIENCE
        with requests.Session() as session:
            session.trust_env = False
            while time.monotonic() < give_up:
                try:
                    body = {"title": f"Task {number}", "payload": {"message": str(number)}}
                    answer = session.post(f"{server.url}/tasks", json=body, timeout=10)
                except requests.RequestException:
                    time.sleep(0.05)
                    continue
                if answer.status_code == 201:
                    acknowledged.append(answer.json()["id"])
                    return

    server.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(client, number) for number in range(wanted)]
            for kill_at in (20, 60, 110):
                eventually(lambda kill_at=kill_at: len(acknowledged) >= kill_at)  # type: ignore[misc]
                server.kill()
                server.start()
            for one in clients:
                one.result()
        assert len(acknowledged) == wanted
        all_done(server.api, acknowledged)
        for task_id in acknowledged:
            hooks.wait_for(1, where=about(task_id))
    finally:
        server.stop()
