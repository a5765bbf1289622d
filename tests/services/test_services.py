"""The harness against the real servers. A missing server is a failure here, never a skip."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import requests
from kombu import Connection, Exchange, Producer, Queue
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.services.postgres import Postgres
from tests.services.processes import PATIENCE, eventually
from tests.services.rabbitmq import RabbitMQ
from tests.services.stack import Services


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with Services() as running:
        yield running


@pytest.fixture
def postgres(services: Services) -> Postgres:
    return services.postgres


@pytest.fixture
def rabbitmq(services: Services) -> RabbitMQ:
    return services.rabbitmq


def _queue(name: str) -> Any:
    return Queue(name, Exchange(""), routing_key=name, queue_arguments={"x-queue-type": "quorum"})


def _publish(url: str, name: str, body: str, *, timeout: float = PATIENCE) -> None:
    with Connection(url, connect_timeout=timeout, transport_options={"confirm_publish": True}) as connection:
        _queue(name)(connection.default_channel).declare()
        Producer(connection).publish({"body": body}, routing_key=name, confirm_timeout=timeout)


def _value(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def test_the_environment_names_all_three_servers(services: Services) -> None:
    environment = services.environment("postgres")

    assert _value(environment["DATABASE_URL"], "SELECT 1") == 1
    with Connection(environment["RABBITMQ_URL"]) as connection:
        connection.ensure_connection(max_retries=1)
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        assert client.ping()


def test_postgres_keeps_commits_through_stop_and_kill(postgres: Postgres) -> None:
    url = postgres.create_database("kept")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE facts (id serial)")

    ends: list[Callable[[], None]] = [postgres.stop, lambda: postgres.stop(mode="immediate"), postgres.kill]
    for end in ends:
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO facts DEFAULT VALUES")
        end()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        postgres.start()

    assert _value(url, "SELECT count(*) FROM facts") == 3


def test_a_database_can_be_copied_and_dropped_under_its_users(postgres: Postgres) -> None:
    source = postgres.create_database("source")
    with psycopg.connect(source) as connection:
        connection.execute("CREATE TABLE facts AS SELECT 7 AS number")
    copy = postgres.create_database("copy", template="source")
    assert _value(copy, "SELECT number FROM facts") == 7

    with psycopg.connect(copy):
        postgres.drop_database("copy")

    assert _value(postgres.url(), "SELECT count(*) FROM pg_database WHERE datname = 'copy'") == 0


def test_postgres_starts_below_a_directory_closed_to_its_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with Postgres(tmp_path, fsync=True) as postgres:
        assert _value(postgres.url(), "SHOW fsync") == "on"
        assert _value(postgres.url(), "SHOW synchronous_commit") == "on"


def test_rabbitmq_keeps_a_confirmed_message_through_restart_and_kill(rabbitmq: RabbitMQ) -> None:
    _publish(rabbitmq.url, "kept", "precious")
    assert rabbitmq.queues()["kept"].messages == 1
    rabbitmq.restart()
    rabbitmq.kill()
    rabbitmq.start()

    with Connection(rabbitmq.url) as connection:
        message = eventually(_queue("kept")(connection.default_channel).get)
        message.ack()
    assert message.payload == {"body": "precious"}


def test_a_paused_rabbitmq_answers_nobody_until_it_resumes(rabbitmq: RabbitMQ) -> None:
    rabbitmq.pause()
    try:
        with pytest.raises(OperationalError, match="timed out"):
            _publish(rabbitmq.url, "paused", "early", timeout=0.5)
    finally:
        rabbitmq.resume()

    _publish(rabbitmq.url, "paused", "late")
    assert rabbitmq.queues()["paused"].messages == 1


def test_a_memory_alarm_blocks_publishers_until_it_is_lifted(rabbitmq: RabbitMQ) -> None:
    options = {"confirm_publish": True, "read_timeout": 0.5, "write_timeout": 0.5}
    rabbitmq.set_memory_alarm(True)
    try:
        with pytest.raises(TimeoutError), Connection(rabbitmq.url, transport_options=options) as connection:
            Producer(connection).publish({}, routing_key="nowhere", confirm_timeout=0.5)
    finally:
        rabbitmq.set_memory_alarm(False)

    _publish(rabbitmq.url, "alarmed", "after")


def test_wipe_leaves_no_queue_and_no_exchange(rabbitmq: RabbitMQ) -> None:
    with Connection(rabbitmq.url) as connection:
        queue: Any = Queue("a/b c", Exchange("an exchange", type="topic"), routing_key="#")
        queue(connection.default_channel).declare()
    assert "a/b c" in rabbitmq.queues()

    rabbitmq.wipe()

    assert rabbitmq.queues() == {}
    exchanges = requests.get(f"{rabbitmq.management_url}/api/exchanges", timeout=PATIENCE).json()
    assert all(exchange["name"].startswith("amq.") for exchange in exchanges if exchange["name"])


def test_two_brokers_live_side_by_side(rabbitmq: RabbitMQ, tmp_path: Path) -> None:
    with RabbitMQ(tmp_path) as other:
        _publish(other.url, "mine", "x")
        assert "mine" not in rabbitmq.queues()


def test_a_restart_empties_redis(services: Services) -> None:
    with redis.Redis.from_url(services.redis.url) as client:
        client.set("key", "value")
        services.redis.restart()
        assert client.get("key") is None


def test_a_paused_redis_times_out(services: Services) -> None:
    services.redis.pause()
    try:
        with (
            redis.Redis(port=services.redis.port, socket_timeout=0.2, retry=Retry(NoBackoff(), 0)) as client,
            pytest.raises(redis.TimeoutError),
        ):
            client.ping()
    finally:
        services.redis.resume()
