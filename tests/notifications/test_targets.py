"""Where we may send: tables of hostile addresses and URLs, and two public guards that we must outdo."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from types import SimpleNamespace

import pytest
import requests
import ssrfguard
from django.core.exceptions import ImproperlyConfigured
from hypothesis import example, given
from hypothesis import strategies as st
from requests_hardened.ip_filter import (
    InvalidIPAddress,
    filter_host,
)
from urllib3.util import parse_url

from notifications.addresses import Address
from notifications.targets import (
    DEFAULT_PORTS,
    AllowedNetwork,
    EgressPolicy,
    Ground,
    Origin,
    Reach,
    TargetRefused,
    check_address,
    check_url,
)

STRICT = EgressPolicy(allow_http=True)
EVERYTHING = EgressPolicy(
    allowed_networks=tuple(map(AllowedNetwork.parse, ["0.0.0.0/0", "::/0", "0.0.0.0/0:9000", "::/0:9000"])),
    allow_http=True,
    allow_loopback=True,
)


def words(text: str) -> list[str]:
    return text.split()


HOSTILE_ADDRESSES = words("""
    0.0.0.0 0.0.0.1 0.255.255.255 10.0.0.0 10.0.0.1 10.255.255.255 100.64.0.0 100.64.0.1 100.100.100.200
    100.127.255.255 127.0.0.0 127.0.0.1 127.0.0.53 127.1.1.1 127.255.255.255 168.63.129.16 169.254.0.0
    169.254.169.254 169.254.170.2 169.254.255.255 172.16.0.0 172.16.0.1 172.31.255.255 192.0.0.0 192.0.0.1
    192.0.0.8 192.0.0.9 192.0.0.10 192.0.0.170 192.0.0.192 192.0.0.255 192.0.2.0 192.0.2.1 192.0.2.255
    192.31.196.1 192.52.193.1 192.88.99.0 192.88.99.1 192.168.0.0 192.168.1.1 192.168.255.255 192.175.48.1
    198.18.0.0 198.18.0.1 198.19.255.255 198.51.100.1 198.51.100.255 203.0.113.1 203.0.113.255 224.0.0.0
    224.0.0.1 239.255.255.250 240.0.0.0 240.0.0.1 250.1.2.3 255.255.255.255
    :: ::1 ::2 ::127.0.0.1 ::7f00:1 ::8.8.8.8 ::ffff:0.0.0.0 ::ffff:10.0.0.1 ::ffff:127.0.0.1 ::ffff:7f00:1
    ::ffff:100.64.0.1 ::ffff:169.254.169.254 ::ffff:192.168.1.1 ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8
    64:ff9b::7f00:1 64:ff9b::8.8.8.8 64:ff9b::a9fe:a9fe 64:ff9b:1::1 64:ff9b:1::7f00:1 100::1 100:0:0:1::1
    2001::1 2001:0:7f00:1::1 2001:0:808:808::f7f7:f7f7 2001:1::1 2001:2::1 2001:3::1 2001:4:112::1 2001:10::1
    2001:20::1 2001:30::1 2001:1ff:ffff::1 2001:db8::1 2001:db8:ffff::1 2002:7f00:1:: 2002:a9fe:a9fe::1
    2002:808:808::1 2002:c0a8:101::1 2620:4f:8000::1 3fff::1 3fff:fff:ffff::1 4000::1 5f00::1 8000::1 a000::1
    c000::1 e000::1 f000::1 f800::1 1::1 1fff:ffff::1 fc00::1 fd00::1 fd00:ec2::254 fd20:ce::254 fdff:ffff::1
    fe00::1 fe80::1 fe80::a9fe:a9fe febf::1 fec0::1 fec0:0:0:ffff::1 ff00::1 ff02::1 ff02::2 ff05::1:3
    ff0e::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fe80::1%eth0 2606:4700::1111%1 ::1%lo
""")

PUBLIC_ADDRESSES = words("""
    1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15
    168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.0.3.0 192.88.98.255
    192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.114.0 223.255.255.255 ::ffff:8.8.8.8
    ::ffff:808:808 2001:200::1 2001:db7:ffff::1 2001:db9::1 2003::1 2400:cb00::1 2606:4700::1111
    2620:4f:8001::1 2a00:1450:4001::1 2c0f::1 3000::1 3fff:1000::1
""")

METADATA_ADDRESSES = words("""
    169.254.169.254 169.254.170.2 169.254.0.1 168.63.129.16 fd00:ec2::254 100.100.100.200 192.0.0.192
    fd20:ce::254 ::ffff:169.254.169.254 ::ffff:168.63.129.16 ::169.254.169.254 ::ffff:0:169.254.169.254
    64:ff9b::169.254.169.254 64:ff9b:1::169.254.169.254 2002:a9fe:a9fe:: 2001:0:a9fe:a9fe::1
    2001:0:808:808::5601:5601 0.0.0.0 0.1.2.3 ::
""")

# Not one of these may pass, whatever a receiver of ours could have meant by it.
HOSTILE_URLS = [
    # literal addresses, and the spellings that C libraries read as addresses
    *("http://127.0.0.1", "http://127.0.0.1:80/", "http://127.1", "http://127.0.1", "http://2130706433"),
    *("http://0x7f000001", "http://0x7f.0.0.1", "http://0x7f.1", "http://127.0.0.0x1", "http://0177.0.0.1"),
    *("http://017700000001", "http://0", "http://0.0.0.0", "http://0x0", "http://127.000.000.001"),
    *("http://127.0.0.01", "http://0127.0.0.1", "http://8.8.8", "http://8.8.8.8.8", "http://134744072"),
    *("http://0x08080808", "http://010.8.8.8", "http://256.1.1.1", "http://1.2.3.4.5", "http://4294967296"),
    *("http://169.254.169.254/latest/meta-data/", "http://2852039166", "http://0xa9fea9fe", "http://1.0x"),
    *("http://host.1", "http://host.0x1f", "http://example.com.0", "http://127.0.0.1.", "http://0.0.0.0."),
    *("http://[::1]", "http://[::]", "http://[0:0:0:0:0:0:0:1]", "http://[::ffff:127.0.0.1]"),
    *("http://[::ffff:7f00:1]", "http://[::127.0.0.1]", "http://[64:ff9b::7f00:1]", "http://[fe80::1]"),
    *("http://[fd00:ec2::254]", "http://[2002:7f00:1::]", "http://[fe80::1%25eth0]", "http://[fe80::1%eth0]"),
    *("http://[::1%25lo]", "http://[2606:4700::1111%251]", "http://[v1.fe80::a]", "http://[]", "http://[::1"),
    *("http://::1]", "http://::1", "http://[1.1.1.1]", "http://[::1].example.com", "http://[::1]example.com"),
    *("http://[::1]:80:80", "http://[::00001]", "http://[::ffff:127.0.0.01]", "http://[example.com]"),
    # names of this machine
    *(
        "http://localhost",
        "http://LOCALHOST",
        "http://localhost.",
        "http://a.localhost",
        "http://localhost:8000",
    ),
    # characters that become digits, dots or slashes on the way
    *(
        "http://１２７.0.0.1",
        "http://127。0。0。1",
        "http://127．0．0．1",
        "http://127｡0｡0｡1",
        "http://①②⑦.0.0.1",
    ),
    *("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "http://ｌocalhost", "http://loc\u00adalhost", "http://local\u200bhost"),
    *(
        "http://example。com",
        "http://ex\u0430mple\u3002com",
        "http://\u212aelvin.example",
        "http://e\u0301x.example",
    ),
    *("http://example.com\uff0fevil.example", "http://example.com\u2100.example", "http://\u202eexample.com"),
    *(
        "http://١٢٧.0.0.1",
        "http://᠐.0.0.1",
        "http://example.com:８０",
        "http://example.com:٨٠",
        "http://\ud800.com",
    ),
    *("ｈttp://example.com", "http:／／example.com", "http://example．com", "http://ﬁ.example"),
    # user names, two readings of an authority
    *(
        "http://user@example.com",
        "http://user:pass@example.com",
        "http://@example.com",
        "http://:@example.com",
    ),
    *("http://example.com@127.0.0.1", "http://127.0.0.1@example.com", "http://a@b@example.com"),
    *(
        "http://example.com:80@127.0.0.1",
        "http://example.com%40127.0.0.1",
        "http://example.com&@127.0.0.1#@x",
    ),
    *(
        "http://example.com#@127.0.0.1/",
        "http://example.com/#",
        "http://example.com/#x",
        "http://example.com#",
    ),
    *("http://example.com\\@127.0.0.1", "http://example.com\\.127.0.0.1", "http:\\\\example.com"),
    *("http://example.com/\\x", "http://example.com/?\\", "http://example.com%5c@127.0.0.1"),
    *(
        "http://example.com/%5c",
        "http://example.com/%5C",
        "http://example.com/?q=%5cx",
        "http:/\\example.com",
    ),
    # percent signs, white space and control characters
    *("http://%31%32%37.0.0.1", "http://127%2e0%2e0%2e1", "http://exam%70le.com", "http://example.com%00"),
    *("http://example.com%2f@127.0.0.1", "http://example.com%0d%0a", "http://%6c%6f%63alhost", "http://%"),
    *(" http://example.com", "http://example.com ", "http://exam ple.com", "http://example.com/a b"),
    *("http://example.com/\t", "http://exam\tple.com", "ht\ntp://example.com", "http://example.com\r\n"),
    *("http://example.com/\r\nHost: evil", "http://example.com/\x00", "http://example.com/\x7f"),
    *(
        "\x01http://example.com",
        "http://example.com/\u2028",
        "http://example.com/\u00a0",
        "http://example.com/\x85",
    ),
    *("http://example.com/\u200b", "http://example.com/\ufeff", "\ufeffhttp://example.com"),
    # schemes and shapes
    *("", "http", "http:", "http:/", "http://", "http:///", "http:///example.com", "http:/example.com"),
    *(
        "http:example.com",
        "//example.com",
        "example.com",
        "/path",
        "?q",
        "http//example.com",
        "://example.com",
    ),
    *(
        "ftp://example.com",
        "file:///etc/passwd",
        "gopher://example.com",
        "ws://example.com",
        "data:text/html,x",
    ),
    *("http+unix://%2fvar%2frun%2fdocker.sock/x", "unix:///var/run/docker.sock", "dict://example.com:11211/"),
    *("javascript:alert(1)", "http://?q", "http://#", "http://:80", "http://:80/", "http://.", "http://.."),
    *("url:http://example.com", "view-source:http://example.com", "jar:http://example.com!/"),
    # host names
    *("http://example.com.", "http://.example.com", "http://example..com", "http://-example.com"),
    *("http://example-.com", "http://exa_mple.com", "http://exa$mple.com", "http://exa,mple.com", "http://*"),
    *("http://*.example.com", "http://exa'mple.com", "http://example.com;x", "http://example.com,127.0.0.1"),
    *("http://(example.com)", "http://{example.com}", "http://a|b", "http://a^b", 'http://"a"', "http://<a>"),
    *("http://" + "a" * 64 + ".com", "http://" + "a." * 127 + "com", "http://example.com/" + "a" * 2048),
    *("http://example.com/" + "é" * 700, "http://a!b", "http://a=b", "http://~", "http://a+b"),
    # ports
    *("http://example.com:", "http://example.com:/", "http://example.com:0", "http://example.com:080"),
    *(
        "http://example.com:22",
        "http://example.com:25",
        "http://example.com:6379",
        "http://example.com:65536",
    ),
    *(
        "http://example.com:99999",
        "http://example.com:999999",
        "http://example.com:-1",
        "http://example.com:+80",
    ),
    *(
        "http://example.com:8_0",
        "http://example.com:80:80",
        "http://example.com:http",
        "http://example.com:0x50",
    ),
    *("http://example.com: 80", "http://example.com:80 ", "http://8.8.8.8:81", "https://example.com:4430"),
]

ALLOWED_URLS = {
    "https://example.com": "https://example.com/",
    "HTTPS://Example.COM": "https://example.com/",
    "https://example.com/": "https://example.com/",
    "https://example.com:443/": "https://example.com/",
    "http://example.com:80": "http://example.com/",
    "http://example.com:443/": "http://example.com:443/",
    "https://example.com:8443/hook": "https://example.com:8443/hook",
    "http://example.com:8000/a": "http://example.com:8000/a",
    "https://example.com?x=1": "https://example.com/?x=1",
    "https://example.com/?x=/@:?": "https://example.com/?x=/@:?",
    "https://example.com/a@b/c:d": "https://example.com/a@b/c:d",
    "https://example.com/hook?token=a%20b&u=http://127.0.0.1": "https://example.com/hook?token=a%20b&u=http://127.0.0.1",
    "https://example.com/é": "https://example.com/%C3%A9",
    'https://example.com/"<>^`{|}': "https://example.com/%22%3C%3E%5E%60%7B%7C%7D",
    "https://bücher.example/": "https://xn--bcher-kva.example/",
    "https://BÜCHER.example/": "https://xn--bcher-kva.example/",
    "https://xn--bcher-kva.example/": "https://xn--bcher-kva.example/",
    "https://例え.テスト/": "https://xn--r8jz45g.xn--zckzah/",
    "https://a-b.c--d.example/": "https://a-b.c--d.example/",
    "https://1.example.com/": "https://1.example.com/",
    "https://0x7f.example.com/": "https://0x7f.example.com/",
    "https://receiver/": "https://receiver/",
    "https://8.8.8.8/": "https://8.8.8.8/",
    "https://[2606:4700::1111]/": "https://[2606:4700::1111]/",
    "https://[2606:4700:0:0::1111]:8443/": "https://[2606:4700::1111]:8443/",
    "https://[2606:4700::ABCD]/": "https://[2606:4700::abcd]/",
    "https://[::ffff:8.8.8.8]/": "https://8.8.8.8/",
}


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


def test_the_tables_are_as_long_as_promised() -> None:
    assert len(set(HOSTILE_ADDRESSES)) + len(set(HOSTILE_URLS)) >= 150


@pytest.mark.parametrize("ip", HOSTILE_ADDRESSES)
def test_a_hostile_address_is_refused_without_naming_it(ip: str) -> None:
    with pytest.raises(TargetRefused) as refusal:
        check_address(ip, 443, STRICT)
    assert refusal.value.code == "address_not_allowed"
    assert refusal.value.public_message == str(refusal.value) == "Destination not allowed."
    assert refusal.value.detail != refusal.value.public_message


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


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_a_hostile_url_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused) as refusal:
        check_url(url, STRICT)
    assert refusal.value.public_message.endswith(".")
    assert not isinstance(refusal.value, OSError | ValueError | requests.RequestException)


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
def test_whatever_ssrfguard_denies_we_deny(ip: Address) -> None:
    if not ssrfguard.Policy().permits_address(ip):
        assert address_is_refused(ip)


@given(ip=ADDRESSES)
def test_whatever_requests_hardened_denies_we_deny(ip: Address) -> None:
    try:
        filter_host(str(ip), 443, allow_loopback=False)
    except InvalidIPAddress:
        assert address_is_refused(ip)
    except requests.ConnectionError:  # this machine has no IPv6
        pass


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


@pytest.mark.parametrize("url", [*HOSTILE_URLS, *ALLOWED_URLS])
def test_whatever_url_ssrfguard_denies_we_deny(url: str) -> None:
    guard = ssrfguard.Policy(allowed_ports=DEFAULT_PORTS)
    try:
        guard.check_url(url)
    except ssrfguard.SSRFGuardError:
        assert is_refused(url)


@given(host=st.text(alphabet="0123456789abcdefx.-_:[]é。", max_size=20))
def test_whatever_host_ssrfguard_denies_we_deny(host: str) -> None:
    url = f"http://{host}/"
    try:
        ssrfguard.Policy().check_url(url)
    except (ssrfguard.SSRFGuardError, ValueError):
        assert is_refused(url)


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
