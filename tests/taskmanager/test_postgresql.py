"""The database's connections: one that fell silent is given up, and the clock is the database's."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.db.utils import ConnectionHandler

from taskmanager import settings
from tasks_app import clock, database
from tests.chaos.proxy import Proxy
from tests.services.processes import eventually, free_port
from tests.services.stack import Services

pytestmark = [pytest.mark.services, pytest.mark.usefixtures("committed")]


@pytest.fixture
def proxy(services: Services) -> Iterator[Proxy]:
    with Proxy(services.postgres.port) as started:
        yield started


def through(proxy: Proxy, **options: Any) -> Any:
    """A connection of Django's to the `postgres` database, with answers within 1 s."""
    settings = {**connection.settings_dict, "NAME": "postgres", "PORT": str(proxy.port)}
    settings["OPTIONS"] = {**settings["OPTIONS"], "answer_seconds": 1.0, "connect_timeout": 2, **options}
    return ConnectionHandler({"default": settings})["default"]


def ask(link: Any, question: str = "SELECT 1") -> Any:
    with link.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]


@contextmanager
def transaction_of(link: Any) -> Iterator[None]:
    link.set_autocommit(False)
    yield
    link.commit()


def test_a_server_that_falls_silent_is_given_up_and_found_again(proxy: Proxy) -> None:
    link = through(proxy)
    assert ask(link) == 1
    proxy.silence()
    with pytest.raises(OperationalError, match="did not answer within 1 s"):
        ask(link)  # returns although the server is silent still
    proxy.speak()
    link.close_if_unusable_or_obsolete()
    assert ask(link) == 1
    link.close()


def test_so_is_one_of_the_pool(proxy: Proxy) -> None:
    link = through(proxy, pool={"min_size": 1, "max_size": 2, "timeout": 3})
    link.settings_dict["CONN_MAX_AGE"] = 0
    assert ask(link) == 1
    proxy.silence()
    with pytest.raises(OperationalError, match="did not answer within 1 s"):
        ask(link)
    link.close()
    proxy.speak()
    assert ask(link) == 1
    link.close()
    link.close_pool()


def test_a_statement_that_takes_long_is_given_up_and_one_that_does_not_is_not(proxy: Proxy) -> None:
    link = through(proxy)
    assert ask(link, "SELECT 2 FROM pg_sleep(0.1)") == 2
    with pytest.raises(OperationalError, match="did not answer"):
        ask(link, "SELECT pg_sleep(3600)")
    link.close()


def test_a_command_without_a_limit_may_take_its_time(proxy: Proxy) -> None:
    link = through(proxy, answer_seconds=None)
    assert ask(link, "SELECT 3 FROM pg_sleep(1.5)") == 3
    link.close()


def test_what_a_lost_client_left_open_is_ended_by_the_server(proxy: Proxy) -> None:
    link = through(proxy)
    assert ask(link, "SHOW idle_in_transaction_session_timeout") == "1s"
    link.close()


# ---- There, and cannot write ----------------------------------------------------------------------------------------

READ_ONLY = "SELECT set_config('default_transaction_read_only', 'on', false)"
WRITE = "CREATE TABLE never (here int)"


def may_write(link: Any) -> bool:
    return bool(ask(link, "SHOW transaction_read_only") == "off")


@pytest.fixture(params=["kept", "of the pool"])
def link(request: Any, proxy: Proxy) -> Iterator[Any]:
    pooled = request.param == "of the pool"
    made = through(proxy, **({"pool": {"min_size": 1, "max_size": 1, "timeout": 20}} if pooled else {}))
    if pooled:
        made.settings_dict["CONN_MAX_AGE"] = 0
    yield made
    made.close()
    if pooled:
        made.close_pool()


def test_a_write_that_the_server_refuses_is_a_lost_database_and_the_connection_is_given_up(link: Any) -> None:
    ask(link, READ_ONLY)
    with pytest.raises(database.AWAY, match="read-only transaction"), transaction_of(link):
        ask(link, WRITE)
    link.close_if_unusable_or_obsolete()
    link.close()
    assert may_write(link)


def test_a_right_to_write_that_was_taken_away_is_a_lost_database_too(link: Any) -> None:
    ask(link, "SELECT set_config('role', 'pg_monitor', false)")
    with pytest.raises(database.AWAY, match="permission denied"):
        ask(link, WRITE)
    link.connection.close()  # a role is no state to give back to the pool


def test_one_that_only_reads_moves_over_too_when_it_is_next_used(link: Any) -> None:
    ask(link, READ_ONLY)
    if link.pool:
        link.close()
    else:
        link.settings_dict["CONN_MAX_AGE"], link.health_check_enabled, link.health_check_done = None, True, False
    assert may_write(link)


def test_one_that_comes_back_out_of_a_transaction_is_good_again(link: Any) -> None:
    link.set_autocommit(False)
    ask(link)
    link.close()
    assert ask(link, "SHOW transaction_read_only") == "off"
    assert link.get_autocommit()


def test_what_the_server_ended_in_a_transaction_is_a_lost_database(proxy: Proxy) -> None:
    link = through(proxy)
    with pytest.raises(database.AWAY), transaction_of(link):
        ask(link, "SELECT set_config('idle_in_transaction_session_timeout', '1', false)")
        eventually(lambda: not is_open(link))
        ask(link)
    link.close()


def is_open(link: Any) -> bool:
    pid = link.connection.info.backend_pid
    return bool(ask(connection, f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"))


def test_a_connection_that_is_not_used_is_left_to_others_and_replaced(proxy: Proxy) -> None:
    link = through(proxy, idle_seconds=0.1)
    assert ask(link) == 1
    link.settings_dict["CONN_MAX_AGE"] = None
    eventually(lambda: not is_open(link))
    link.health_check_enabled, link.health_check_done = True, False
    assert ask(link) == 1
    link.close()


# ---- Several hosts ----------------------------------------------------------------------------------------------------


def test_of_several_hosts_the_one_that_writes_is_found(services: Services) -> None:
    url = f"postgresql://postgres@127.0.0.1:{free_port()},127.0.0.1:{services.postgres.port}/postgres?connect_timeout=2"
    parsed = settings._database(url)
    assert parsed["OPTIONS"]["target_session_attrs"] == "read-write"
    link = ConnectionHandler({"default": parsed})["default"]
    assert may_write(link)
    link.close()


@pytest.mark.parametrize(
    ("places", "host", "port"),
    [
        ("one:1,two:2", "one,two", "1,2"),
        ("one,two", "one,two", ","),
        ("[::1]:1,two:2", "::1,two", "1,2"),
        ("one:1,[::1]", "one,::1", "1,"),
        ("one,two:2", "one,two", ",2"),
    ],
)
def test_several_hosts_are_read_as_libpq_reads_them(places: str, host: str, port: str) -> None:
    parsed = settings._database(f"postgresql://us%2Cer:p%40ss@{places}/name?target_session_attrs=any")
    assert (parsed["HOST"], parsed["PORT"]) == (host, port)
    assert (parsed["USER"], parsed["PASSWORD"], parsed["NAME"]) == ("us,er", "p@ss", "name")
    assert parsed["OPTIONS"]["target_session_attrs"] == "any"


@pytest.mark.parametrize(
    "places", ["one:x,two:2", "one,,two", ",two", "one:0,two", "one:70000,two", "[::1,two", "a b,c"]
)
def test_several_hosts_that_are_none_are_refused_without_the_password(places: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        settings._database(f"postgresql://user:secret@{places}/name")
    assert "DATABASE_URL" in str(refused.value) and "secret" not in str(refused.value)


# ---- The clock -------------------------------------------------------------------------------------------------------


@pytest.fixture
def wrong_clock() -> Iterator[datetime]:
    """Ours is ten minutes ahead of everybody's."""
    before, ahead = clock._zero, datetime.now(timezone.utc) + timedelta(minutes=10)
    clock._zero = ahead - timedelta(seconds=time.monotonic())
    yield ahead
    clock._zero = before


@pytest.mark.parametrize("when", ["new connection", "check"])
def test_the_time_is_the_databases_whatever_this_machine_says(proxy: Proxy, wrong_clock: datetime, when: str) -> None:
    link = through(proxy)
    ask(link)
    if when == "check":
        clock._zero = wrong_clock - timedelta(seconds=time.monotonic())
        assert clock.now() >= wrong_clock
        assert link.is_usable()
    before, told, after = datetime.now(timezone.utc), clock.now(), datetime.now(timezone.utc)
    assert before - timedelta(seconds=10) < told < after + timedelta(seconds=10), "of ten minutes"
    link.close()


def test_the_way_of_an_answer_does_not_move_the_clock(wrong_clock: datetime) -> None:
    before = clock._zero
    clock.look(clock.now() - timedelta(milliseconds=30), asked_at=time.monotonic())
    clock.look(clock.now() - timedelta(milliseconds=300), asked_at=time.monotonic() - 0.5)
    assert clock._zero == before
    clock.look(clock.now() - timedelta(seconds=1), asked_at=time.monotonic())
    assert clock._zero != before
