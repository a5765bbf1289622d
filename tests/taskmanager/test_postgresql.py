"""The database's connections: one that fell silent is given up, and the clock is the database's."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.utils import ConnectionHandler

from tasks_app import clock
from tests.chaos.proxy import Proxy
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


def test_a_server_that_falls_silent_is_given_up_and_found_again(proxy: Proxy) -> None:
    link = through(proxy)
    assert ask(link) == 1
    proxy.silence()
    started = time.monotonic()
    with pytest.raises(OperationalError, match="did not answer within 1 s"):
        ask(link)
    assert 0.9 < time.monotonic() - started < 3
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
    assert ask(link, "SELECT 2 FROM pg_sleep(0.5)") == 2
    with pytest.raises(OperationalError, match="did not answer"):
        ask(link, "SELECT pg_sleep(5)")
    link.close()


def test_a_command_without_a_limit_may_take_its_time(proxy: Proxy) -> None:
    link = through(proxy, answer_seconds=None)
    assert ask(link, "SELECT 3 FROM pg_sleep(1.5)") == 3
    link.close()


def test_what_a_lost_client_left_open_is_ended_by_the_server(proxy: Proxy) -> None:
    link = through(proxy)
    assert ask(link, "SHOW idle_in_transaction_session_timeout") == "1s"
    link.close()


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
    assert abs(clock.now() - datetime.now(timezone.utc)) < timedelta(seconds=1)
    link.close()


def test_the_way_of_an_answer_does_not_move_the_clock(wrong_clock: datetime) -> None:
    before = clock._zero
    clock.look(clock.now() - timedelta(milliseconds=30), asked_at=time.monotonic())
    clock.look(clock.now() - timedelta(milliseconds=300), asked_at=time.monotonic() - 0.5)
    assert clock._zero == before
    clock.look(clock.now() - timedelta(seconds=1), asked_at=time.monotonic())
    assert clock._zero != before
