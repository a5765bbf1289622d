"""Every hostile target is refused before anything is connected to, and whatever two public guards deny, we deny."""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import requests
import ssrfguard
from hypothesis import given
from hypothesis import strategies as st
from requests_hardened import Config, HTTPSession
from requests_hardened.ip_filter import InvalidIPAddress, filter_host

from notifications.addresses import Address
from notifications.connection import AddressInfo
from notifications.sender import send
from notifications.targets import DEFAULT_PORTS, EgressPolicy, Reach, TargetRefused, check_address, check_url
from tests.notifications import hostile_targets
from tests.notifications.hostile_targets import (
    ALLOWED_URLS,
    HOSTILE_ADDRESSES,
    HOSTILE_NAMES,
    HOSTILE_URLS,
    INNER_ADDRESSES,
    LOOPBACK_HOSTS,
    PUBLIC_ADDRESSES,
)
from tests.notifications.receiver import OK, Receiver, answering
from tests.notifications.test_targets import ADDRESSES

pytestmark = pytest.mark.anywhere

STRICT = EgressPolicy(allow_http=True)
NAME_URLS = [f"https://{name}/hook" for name in HOSTILE_NAMES]
AN_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f]*:")
GUARD = ssrfguard.Policy(allowed_ports=DEFAULT_PORTS)
HARDENED = HTTPSession(
    Config(ip_filter_enable=True, ip_filter_allow_loopback_ips=False, never_redirect=True, default_timeout=(2, 2))
)


def resolve(host: str, port: int | None, *_: object, **__: object) -> list[AddressInfo]:
    """A resolver of the tests' own, without any network: literal addresses, the table's names, and else 8.8.8.8."""
    try:
        numeric = socket.AI_NUMERICHOST
        infos = _getaddrinfo(host, port, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM, flags=numeric)
        return [(family, kind, protocol, name, address) for family, kind, protocol, name, address in infos]
    except (socket.gaierror, UnicodeError):
        ips = HOSTILE_NAMES.get(host.lower(), ("8.8.8.8",))
    return [(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ips]


_getaddrinfo = socket.getaddrinfo


def we_refuse(url: str) -> bool:
    """The URL itself, or one of the addresses that its name resolves to."""
    try:
        target = check_url(url, STRICT)
        for *_, address in resolve(target.host, target.port):
            check_address(str(address[0]), target.port, STRICT)
    except TargetRefused:
        return True
    return False


def ssrfguard_refuses(url: str) -> bool:
    try:
        ssrfguard.resolve(GUARD.check_url(url), policy=GUARD, resolver=resolve)
    except (ssrfguard.SSRFGuardError, ValueError):
        return True
    return False


def requests_hardened_refuses(url: str) -> bool:
    """Its own session would call exactly this before it opens a connection. Needs `own_dns`."""
    try:
        request = requests.Request("POST", url).prepare()
        HARDENED.get_adapter(request.url).build_connection_pool_key_attributes(request, verify=True)
    except requests.ConnectionError:
        return False  # it could not resolve the name, which is no verdict
    except (requests.RequestException, ValueError):
        return True
    return False


@pytest.fixture
def own_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a library that asks the operating system and nobody else."""
    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def short(text: str) -> str:
    return ascii(text)[1:-1][:80]


# The corpus


def test_the_corpus_is_large_and_the_same_every_time() -> None:
    tables: list[list[str]] = [HOSTILE_ADDRESSES, HOSTILE_URLS, [*HOSTILE_NAMES]]
    assert [len(table) for table in tables] == [len(set(table)) for table in tables]
    assert len(HOSTILE_ADDRESSES) >= 150 and len(HOSTILE_URLS) >= 300 and len(HOSTILE_NAMES) >= 50


@pytest.mark.parametrize("ip", INNER_ADDRESSES)
def test_the_c_library_reads_each_spelling_as_the_address(ip: str) -> None:
    for spelling in hostile_targets.c_spellings(ip):
        assert socket.inet_ntoa(socket.inet_aton(spelling)) == ip, spelling


# What we refuse


@pytest.mark.parametrize("url", HOSTILE_URLS, ids=short)
def test_a_hostile_url_is_refused_with_a_sentence_that_names_no_address(url: str) -> None:
    with pytest.raises(TargetRefused) as refusal:
        check_url(url, STRICT)
    assert re.fullmatch(r"[A-Z][^\n]+\.", refusal.value.public_message)
    assert not AN_ADDRESS.search(refusal.value.public_message)
    assert not isinstance(refusal.value, OSError | ValueError | requests.RequestException)


@pytest.mark.parametrize("ip", HOSTILE_ADDRESSES)
def test_a_hostile_address_is_refused_without_naming_it(ip: str) -> None:
    with pytest.raises(TargetRefused) as refusal:
        check_address(ip, 443, STRICT)
    assert refusal.value.code == "address_not_allowed"
    assert refusal.value.public_message == str(refusal.value) == "Destination not allowed."
    assert refusal.value.detail != refusal.value.public_message


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_is_refused_for_what_it_resolves_to(name: str) -> None:
    target = check_url(f"https://{name}/hook", STRICT)
    assert target.host == name
    refused = []
    for ip in HOSTILE_NAMES[name]:
        try:
            check_address(ip, target.port, STRICT)
        except TargetRefused as refusal:
            refused.append(refusal)
    assert refused
    assert {refusal.public_message for refusal in refused} == {"Destination not allowed."}


def test_what_is_fine_is_not_refused() -> None:
    """So that refusing everything would fail."""
    assert [ip for ip in PUBLIC_ADDRESSES if check_address(ip, 443, STRICT) is not Reach.PUBLIC] == []
    assert [url for url in ALLOWED_URLS if we_refuse(url)] == []


# Nothing is connected to


class Spy:
    """What this process asks the kernel to connect to or look up, by Python's own audit events.

    Only loopback is let through: a rule that fails here must not send anything into a network.
    """

    EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname")

    def __init__(self) -> None:
        self.seen: list[tuple[str, object]] = []
        self._watched: threading.Thread | None = threading.current_thread()
        sys.addaudithook(self._hear)  # for as long as the process lives

    def stop(self) -> None:
        self._watched = None

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._watched is None or event not in self.EVENTS:
            return
        thread = threading.current_thread()
        if thread is self._watched or thread.name.startswith("webhook"):
            self.seen.append((event, arguments[-1]))
            if event != "socket.connect" or not str(arguments[-1][0]).startswith("127."):
                raise AssertionError(f"{event} {arguments[-1]}")


@pytest.fixture
def spy() -> Iterator[Spy]:
    found = Spy()
    yield found
    found.stop()


def own_dns_only(*ips: str) -> Callable[[str, int], Sequence[AddressInfo]]:
    return lambda host, port: [
        (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ips
    ]


def test_the_spy_sees_a_request_that_is_allowed(spy: Spy) -> None:
    with Receiver(answering(OK)) as receiver:
        local = EgressPolicy(allow_loopback=True)
        exchange = send(receiver.url(), body=b"{}", headers={}, policy=local, resolver=own_dns_only("127.0.0.1"))
    assert exchange.succeeded
    assert spy.seen == [("socket.connect", ("127.0.0.1", receiver.port))]


def test_no_hostile_url_leads_to_a_connection_or_a_lookup(spy: Spy) -> None:
    asked: list[str] = []

    def resolver(host: str, port: int) -> Sequence[AddressInfo]:
        asked.append(host)
        return own_dns_only("127.0.0.1")(host, port)

    for url in HOSTILE_URLS:
        exchange = send(url, body=b"{}", headers={}, policy=STRICT, resolver=resolver)
        assert exchange.error_code in ("blocked", "invalid_url"), ascii(url)
        assert (exchange.status, exchange.peer_ip, exchange.dns_ms) == (None, "", None), ascii(url)
        assert not AN_ADDRESS.search(exchange.error_message)
    assert (asked, spy.seen) == ([], [])


def test_no_hostile_name_leads_to_a_connection(spy: Spy) -> None:
    for name, ips in HOSTILE_NAMES.items():
        url = f"https://{name}/hook"
        exchange = send(url, body=b"{}", headers={}, policy=STRICT, resolver=own_dns_only(*ips))
        assert (exchange.error_code, exchange.peer_ip, exchange.connect_ms) == ("blocked", "", None), name
        assert exchange.error_message == "Destination not allowed."
    assert spy.seen == []


def test_no_spelling_of_this_machine_reaches_a_server_that_listens_on_it(spy: Spy) -> None:
    connections: list[bool] = []
    with Receiver(lambda _: connections.append(True), reads_request=False) as receiver:
        strict = EgressPolicy(allow_http=True, ports=frozenset({receiver.port}))
        here = own_dns_only("127.0.0.1")
        for host in [*LOOPBACK_HOSTS, *HOSTILE_NAMES]:
            url = f"http://{host}:{receiver.port}/"
            exchange = send(url, body=b"{}", headers={}, policy=strict, resolver=here)
            assert exchange.error_code in ("blocked", "invalid_url"), ascii(url)
        assert spy.seen == []
        send(receiver.url(), body=b"{}", headers={}, policy=EgressPolicy(allow_loopback=True), resolver=here)
    assert connections == [True]  # the last one, which was allowed


# Whatever they deny, we deny


@pytest.mark.usefixtures("own_dns")
@pytest.mark.parametrize("refuses", [ssrfguard_refuses, requests_hardened_refuses])
def test_whatever_a_public_guard_denies_we_deny(refuses: Callable[[str], bool]) -> None:
    urls = [*HOSTILE_URLS, *NAME_URLS, *ALLOWED_URLS]
    urls += [f"https://[{ip}]/" if ":" in ip else f"https://{ip}/" for ip in [*HOSTILE_ADDRESSES, *PUBLIC_ADDRESSES]]
    denied = [url for url in urls if refuses(url)]
    assert len(denied) >= 400  # else there is nothing to hold ours against
    assert [url for url in denied if not we_refuse(url)] == []


@pytest.mark.usefixtures("own_dns")
@pytest.mark.parametrize("refuses", [ssrfguard_refuses, requests_hardened_refuses])
def test_a_public_guard_allows_what_it_should(refuses: Callable[[str], bool]) -> None:
    """So that a guard which this file calls wrongly, and denies everything, does not go unnoticed."""
    fine = [url for url in ALLOWED_URLS if not refuses(url)]
    assert len(fine) >= len(ALLOWED_URLS) - 3


@given(ip=ADDRESSES)
def test_whatever_address_ssrfguard_denies_we_deny(ip: Address) -> None:
    if not ssrfguard.Policy().permits_address(ip):
        with pytest.raises(TargetRefused):
            check_address(ip, 443, STRICT)


@given(ip=ADDRESSES)
def test_whatever_address_requests_hardened_denies_we_deny(ip: Address) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        try:
            filter_host(str(ip), 443, allow_loopback=False)
        except InvalidIPAddress:
            with pytest.raises(TargetRefused):
                check_address(ip, 443, STRICT)


@given(host=st.text(alphabet="0123456789abcdefx.-_:[]@\\%é。１", max_size=20))
def test_whatever_random_host_a_public_guard_denies_we_deny(host: str) -> None:
    url = f"http://{host}/"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        if ssrfguard_refuses(url) or requests_hardened_refuses(url):
            assert we_refuse(url)
