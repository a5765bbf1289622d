"""The sender against receivers on loopback that do what a hostile or broken one would."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from urllib3.connection import HTTPConnection, HTTPSConnection

from notifications import connection, dialling
from notifications.connection import MAX_LOOKUPS, AddressInfo, Keep, Line
from notifications.sender import EXCERPT_BYTES, MAX_RESPONSE_BYTES, Exchange, excerpt, self_check, send
from notifications.targets import EgressPolicy, TargetRefused
from tests.notifications.receiver import HOST, OK, Authority, Receiver, Script, answering, dripping, is_read, silent
from tests.services.processes import PATIENCE, eventually

pytestmark = pytest.mark.anywhere

LOCAL = EgressPolicy(allow_loopback=True)
DEADLINE = 0.6


def answers(*ips: str) -> Callable[[str, int], Sequence[AddressInfo]]:
    def resolve(host: str, port: int) -> Sequence[AddressInfo]:
        families = [socket.AF_INET6 if ":" in ip else socket.AF_INET for ip in ips]
        return [(family, socket.SOCK_STREAM, 6, "", (ip, port)) for family, ip in zip(families, ips, strict=True)]

    return resolve


def post(url: str, **options: Any) -> Exchange:
    values: dict[str, Any] = {"body": b"{}", "headers": {"content-type": "application/json"}, "policy": LOCAL}
    values |= {"resolver": answers("127.0.0.1"), "deadline_seconds": PATIENCE}
    return send(url, **values | options)


def assert_ended_by_deadline(exchange: Exchange) -> None:
    """Not before, and before the receiver would have ended it."""
    assert DEADLINE * 1000 * 0.9 <= exchange.total_ms < PATIENCE * 1000


# What is sent


def test_the_body_and_headers_arrive_unchanged() -> None:
    body = '{"title":"é"}'.encode()
    with Receiver(answering(OK)) as receiver:
        exchange = post(
            receiver.url(path="/hook?a=b%20c"),
            body=body,
            headers={"webhook-id": "evt_1", "user-agent": "Taskmanager-Webhooks/1"},
        )
    head, _, sent = receiver.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert sent == body
    assert lines[0] == "POST /hook?a=b%20c HTTP/1.1"
    assert sorted(line.lower() for line in lines[1:]) == [
        "accept-encoding: identity",
        "connection: close",
        f"content-length: {len(body)}",
        f"host: {HOST}:{receiver.port}",
        "user-agent: taskmanager-webhooks/1",
        "webhook-id: evt_1",
    ]
    assert (exchange.status, exchange.error_code, exchange.succeeded) == (200, "", True)
    assert (exchange.peer_ip, exchange.response_bytes, exchange.response_complete) == ("127.0.0.1", 2, True)


def test_every_phase_is_timed() -> None:
    def script(peer: socket.socket) -> None:
        time.sleep(0.1)
        peer.sendall(OK)

    with Receiver(script) as receiver:
        exchange = post(receiver.url())
    assert exchange.dns_ms is not None and exchange.connect_ms is not None and exchange.first_byte_ms is not None
    assert exchange.tls_ms is None
    assert exchange.first_byte_ms >= 90
    assert exchange.total_ms >= exchange.dns_ms + exchange.connect_ms + exchange.first_byte_ms - 1


def test_other_methods_and_an_empty_body() -> None:
    with Receiver(answering(OK)) as receiver:
        assert post(receiver.url(), body=b"").succeeded
        assert post(receiver.url(), method="GET", body=b"").succeeded
        head = post(receiver.url(), method="HEAD", body=b"")
    assert head.succeeded and head.response_bytes == 0
    assert b"Content-Length: 0" in receiver.requests[0]
    assert b"content-length" not in receiver.requests[1].lower()
    assert b"User-Agent: Taskmanager\r\n".lower() in receiver.requests[1].lower()


@pytest.mark.parametrize(
    "headers",
    [
        *(
            {"Host": "evil"},
            {"content-length": "0"},
            {"Transfer-Encoding": "chunked"},
            {"Connection": "upgrade"},
        ),
        *({"a b": "x"}, {"a:": "x"}, {"": "x"}, {"a\r\n": "x"}, {"x": "a\r\nb: c"}, {"x": "a\n"}),
        *({"x": "\0"}, {"x": "€"}, {"x": " a"}),
    ],
)
def test_a_header_that_is_malformed_or_ours_is_the_callers_mistake(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        post("http://127.0.0.1:9/", headers=headers)


def test_proxies_netrc_and_ca_settings_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text(f"machine {HOST} login user password secret\n")
    with Receiver(answering(OK)) as receiver, Receiver(answering(OK)) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
            monkeypatch.setenv(name.upper(), proxy.url())
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
        assert post(receiver.url()).succeeded
    assert proxy.requests == []
    assert b"authorization" not in receiver.requests[0].lower()


def test_exchanges_share_nothing() -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    with Receiver(answering(cookie)) as receiver, ThreadPoolExecutor(20) as pool:
        exchanges = list(pool.map(lambda _: post(receiver.url()), range(60)))
    assert all(exchange.succeeded for exchange in exchanges)
    assert len(receiver.requests) == 60
    assert not any(b"cookie" in request.lower() for request in receiver.requests)


# The deadline


def test_a_dripped_body_ends_at_the_deadline_and_keeps_its_status() -> None:
    with Receiver(dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x")) as receiver:
        exchange = post(receiver.url(), deadline_seconds=DEADLINE)
    assert (exchange.status, exchange.error_code, exchange.response_complete) == (200, "", False)
    assert 1 < exchange.response_bytes < 9999
    assert_ended_by_deadline(exchange)


def test_dripped_chunks_end_at_the_deadline_and_keep_their_status() -> None:
    with Receiver(dripping(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")) as receiver:
        exchange = post(receiver.url(), deadline_seconds=DEADLINE)
    assert (exchange.status, exchange.response_complete, exchange.succeeded) == (500, False, False)
    assert_ended_by_deadline(exchange)


def test_dripped_headers_end_at_the_deadline_and_the_status_line_counts() -> None:
    with Receiver(dripping(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x")) as receiver:
        exchange = post(receiver.url(), deadline_seconds=DEADLINE)
    assert (exchange.status, exchange.succeeded, exchange.response_complete) == (200, True, False)
    assert_ended_by_deadline(exchange)


@pytest.mark.parametrize(
    "script",
    [
        silent,
        dripping(b"HTTP/1.1 ", b" "),
        dripping(b"HTTP/1.1 100 Continue\r\n\r\n", b"\r"),
        dripping(b"HTTP/1.1 100 Continue\r\nX: ", b"x"),
    ],
)
def test_without_a_status_line_the_deadline_is_a_timeout(script: Script) -> None:
    with Receiver(script) as receiver:
        exchange = post(receiver.url(), deadline_seconds=DEADLINE)
    assert (exchange.status, exchange.error_code) == (None, "timeout")
    assert exchange.peer_ip == "127.0.0.1" and exchange.connect_ms is not None and exchange.first_byte_ms is None
    assert_ended_by_deadline(exchange)


def test_a_stopped_process_is_a_timeout() -> None:
    """As after SIGSTOP: the kernel accepts the connection, and nobody ever reads from it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        exchange = post(
            f"http://{HOST}:{listener.getsockname()[1]}/", body=bytes(50_000_000), deadline_seconds=DEADLINE
        )
        assert exchange.error_code == "timeout"
        assert_ended_by_deadline(exchange)
        exchange = post(f"https://{HOST}:{listener.getsockname()[1]}/", deadline_seconds=DEADLINE)
        assert exchange.error_code == "timeout"
        assert exchange.tls_ms is None
        assert_ended_by_deadline(exchange)


def test_a_slow_name_server_cannot_outlast_the_deadline() -> None:
    done = threading.Event()

    def slow(host: str, port: int) -> Sequence[AddressInfo]:
        done.wait(2 * PATIENCE)
        return []

    exchange = post("http://slow.localhost:9/", resolver=slow, deadline_seconds=DEADLINE)
    done.set()
    assert (exchange.error_code, exchange.dns_ms) == ("timeout", None)
    assert_ended_by_deadline(exchange)


def test_dns_has_three_seconds() -> None:
    done = threading.Event()

    def slow(host: str, port: int) -> Sequence[AddressInfo]:
        done.wait(2 * PATIENCE)
        return []

    exchange = post("http://slow.localhost:9/", resolver=slow, deadline_seconds=PATIENCE)
    done.set()
    assert exchange.error_code == "dns", "the deadline of the whole exchange lies far ahead"
    assert 2900 <= exchange.total_ms < PATIENCE * 1000


def test_lookups_left_behind_are_bounded_and_come_back() -> None:
    done = threading.Event()
    started = []

    def stuck(host: str, port: int) -> Sequence[AddressInfo]:
        started.append(host)
        done.wait(2 * PATIENCE)
        return []

    with ThreadPoolExecutor(MAX_LOOKUPS) as pool:
        list(
            pool.map(
                lambda _: post("http://slow.localhost:9/", resolver=stuck, deadline_seconds=DEADLINE),
                range(MAX_LOOKUPS),
            )
        )
    assert len(started) == MAX_LOOKUPS
    assert post("http://slow.localhost:9/", resolver=stuck, deadline_seconds=DEADLINE).error_code == "timeout"
    assert len(started) == MAX_LOOKUPS
    done.set()
    with Receiver(answering(OK)) as receiver:
        assert post(receiver.url()).succeeded


def test_nothing_is_left_open_afterwards() -> None:
    hung_up = threading.Event()

    def script(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(10 * MAX_RESPONSE_BYTES))
        with contextlib.suppress(OSError):
            silent(peer)
        hung_up.set()

    before = threading.active_count()
    with Receiver(script) as receiver:
        assert post(receiver.url()).succeeded
        assert hung_up.wait(PATIENCE)
    eventually(lambda: threading.active_count() <= before)


# What is kept of the answer


def test_an_endless_body_is_read_to_the_limit() -> None:
    with Receiver(dripping(b"HTTP/1.1 200 OK\r\n\r\n", bytes(100_000))) as receiver:
        exchange = post(receiver.url())
    assert exchange.succeeded
    assert (exchange.response_bytes, exchange.response_complete) == (MAX_RESPONSE_BYTES, False)


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found\r\nLocation: http://evil.example/x?token=1"])
def test_a_gzip_bomb_stays_packed(status: bytes) -> None:
    bomb = gzip.compress(bytes(100_000_000), 1)
    head = b"HTTP/1.1 %s\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % (status, len(bomb))
    with Receiver(answering(head + bomb)) as receiver:
        exchange = post(receiver.url())
    assert exchange.status == int(status[:3])
    assert exchange.response_bytes == MAX_RESPONSE_BYTES
    assert len(excerpt(bomb[:MAX_RESPONSE_BYTES], "gzip")) <= EXCERPT_BYTES


def test_a_redirect_is_not_followed_and_only_its_host_kept() -> None:
    with Receiver(answering(OK)) as other:
        location = f"Location: http://u:p@{HOST}:{other.port}/secret?token=1\r\n".encode()
        head = b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n"
        with Receiver(answering(head + location + b"\r\n")) as receiver:
            exchange = post(receiver.url())
    assert (exchange.status, exchange.succeeded, exchange.error_code) == (307, False, "")
    assert exchange.response_headers == {"location-host": HOST}
    assert (other.requests, len(receiver.requests)) == ([], 1)


def test_allow_listed_headers_are_kept_short_and_clean() -> None:
    lines = [
        b"HTTP/1.1 503 Busy",
        b"Retry-After: 120",
        b"Date: Tue, 15 Nov 1994 08:12:31 GMT",
        b"Content-Type: text/plain\x0b\x85" + b"x" * 9000,
        b"Webhook-Delivery: disable",
        b"Set-Cookie: a=b",
        b"X-Secret: s",
        b"Location: //[",
        b"Content-Length: 0",
    ]
    with Receiver(answering(b"\r\n".join(lines) + b"\r\n\r\n")) as receiver:
        kept = post(receiver.url()).response_headers
    content_type = kept.pop("content-type")
    assert content_type.startswith("text/plain  xxx") and len(content_type) == 256
    assert kept == {
        "retry-after": "120",
        "date": "Tue, 15 Nov 1994 08:12:31 GMT",
        "webhook-delivery": "disable",
    }


def test_the_body_of_a_private_receiver_is_not_kept() -> None:
    with Receiver(answering(OK)) as receiver:
        exchange = post(receiver.url())
    assert (exchange.response_excerpt, exchange.response_bytes) == ("", 2)


@pytest.mark.parametrize(
    ("raw", "encoding", "text"),
    [
        (b"", "", ""),
        ("né".encode(), "", "né"),
        (b"a\0b", "identity", "a\ufffdb"),
        (b"\xff", "", "\ufffd"),
        (b"x" * 9000, "", "x" * EXCERPT_BYTES),
        (b"\xff" * 9000, "", "\ufffd" * (EXCERPT_BYTES // 3)),
        ("é".encode() * 9000, "", "é" * (EXCERPT_BYTES // 2)),
        (gzip.compress(b"packed", mtime=0), "GZip ", "packed"),
        (gzip.compress(b"packed", mtime=0)[:-9], "gzip", "packed"),
        (b"not packed", "gzip", ""),
        (b"\x0b\x02\x80hi\x03", "br", ""),
        (gzip.compress(gzip.compress(b"x", mtime=0), mtime=0), "gzip, gzip", ""),
    ],
)
def test_an_excerpt_is_short_text(raw: bytes, encoding: str, text: str) -> None:
    assert excerpt(raw, encoding) == text


def test_unpacking_an_excerpt_takes_little_memory() -> None:
    bomb = gzip.compress(bytes(20_000_000))
    tracemalloc.start()
    excerpt(bomb, "gzip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


# Failures


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    "script",
    [
        reset,
        lambda peer: None,
        answering(b"SSH-2.0-x\r\n\r\n"),
        answering(b"\0" * 99),
        answering(b"HTTP/1.1 2"),
    ],
)
def test_an_end_without_a_valid_answer_is_a_reset(script: Script) -> None:
    with Receiver(script) as receiver:
        exchange = post(receiver.url())
    assert (exchange.status, exchange.error_code) == (None, "reset")
    assert exchange.error_detail.isprintable()


def test_a_reset_after_the_status_line_is_still_an_answer() -> None:
    def script(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nabc")
        eventually(lambda: is_read(peer), interval=0.01)
        reset(peer)

    with Receiver(script) as receiver:
        exchange = post(receiver.url())
    assert (exchange.status, exchange.succeeded, exchange.response_complete) == (202, True, False)


@pytest.mark.parametrize(
    "head",
    [
        b"X: " + b"x" * 70_000,
        b"X: x\r\n" * 200,
        b"".join(b"X%d: %b\r\n" % (n, b"x" * 60_000) for n in range(150)),
    ],
)
def test_an_oversized_head_is_too_large(head: bytes) -> None:
    with Receiver(answering(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")) as receiver:
        exchange = post(receiver.url())
    assert (exchange.status, exchange.error_code) == (None, "too_large")


def test_a_closed_port_cannot_be_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    exchange = post(f"http://{HOST}:{port}/")
    assert (exchange.error_code, exchange.peer_ip, exchange.connect_ms) == ("connect", "", None)
    assert "127.0.0.1" in exchange.error_detail and "127.0.0.1" not in exchange.error_message


def test_an_address_that_does_not_answer_leaves_time_for_the_next() -> None:
    with Receiver(answering(OK)) as receiver, socket.socket() as full:
        full.bind(("127.0.0.9", receiver.port))
        full.listen(0)
        with contextlib.ExitStack() as stack:
            for _ in range(3):  # a full backlog drops what comes
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.9", receiver.port))
            exchange = post(receiver.url(), resolver=answers("127.0.0.9", "127.0.0.1"))
    assert (exchange.status, exchange.peer_ip) == (200, "127.0.0.1")
    assert exchange.connect_ms is not None and exchange.connect_ms >= dialling.STAGGER_SECONDS * 1000


def test_six_addresses_are_tried() -> None:
    dead = [f"127.0.0.{number}" for number in range(2, 8)]
    with Receiver(answering(OK)) as receiver:
        sixth = post(receiver.url(), resolver=answers(*dead[:5], "127.0.0.1"))
        seventh = post(receiver.url(), resolver=answers(*dead, "127.0.0.1"))
    assert (sixth.status, seventh.error_code) == (200, "connect")
    assert all(f"{ip}: Connection refused" in seventh.error_detail for ip in dead)


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "unknown"), UnicodeError("label"), OSError("x"), ZeroDivisionError()]
)
def test_a_lookup_that_fails_is_a_dns_error(error: Exception) -> None:
    def fail(host: str, port: int) -> Sequence[AddressInfo]:
        raise error

    assert post("http://x.localhost:9/", resolver=fail).error_code == "dns"
    assert post("http://x.localhost:9/", resolver=answers()).error_code == "dns"


# Where it may go


@pytest.mark.parametrize(
    "ips",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["10.0.0.1", "8.8.8.8"],
        ["8.8.8.8", "2606:4700::1111", "1.1.1.1", "9.9.9.9", "::1"],
        ["::ffff:169.254.169.254"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%lo"],
        ["not an address"],
    ],
)
def test_one_bad_answer_refuses_the_name(ips: list[str]) -> None:
    exchange = post("https://hook.example/", policy=EgressPolicy(), resolver=answers(*ips))
    assert (exchange.error_code, exchange.status, exchange.peer_ip) == ("blocked", None, "")
    assert exchange.error_message == "Destination not allowed."
    assert exchange.connect_ms is None


@pytest.mark.parametrize(
    "info",
    [
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 443)),
        (socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("2606:4700::1111", 443, 0, 2)),
    ],
)
def test_another_family_or_a_zone_is_refused(info: AddressInfo) -> None:
    assert (
        post("https://hook.example/", policy=EgressPolicy(), resolver=lambda host, port: [info]).error_code == "blocked"
    )


def test_a_rebound_name_is_resolved_once_and_only_the_judged_address_used() -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[AddressInfo]:
        asked.append(host)
        return answers("127.0.0.1" if len(asked) == 1 else "127.0.0.2")(host, port)

    with Receiver(answering(OK)) as receiver:
        first = post(receiver.url(), resolver=rebinding)
        second = post(receiver.url(), resolver=rebinding)
    assert (first.peer_ip, second.error_code, asked) == ("127.0.0.1", "connect", [HOST, HOST])


def test_a_name_that_turns_private_is_refused() -> None:
    seen = iter([["10.0.0.1"], ["127.0.0.1"], ["169.254.169.254"]])
    for _ in range(3):
        assert post("https://a.example/", policy=EgressPolicy(), resolver=answers(*next(seen))).error_code == "blocked"


def test_literal_addresses_are_not_looked_up() -> None:
    def fail(host: str, port: int) -> Sequence[AddressInfo]:
        raise AssertionError(host)

    with Receiver(answering(OK)) as receiver:
        assert post(receiver.url(host="127.0.0.1"), resolver=fail).succeeded
    assert f"Host: 127.0.0.1:{receiver.port}".encode() in receiver.requests[0]


def test_a_refused_url_never_reaches_the_network() -> None:
    def fail(host: str, port: int) -> Sequence[AddressInfo]:
        raise AssertionError(host)

    codes = {
        "https://user@example.com/": "invalid_url",
        "https://example.com\\@127.0.0.1/": "invalid_url",
        "": "blocked",
        "http://example.com/": "blocked",
        "https://example.com:22/": "blocked",
        "https://127.1/": "invalid_url",
        "https://10.0.0.1/": "blocked",
        "https://169.254.169.254/": "blocked",
    }
    for url, code in codes.items():
        assert post(url, policy=EgressPolicy(), resolver=fail).error_code == code, url


def test_a_connection_that_reaches_another_address_is_refused() -> None:
    """The kernel takes 0.0.0.0 for loopback: the one way on an ordinary machine to reach what was not asked for."""
    line = Line(LOCAL, answers(), seconds=5, keep=Keep())
    with Receiver(answering(OK)) as receiver:
        with pytest.raises(TargetRefused) as refusal:
            line._connect([ip_address("0.0.0.0")], receiver.port)
        line.end()
    assert "127.0.0.1" in refusal.value.detail


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


def test_tls_verifies_the_name_and_tells_it_to_the_server(authority: Authority, tmp_path: Path) -> None:
    asked: list[str | None] = []
    context = authority.server(tmp_path, HOST)
    context.sni_callback = lambda peer, name, _: asked.append(name)
    with Receiver(answering(OK), tls=context) as receiver:
        exchange = post(receiver.url("https"), ca_bundle=str(authority.bundle))
    assert (exchange.status, exchange.error_detail) == (200, "")
    assert asked == [HOST]
    assert f"Host: {HOST}:{receiver.port}".encode() in receiver.requests[0]
    assert exchange.tls_ms is not None and exchange.tls_ms > 0


def test_tls_to_a_literal_address_verifies_the_address(authority: Authority, tmp_path: Path) -> None:
    with Receiver(answering(OK), tls=authority.server(tmp_path, "127.0.0.1")) as receiver:
        assert post(receiver.url("https", host="127.0.0.1"), ca_bundle=str(authority.bundle)).status == 200
        assert post(receiver.url("https"), ca_bundle=str(authority.bundle)).error_code == "tls"


def test_a_certificate_for_another_name_is_refused(authority: Authority, tmp_path: Path) -> None:
    with Receiver(answering(OK), tls=authority.server(tmp_path, "other.localhost")) as receiver:
        exchange = post(receiver.url("https"), ca_bundle=str(authority.bundle))
    assert (exchange.error_code, exchange.status, exchange.tls_ms) == ("tls", None, None)
    assert "mismatch" in exchange.error_detail
    assert receiver.requests == []


def test_an_unknown_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    with Receiver(answering(OK), tls=authority.server(tmp_path, HOST)) as receiver:
        exchange = post(receiver.url("https"))
    assert exchange.error_code == "tls"
    assert receiver.requests == []


def test_tls_before_1_2_is_refused(authority: Authority, tmp_path: Path) -> None:
    context = authority.server(tmp_path, HOST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with Receiver(answering(OK), tls=context) as receiver:
        assert post(receiver.url("https"), ca_bundle=str(authority.bundle)).error_code == "tls"


def test_a_plain_server_behind_https_is_a_tls_error() -> None:
    with Receiver(answering(OK), reads_request=False) as receiver:
        assert post(receiver.url("https")).error_code == "tls"


def test_a_bundle_that_cannot_be_read_is_a_tls_error(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for bundle in ("/nowhere.pem", str(tmp_path / "empty.pem")):
        exchange = post(f"https://{HOST}:9/", ca_bundle=bundle)
        assert exchange.error_code == "tls"
        assert bundle in exchange.error_detail


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_the_deadline_holds_inside_tls(authority: Authority, tmp_path: Path, start: bytes) -> None:
    with Receiver(dripping(start, b"x"), tls=authority.server(tmp_path, HOST)) as receiver:
        exchange = post(receiver.url("https"), deadline_seconds=DEADLINE, ca_bundle=str(authority.bundle))
    assert (exchange.status, exchange.response_complete) == (200, False)
    assert_ended_by_deadline(exchange)


# The start-up check


def test_the_connection_override_is_in_use() -> None:
    self_check()


@pytest.mark.parametrize(("pool", "base"), [(connection._Pool, HTTPConnection), (connection._TLSPool, HTTPSConnection)])
def test_the_check_notices_a_bypass(monkeypatch: pytest.MonkeyPatch, pool: Any, base: type[HTTPConnection]) -> None:
    class Bypass(base):  # type: ignore[valid-type, misc]
        def __init__(self, *args: Any, keep: object, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

        def _new_conn(self) -> socket.socket:
            raise ConnectionRefusedError("as urllib3 itself would have, without our rules")

    monkeypatch.setattr(pool, "ConnectionCls", Bypass)
    with pytest.raises(RuntimeError, match="bypassed"):
        self_check()
