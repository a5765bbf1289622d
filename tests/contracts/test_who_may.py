"""ANONYMOUS_API, foreign pages, foreign names and proxies: who is let in without a token, and who is not."""

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.contracts.clients import LATER, Server, handshake_status, is_problem
from tests.servers import Api, Deployment, Role, Standalone

SOME_ID = str(uuid.uuid4())
CALLS = [
    ("GET", "/tasks"), ("POST", "/tasks"), ("GET", f"/tasks/{SOME_ID}"), ("PUT", f"/tasks/{SOME_ID}"),
    ("PUT", f"/tasks/{SOME_ID}/complete"), ("DELETE", f"/tasks/{SOME_ID}"),
]  # fmt: skip
EVIL = "https://evil.example"


class Closed(NamedTuple):
    """A server that lets nobody in without a token: where it answers HTTP, and where sockets."""

    api: Api
    sockets: Server | Role


@pytest.fixture(scope="module")
def closed_standalone() -> Iterator[Closed]:
    with Standalone(ANONYMOUS_API="off") as server:
        yield Closed(server.api, server)


@pytest.fixture(scope="module", params=["off", ""], ids=["off", "unset"])
def closed_deployment(request: pytest.FixtureRequest, told_deployment: Deployment) -> Iterator[Closed]:
    """Of the production roles, the default (`loopback`) lets nobody in either."""
    web = told_deployment.extra("web", ANONYMOUS_API=request.param)
    live = told_deployment.extra("live", ANONYMOUS_API=request.param)
    with web, live:
        yield Closed(web.api, live)


def _is_closed(closed: Closed) -> None:
    for method, path in CALLS:
        answer = closed.api.call(method, path, **({"json": {"title": "x"}} if method in ("POST", "PUT") else {}))
        is_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert handshake_status(closed.sockets) == 403
    assert closed.api.call("GET", "/healthz").status_code == 200


def test_where_anonymous_calls_are_off_the_embedded_server_says_401(closed_standalone: Closed) -> None:
    _is_closed(closed_standalone)


@pytest.mark.services
def test_production_roles_say_401_unless_the_operator_says_otherwise(closed_deployment: Closed) -> None:
    _is_closed(closed_deployment)


def _count(server: Server) -> int:
    return len(server.api.all())


@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost.evil.example", "file://", "http://127.0.0.1:1"])
def test_another_page_may_not_use_the_api_of_a_visitor(server: Server, origin: str) -> None:
    before = _count(server)
    headers = {"Origin": origin}
    is_problem(server.api.call("POST", "/tasks", json={"title": "x"}, headers=headers), 401)
    is_problem(server.api.call("GET", "/tasks", headers=headers), 401)
    assert handshake_status(server, **headers) == 403
    assert _count(server) == before


def test_our_own_page_may(server: Server) -> None:
    own = {"Origin": server.url}
    assert server.api.call("POST", "/tasks", json={"title": "x", "run_at": LATER}, headers=own).status_code == 201
    assert handshake_status(server, Origin=server.ws_url.replace("ws://", "http://")) == 101
    assert handshake_status(server) == 101


FORM = '--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nx\r\n--x--\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", '{"title": "x"}'), (None, '{"title": "x"}'), ("application/x-www-form-urlencoded", "title=x"),
        ("multipart/form-data; boundary=x", FORM), ("application/jsonp", '{"title": "x"}'),
    ],
)  # fmt: skip
def test_a_form_of_another_page_cannot_submit_a_task(server: Server, content_type: str | None, body: str) -> None:
    """These types need no preflight; and some browsers leave Origin out."""
    before = _count(server)
    headers = {"Content-Type": content_type} if content_type else {}
    answer = server.api.call("POST", "/tasks", data=body.encode(), headers=headers)
    is_problem(answer, 415)
    assert _count(server) == before


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::2]", "a b", ""])
def test_a_foreign_host_is_refused(server: Server, host: str) -> None:
    """DNS rebinding: a page of evil.example whose name suddenly means 127.0.0.1."""
    is_problem(server.api.call("GET", "/tasks", headers={"Host": host}), 400)
    is_problem(server.api.call("POST", "/tasks", json={"title": "x"}, headers={"Host": host}), 400)
    assert handshake_status(server, Host=host) in (400, 403)


def test_a_rebound_name_with_its_own_origin_is_refused(server: Server) -> None:
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    is_problem(server.api.call("POST", "/tasks", json={"title": "x"}, headers=headers), 400)
    assert handshake_status(server, **headers) == 403


FORWARDING = [
    {"X-Forwarded-For": "10.0.0.1"}, {"Forwarded": "for=10.0.0.1"}, {"X-Real-IP": "10.0.0.1"}, {"Via": "1.1 proxy"},
    {"X-Forwarded-Host": "tasks.example"}, {"X-Forwarded-Proto": "https"},
]  # fmt: skip


@pytest.mark.parametrize("headers", FORWARDING, ids=lambda headers: next(iter(headers)))
def test_on_a_machine_of_ones_own_a_proxy_means_somebody_else(
    told_standalone: Standalone, headers: dict[str, str]
) -> None:
    is_problem(told_standalone.api.call("GET", "/tasks", headers=headers), 401)
    is_problem(told_standalone.api.call("POST", "/tasks", json={"title": "x"}, headers=headers), 401)
    assert handshake_status(told_standalone, **headers) == 403


@pytest.mark.services
def test_where_the_operator_opened_the_api_a_proxy_in_front_is_welcome(told_deployment: Deployment) -> None:
    headers: dict[str, Any] = {"X-Forwarded-For": "10.0.0.1"}
    assert told_deployment.api.call("GET", "/tasks", headers=headers).status_code == 200
    assert handshake_status(told_deployment, **headers) == 101


def test_a_server_that_listens_to_the_network_lets_nobody_in_without_a_token() -> None:
    with Standalone(HOST="0.0.0.0") as server:
        _is_closed(Closed(server.api, server))
