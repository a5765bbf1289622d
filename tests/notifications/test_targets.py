"""Where we may send: the rules, the operator's exceptions, and that requests reads a URL as we do."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from types import SimpleNamespace

import pytest
import requests
from django.core.exceptions import ImproperlyConfigured
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from notifications.addresses import Address
from notifications.targets import (
    AllowedNetwork,
    EgressPolicy,
    Ground,
    Origin,
    Reach,
    TargetRefused,
    check_address,
    check_url,
)
from tests.notifications.hostile_targets import ALLOWED_URLS, HOSTILE_ADDRESSES, METADATA_ADDRESSES, PUBLIC_ADDRESSES

pytestmark = pytest.mark.anywhere

STRICT = EgressPolicy(allow_http=True)
EVERYTHING = EgressPolicy(
    allowed_networks=tuple(map(AllowedNetwork.parse, ["0.0.0.0/0", "::/0", "0.0.0.0/0:9000", "::/0:9000"])),
    allow_http=True,
    allow_loopback=True,
)


def policy(*networks: str, url: str = "", http: bool = False, loopback: bool = False) -> EgressPolicy:
    return EgressPolicy(
        allowed_networks=tuple(map(AllowedNetwork.parse, networks)),
        allowed_origins=frozenset({Origin.parse(url)} if url else ()),
        allow_http=http,
        allow_loopback=loopback,
    )


def is_refused(url: str, rules: EgressPolicy = STRICT) -> bool:
    try:
        check_url(url, rules)
    except TargetRefused:
        return True
    return False


def address_is_refused(ip: str | Address, port: int = 443, rules: EgressPolicy = STRICT) -> bool:
    try:
        check_address(ip, port, rules)
    except TargetRefused:
        return True
    return False


@pytest.mark.parametrize("ip", PUBLIC_ADDRESSES)
def test_a_public_address_passes(ip: str) -> None:
    assert check_address(ip, 443, STRICT) is Reach.PUBLIC


@pytest.mark.parametrize(
    "text", ["", "example.com", "127.1", "0x7f000001", "１.1.1.1", "1.1.1.1 ", "[::1]", "1.1.1.01"]
)
def test_only_the_usual_spelling_is_an_address(text: str) -> None:
    with pytest.raises(TargetRefused):
        check_address(text, 443, EVERYTHING)


@pytest.mark.parametrize("ip", METADATA_ADDRESSES)
@pytest.mark.parametrize("ground", Ground)
def test_nothing_opens_metadata_addresses(ip: str, ground: Ground) -> None:
    with pytest.raises(TargetRefused):
        check_address(ip, 443, EVERYTHING, ground=ground)
    host = f"[{ip}]" if ":" in ip else ip
    url = f"http://{host}/latest/meta-data/"
    with pytest.raises(TargetRefused) as refusal:
        check_url(url, policy("0.0.0.0/0", "::/0", url=url, http=True, loopback=True))
    assert refusal.value.code == "address_not_allowed"


@pytest.mark.parametrize(("url", "normal"), ALLOWED_URLS.items())
def test_an_ordinary_url_passes_in_its_normal_spelling(url: str, normal: str) -> None:
    target = check_url(url, STRICT)
    assert target.url == normal
    assert target.ground is Ground.RULES
    assert check_url(target.url, STRICT) == target


@pytest.mark.parametrize("url", ALLOWED_URLS)
def test_requests_goes_exactly_where_the_check_says(url: str) -> None:
    target = check_url(url, STRICT)
    prepared = requests.Request("POST", target.url).prepare().url
    assert prepared == target.url
    parsed = parse_url(prepared)
    assert (
        parsed.scheme,
        (parsed.host or "").strip("[]"),
        parsed.port or {"http": 80, "https": 443}[target.scheme],
    ) == (
        target.scheme,
        target.host,
        target.port,
    )


URL_ALPHABET = st.sampled_from([*"htps:/.@#?%[]0123456789abcx-_~\\ ,;&=", "é", "。", "１", "\t", "\u200b", "K", "ß"])
URL_PARTS = st.sampled_from(
    ["http://", "https://", "localhost", "127.0.0.1", "example.com", "[::1]", ":80", "8.8.8.8", "@", "%5c"]
)


@given(url=st.lists(URL_PARTS | URL_ALPHABET, max_size=12).map("".join))
@example(url="http://example.com:80/..//%2e%2e/")
@example(url="http://example.com//evil.example/")
def test_whatever_passes_is_read_the_same_by_requests(url: str) -> None:
    for text in (url, "http://" + url):
        try:
            target = check_url(text, STRICT)
        except TargetRefused:
            continue
        prepared = requests.Request("POST", target.url).prepare().url
        parsed = parse_url(prepared or "")
        assert (parsed.scheme, parsed.auth) == (target.scheme, None)
        assert (parsed.host or "").strip("[]") == target.host
        assert parsed.port in (target.port, None)
        assert check_url(target.url, STRICT).url == target.url


ADDRESSES = st.one_of(
    st.ip_addresses(),
    st.sampled_from([ip for ip in HOSTILE_ADDRESSES + PUBLIC_ADDRESSES if "%" not in ip]).map(ip_address),
    st.tuples(
        st.sampled_from(["::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::", "2000::", "2001::", "fd00::"]),
        st.ip_addresses(v=4),
    ).map(lambda pair: IPv6Address(int(IPv6Address(pair[0])) | int(pair[1]))),
    st.ip_addresses(v=4).map(lambda ip: IPv6Address((0x2002 << 112) | (int(ip) << 80))),
)


@given(ip=ADDRESSES)
def test_an_address_and_its_literal_url_are_judged_alike(ip: Address) -> None:
    host = f"[{ip}]" if isinstance(ip, IPv6Address) else str(ip)
    assert is_refused(f"https://{host}/") == address_is_refused(ip)


@given(ip=st.ip_addresses(v=6))
def test_public_ipv6_lies_in_the_global_unicast_block(ip: IPv6Address) -> None:
    if not address_is_refused(ip):
        assert int(ip) >> 125 == 1 or ip.ipv4_mapped


@given(ip=st.ip_addresses(v=4))
def test_an_ipv4_mapped_address_is_judged_as_its_ipv4_address(ip: IPv4Address) -> None:
    assert address_is_refused(IPv6Address(f"::ffff:{ip}")) == address_is_refused(ip)


def test_https_alone_passes_unless_http_is_allowed() -> None:
    with pytest.raises(TargetRefused, match="Only https") as refusal:
        check_url("http://example.com/", EgressPolicy())
    assert refusal.value.code == "scheme_not_allowed"
    assert check_url("http://example.com/", policy(http=True)).scheme == "http"


def test_the_code_says_whether_the_url_or_the_destination_is_at_fault() -> None:
    codes = {
        "https://user@example.com": ("url_invalid", True),
        "https://example.com/" + "a" * 2048: ("url_too_long", True),
        "ftp://example.com": ("scheme_not_allowed", False),
        "https://example.com:22": ("port_not_allowed", False),
        "https://taskmanager.example": ("host_not_allowed", False),
        "https://10.0.0.1": ("address_not_allowed", False),
    }
    for url, expected in codes.items():
        with pytest.raises(TargetRefused) as refusal:
            check_url(url, EgressPolicy(denied_hosts=frozenset({"taskmanager.example"})))
        assert (refusal.value.code, refusal.value.is_malformed) == expected


def test_an_opened_network_takes_the_ordinary_ports_or_its_own() -> None:
    opened = policy("10.1.0.0/16", "10.2.3.4/32:9000", "fd12::/64:9000")
    assert check_url("https://10.1.2.3/", opened).host == "10.1.2.3"
    assert check_address("10.1.2.3", 8443, opened) is Reach.PRIVATE
    assert check_address("::ffff:10.1.2.3", 443, opened) is Reach.PRIVATE
    assert check_address("10.2.3.4", 9000, opened) is Reach.PRIVATE
    assert check_address("fd12::1", 9000, opened) is Reach.PRIVATE
    for ip, port in [
        ("10.1.2.3", 9000),
        ("10.2.3.4", 443),
        ("10.2.3.5", 9000),
        ("fd12::1", 443),
        ("8.8.8.8", 9000),
    ]:
        assert address_is_refused(ip, port, opened)
    assert check_url("https://receiver.internal:9000/", opened).port == 9000  # its addresses are judged later
    assert is_refused("https://receiver.internal:9001/", opened)
    assert is_refused("http://10.1.2.3/", opened)


def test_a_public_network_can_be_opened_on_another_port_and_stays_public() -> None:
    assert check_address("8.8.8.8", 9000, policy("8.8.8.8/32:9000")) is Reach.PUBLIC


def test_loopback_can_be_opened_by_the_list() -> None:
    opened = policy("127.0.0.0/8:9000", http=True)
    assert check_url("http://127.0.0.1:9000/", opened).port == 9000
    assert check_url("http://localhost:9000/", opened).port == 9000
    assert is_refused("http://localhost:9001/", opened)


def test_the_operators_origin_may_be_anything_but_metadata_and_only_that_origin() -> None:
    trusted = policy(url="http://task_receiver:9000/hook")
    target = check_url("http://task_receiver:9000/other?x", trusted)
    assert target.ground is Ground.OPERATOR
    for ip in ("127.0.0.1", "::1", "10.0.0.1", "fd00::1"):
        assert check_address(ip, target.port, trusted, ground=target.ground) is Reach.PRIVATE
        assert address_is_refused(ip, target.port, trusted)
    for url in (
        "https://task_receiver:9000/",
        "http://task_receiver:9001/",
        "http://task_receiver/",
        "http://x:9000/",
    ):
        assert is_refused(url, trusted)
    assert check_url("http://127.0.0.1:9/", policy(url="http://127.0.0.1:9")).ground is Ground.OPERATOR
    assert check_url("http://localhost:9/", policy(url="http://LOCALHOST:9/a")).ground is Ground.OPERATOR


def test_loopback_for_development_opens_loopback_and_nothing_else() -> None:
    local = policy(loopback=True)
    for url in (
        "http://127.0.0.1:5000/",
        "http://[::1]:5000/",
        "http://localhost:1/",
        "http://a.localhost:5000/",
    ):
        target = check_url(url, local)
        assert target.ground is Ground.LOOPBACK
        assert check_address("127.0.0.1", target.port, local, ground=target.ground) is Reach.PRIVATE
        for ip in ("10.0.0.1", "8.8.8.8", "0.0.0.0", "fd00::1"):
            for port in (target.port, 443):
                with pytest.raises(TargetRefused):
                    check_address(ip, port, local, ground=target.ground)
    for url in ("http://example.com/", "https://example.com:5000/", "https://10.0.0.1/", "https://0.0.0.0/"):
        assert is_refused(url, local)
    assert check_address("127.9.9.9", 5000, local) is Reach.PRIVATE  # https://name:8443 may resolve to loopback


def test_the_platforms_own_names_are_refused() -> None:
    rules = EgressPolicy(denied_hosts=frozenset({"Tasks.Example.com", ".bücher.example", "8.8.8.8"}))
    for host in (
        "tasks.example.com",
        "TASKS.example.com",
        "bücher.example",
        "a.b.xn--bcher-kva.example",
        "8.8.8.8",
    ):
        assert is_refused(f"https://{host}/", rules), host
    for host in (
        "example.com",
        "a.tasks.example.com",
        "xtasks.example.com",
        "xxn--bcher-kva.example",
        "8.8.4.4",
    ):
        assert not is_refused(f"https://{host}/", rules), host


@pytest.mark.parametrize(
    "text",
    [
        *("", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "x/8", "fd00::/129"),
        *("10.0.0.0/8:", "10.0.0.0/8:0", "10.0.0.0/8:65536", "10.0.0.0/8:9000:1", "::ffff:10.0.0.0/104"),
    ],
)
def test_a_network_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        AllowedNetwork.parse(text)


def webhook_settings(**changes: object) -> SimpleNamespace:
    values: dict[str, object] = {
        "WEBHOOK_ALLOWED_NETWORKS": ["10.0.0.0/8", "fd12::/64:9000"],
        "WEBHOOK_ALLOW_HTTP": False,
        "WEBHOOK_PORTS": ["443", "8443"],
        "WEBHOOK_DENIED_HOSTS": ["tasks.example.com"],
        "WEBHOOK_URL": "http://receiver:9000/hook",
        "WEBHOOK_ALLOW_LOOPBACK": True,
    }
    return SimpleNamespace(**values | changes)


def test_the_policy_is_read_from_the_settings() -> None:
    assert EgressPolicy.from_settings(webhook_settings()) == EgressPolicy(
        allowed_networks=(AllowedNetwork.parse("10.0.0.0/8"), AllowedNetwork.parse("fd12::/64:9000")),
        allowed_origins=frozenset({Origin(scheme="http", host="receiver", port=9000)}),
        ports=frozenset({443, 8443}),
        denied_hosts=frozenset({"tasks.example.com"}),
        allow_loopback=True,
    )
    assert EgressPolicy.from_settings(webhook_settings(WEBHOOK_URL="")).allowed_origins == frozenset()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_ALLOWED_NETWORKS", ["10.0.0.1/8"]),
        ("WEBHOOK_PORTS", ["http"]),
        ("WEBHOOK_DENIED_HOSTS", ["*"]),
        ("WEBHOOK_URL", "receiver:9000"),
        ("WEBHOOK_URL", "https://user:s3cret@receiver/"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named_and_no_password_repeated(name: str, value: object) -> None:
    with pytest.raises(ImproperlyConfigured, match=name) as error:
        EgressPolicy.from_settings(webhook_settings(**{name: value}))
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("written", ["[2001:db8::1]", "2001:db8::1", "2001:DB8:0::1"])
def test_an_address_of_ones_own_is_denied_however_it_is_written(written: str) -> None:
    policy = EgressPolicy(denied_hosts=frozenset({written}))
    with pytest.raises(TargetRefused) as refusal:
        check_url("https://[2001:db8::1]/", policy)
    assert refusal.value.code == "host_not_allowed"


@pytest.mark.parametrize("written", ["[::1", "::1]", "[]", ":", "[a.example]"])
def test_half_an_address_is_no_host(written: str) -> None:
    with pytest.raises(TargetRefused):
        EgressPolicy(denied_hosts=frozenset({written}))
