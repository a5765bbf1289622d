"""Which of a host's addresses is used, shown with sockets on loopback: some answer, some refuse, some say nothing."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from notifications import dialling
from notifications.addresses import Address
from notifications.dialling import NoneAnswered, first_to_answer, mixed
from notifications.sender import Exchange, send
from notifications.targets import AllowedNetwork, EgressPolicy
from tests.notifications.receiver import HOST, OK, Receiver, answering
from tests.notifications.test_sender import answers
from tests.services.processes import PATIENCE

pytestmark = pytest.mark.anywhere

LOCAL = EgressPolicy(allow_loopback=True)
NO_ROUTE = "fd00:dead::"
"""Private addresses of IPv6, which lead nowhere from here: dead in one way or another on every machine."""


def addresses(*ips: str) -> list[Address]:
    return [ip_address(ip) for ip in ips]


@contextlib.contextmanager
def silence(ip: str, port: int = 0) -> Iterator[int]:
    """A port that takes no connection and refuses none: its backlog is full, and the kernel drops what comes."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket(family))
        full.bind((ip, port))
        full.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket(family))
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield full.getsockname()[1]


def post(receiver: Receiver, *ips: str, **options: Any) -> Exchange:
    values: dict[str, Any] = {"body": b"{}", "headers": {}, "policy": LOCAL, "deadline_seconds": PATIENCE}
    return send(receiver.url(), **values | {"resolver": answers(*ips)} | options)


@pytest.mark.parametrize(
    ("given", "tried"),
    [
        ("4a", "4a"), ("6a 6b", "6a 6b"), ("6a 6b 6c 4a", "6a 4a 6b 6c"), ("4a 4b 6a", "4a 6a 4b"),
        ("6a 4a 4b 6b 4c 6c", "6a 4a 6b 4b 6c 4c"), ("6a 6b 6c 6d 6e 6f 4a 4b", "6a 4a 6b 4b 6c 6d 6e 6f"),
    ],
)  # fmt: skip
def test_families_are_tried_in_turn_beginning_with_the_first(given: str, tried: str) -> None:
    def read(text: str) -> list[Address]:
        return addresses(*(f"2001:db8::{it[1]}" if it[0] == "6" else f"192.0.2.{ord(it[1])}" for it in text.split()))

    assert mixed(read(given)) == read(tried)


def test_a_living_address_behind_three_dead_of_the_other_family_is_reached() -> None:
    with Receiver(answering(OK)) as receiver:
        policy = EgressPolicy(
            allow_http=True,
            allowed_networks=tuple(
                AllowedNetwork.parse(f"{network}:{receiver.port}") for network in ("127.0.0.1/32", f"{NO_ROUTE}/32")
            ),
        )
        dead = [f"{NO_ROUTE}{number}" for number in (1, 2, 3)]
        exchange = post(receiver, *dead, "127.0.0.1", policy=policy)
        again = post(receiver, "127.0.0.1", *dead, policy=policy)
    assert (exchange.status, exchange.peer_ip) == (again.status, again.peer_ip) == (200, "127.0.0.1")


def test_a_living_address_behind_five_that_say_nothing_is_reached() -> None:
    silent = [f"127.0.0.{number}" for number in range(20, 25)]
    with Receiver(answering(OK)) as receiver, contextlib.ExitStack() as stack:
        for ip in silent:
            stack.enter_context(silence(ip, receiver.port))
        exchange = post(receiver, *silent, "127.0.0.1")
    assert (exchange.status, exchange.peer_ip) == (200, "127.0.0.1")


def test_the_first_address_is_used_where_it_answers() -> None:
    with Receiver(answering(OK)) as receiver, socket.create_server(("127.0.0.2", receiver.port)) as second:
        exchange = post(receiver, "127.0.0.1", "127.0.0.2")
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.accept()
    assert exchange.peer_ip == "127.0.0.1"


def test_a_refusal_has_the_next_one_tried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "STAGGER_SECONDS", PATIENCE)
    with Receiver(answering(OK)) as receiver:
        exchange = post(receiver, "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1")
    assert (exchange.status, exchange.peer_ip) == (200, "127.0.0.1")


def test_one_that_answers_late_wins_over_those_that_never_do() -> None:
    with silence("127.0.0.30") as port, silence("127.0.0.31", port), socket.socket() as late:
        late.bind(("127.0.0.32", port))
        late.listen()
        address, connection = first_to_answer(
            addresses("127.0.0.30", "127.0.0.32", "127.0.0.31"), port, seconds=PATIENCE
        )
        connection.close()
    assert str(address) == "127.0.0.32"


def test_where_none_answers_the_time_is_up_and_each_is_named() -> None:
    with silence("127.0.0.40") as port, silence("127.0.0.41", port), pytest.raises(NoneAnswered) as error:
        first_to_answer(addresses("127.0.0.40", "127.0.0.42", "127.0.0.41"), port, seconds=3)
    assert str(error.value) == "127.0.0.42: Connection refused; 127.0.0.40: timed out; 127.0.0.41: timed out"


def test_the_deadline_holds_while_connecting() -> None:
    with silence("127.0.0.50") as port, Receiver(answering(OK)) as receiver:
        url = f"http://{HOST}:{port}/"
        options: dict[str, Any] = {"body": b"", "headers": {}, "policy": LOCAL, "deadline_seconds": 0.5}
        exchange = send(url, resolver=answers(*["127.0.0.50"] * 9), **options)
        assert (exchange.error_code, exchange.peer_ip) == ("timeout", "")
    assert receiver.requests == []


def test_every_address_is_judged_though_one_would_do() -> None:
    with Receiver(answering(OK)) as receiver:
        policy = EgressPolicy(
            allow_http=True, allowed_networks=(AllowedNetwork.parse(f"127.0.0.1/32:{receiver.port}"),)
        )
        exchange = post(receiver, "127.0.0.1", *[f"127.0.0.{number}" for number in range(2, 20)], policy=policy)
    assert (exchange.error_code, receiver.requests) == ("blocked", [])


def test_nothing_is_left_open() -> None:
    with silence("127.0.0.60") as port, silence("127.0.0.61", port):
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            with pytest.raises(NoneAnswered):
                first_to_answer(addresses("127.0.0.60", "127.0.0.61", "127.0.0.62", "::1"), port, seconds=0.3)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
