"""Behind the proxies that people use: what a client is told there works there."""

import http.client
import re
from collections.abc import Iterator

import pytest
import requests
from websockets import Origin
from websockets.sync.client import connect

from tests.servers import ADMIN, Api, Deployment
from tests.services.processes import eventually
from tests.services.proxies import Proxy
from tests.services.stack import Services

PREFIX = "/tasks-app"
LATER = "2027-06-01T12:00:00Z"


@pytest.fixture(scope="module")
def plain(services: Services) -> Iterator[Deployment]:
    with Deployment(services) as started:
        yield started


@pytest.fixture(scope="module")
def below(services: Services) -> Iterator[Deployment]:
    """PUBLIC_URL has the path; its host is one that no proxy here passes on, as behind one that changes it."""
    with Deployment(services, PUBLIC_URL=f"https://tasks.example{PREFIX}") as started:
        make_admin(started)
        yield started


def make_admin(deployment: Deployment) -> None:
    code = f"from django.contrib.auth.models import User; User.objects.create_superuser(**{ADMIN!r})"
    deployment.manage("shell", "-c", code)


@pytest.mark.parametrize("name", ["caddy", "nginx", ""])
def test_a_tag_that_came_with_an_answer_is_good_for_the_change(plain: Deployment, name: str) -> None:
    if not name:
        change_with_its_tag(plain.api)
        return
    with Proxy(name, web=plain.web.port, live=plain.live.port) as proxy:
        assert change_with_its_tag(Api(proxy.url)) == "gzip"


def change_with_its_tag(api: Api) -> str:
    """Returns how the read was encoded."""
    path = f"/api/v1/tasks/{api.submit('First', description='word ' * 500, run_at=LATER)['id']}"
    read = api.call("GET", path, headers={"Accept-Encoding": "gzip"})
    changed = api.call("PATCH", path, json={"title": "Second"}, headers={"If-Match": read.headers["ETag"]})
    assert (changed.status_code, changed.json()["title"]) == (200, "Second"), (read.headers, changed.text)
    stale = api.call("PATCH", path, json={"title": "Third"}, headers={"If-Match": read.headers["ETag"]})
    assert stale.status_code == 412
    assert api.call("DELETE", path, headers={"If-Match": changed.headers["ETag"]}).status_code == 204
    return str(read.headers.get("Content-Encoding", ""))


@pytest.fixture(
    scope="module",
    params=[("caddy", "stripped"), ("caddy", "kept"), ("nginx", "stripped"), ("nginx", "kept")],
    ids="-".join,
)
def proxy(below: Deployment, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    name, how = request.param
    with Proxy(name, web=below.web.port, live=below.live.port, prefix=PREFIX, how=how) as started:
        yield started


def test_below_a_path_the_api_names_addresses_below_it(proxy: Proxy) -> None:
    api = Api(proxy.url)
    for path in ("/tasks", "/api/v1/tasks"):
        made = api.call("POST", path, json={"title": "One"})
        api.submit("Another")
        origin = proxy.url.removesuffix(PREFIX)
        assert requests.get(origin + made.headers["Location"], timeout=20).json()["title"] == "One"
        assert made.headers["Location"].startswith(PREFIX + path)
        following = api.call("GET", f"{path}?limit=1").json()["next"]
        assert following.startswith(f"{proxy.url}{path}?")
        assert requests.get(following, timeout=20).status_code == 200
    schema = api.call("GET", "/api/v1/schema").json()
    assert (schema["servers"], "/tasks" in schema["paths"]) == ([{"url": PREFIX}], True)


def test_below_a_path_every_address_of_the_pages_leads_somewhere(proxy: Proxy) -> None:
    with requests.Session() as browser:
        first = browser.get(f"{proxy.url}/login/", timeout=20)
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', first.text)[0]
        form = {**ADMIN, "csrfmiddlewaretoken": token, "next": f"{PREFIX}/dashboard/"}
        headers = {"Origin": "https://tasks.example", "Referer": f"https://tasks.example{PREFIX}/login/"}
        page = browser.post(f"{proxy.url}/login/", data=form, headers=headers, timeout=20)
        assert page.url == f"{proxy.url}/dashboard/", page.text
        assert {cookie.path for cookie in browser.cookies if "session" in cookie.name} == {f"{PREFIX}/"}
        seen: set[str] = set()
        follow(browser, proxy, "/dashboard/", seen)
        assert len(seen) > 20, seen


def follow(browser: requests.Session, proxy: Proxy, path: str, seen: set[str]) -> None:
    """Every address in a page, and in the pages that it leads to, up to the admin's doors."""
    answer = browser.get(proxy.url + path, timeout=20)
    assert answer.status_code in (200, 405), (path, answer.status_code)  # 405: what a form's button posts to
    if answer.status_code == 405 or "html" not in answer.headers["Content-Type"] or path.startswith("/admin/"):
        return
    for found in re.findall(r'(?:href|src|action|hx-get|ws-connect)="(/[^"#]*)', answer.text):
        address = found.replace("&amp;", "&")
        assert address.startswith(f"{PREFIX}/"), (path, address)
        below = address.removeprefix(PREFIX)
        if "logout" in below or below.startswith("/ws") or below.partition("?")[0] in seen or len(seen) > 60:
            continue
        seen.add(below.partition("?")[0])
        if "POST" not in answer.text or not re.search(rf'method="post"[^>]*action="{re.escape(found)}"', answer.text):
            follow(browser, proxy, below, seen)


def test_below_a_path_sockets_open_and_tell(proxy: Proxy) -> None:
    url = proxy.url.replace("http", "ws", 1) + "/ws"
    with connect(url, proxy=None, open_timeout=20, origin=Origin("https://tasks.example")) as socket:
        task = Api(proxy.url).submit("Seen")
        eventually(lambda: task["id"] in str(socket.recv(timeout=20)), timeout=30)


def test_links_in_webhooks_lie_below_the_path(below: Deployment) -> None:
    code = (
        "from notifications import payloads; from tasks_app.models import Task; "
        "from django.conf import settings; print(settings.PUBLIC_URL)"
    )
    assert below.manage("shell", "-c", code).strip().endswith(f"https://tasks.example{PREFIX}")


def test_a_proxy_that_drops_the_port_is_named_in_the_log_and_by_doctor(plain: Deployment) -> None:
    status = status_of(
        plain.live.port, "/ws", "localhost", Origin="http://localhost:8443", Connection="Upgrade", Upgrade="websocket",
        **{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x" * 22 + "=="},
    )  # fmt: skip
    assert status == 403
    line = eventually(lambda: re.search(r"Refused a socket: .*", plain.live.printed), timeout=20)
    assert line is not None
    assert all(word in line[0] for word in ("'http://localhost:8443'", "'localhost'", "PUBLIC_URL"))
    assert "PUBLIC_URL" in plain.manage("doctor")


@pytest.mark.parametrize("role", ["web", "live"])
@pytest.mark.parametrize("path", ["/livez", "/healthz"])
@pytest.mark.parametrize("host", ["10.1.2.3:8000", "task_manager_web", "[fd00::1]", "evil.example", None])
def test_a_probe_may_ask_under_any_name(plain: Deployment, role: str, path: str, host: str | None) -> None:
    port = getattr(plain, role).port
    assert status_of(port, path, host) == 200
    assert host is None or status_of(port, "/tasks", host) == 400


def status_of(port: int, path: str, host: str | None, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    if host is None:
        connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
    connection.putrequest("GET", path, skip_host=True)
    if host:
        connection.putheader("Host", host)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse().status


def test_a_stranger_is_told_no_details(services: Services) -> None:
    with Deployment(services, ANONYMOUS_API="off") as closed:
        answer = closed.api.call("GET", "/healthz")
        assert answer.json() == {
            "status": "ok",
            "checks": {name: {"ok": True} for name in ("database", "broker", "channel_layer")},
        }
        assert closed.api.call("GET", "/livez").json() == {"status": "ok"}
        make_admin(closed)
        token = closed.manage("create_token", ADMIN["username"], "probe").split()[-1]
        known = closed.api.call("GET", "/healthz", headers={"Authorization": f"Bearer {token}"}).json()
        assert known["checks"]["database"]["name"] == "postgresql" and "version" in known
        bad = closed.api.call("GET", "/healthz", headers={"Authorization": "Bearer tm_x"})
        assert (bad.status_code, "version" in bad.json()) == (200, False)
        two = closed.extra("web", SECRET_KEY="another " * 8)
        with two:
            log_in_to_both(closed.api, two.api)


def log_in_to_both(one: Api, other: Api) -> None:
    """A browser sends the cookies of a host to all its ports."""
    with requests.Session() as browser:
        for api in (one, other):
            page = browser.get(f"{api.url}/login/", timeout=20)
            token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[0]
            browser.post(f"{api.url}/login/", data={**ADMIN, "csrfmiddlewaretoken": token}, timeout=20)
        for api in (one, other):
            assert browser.get(f"{api.url}/dashboard/", timeout=20, allow_redirects=False).status_code == 200
