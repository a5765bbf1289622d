"""Who may do what, at every door: each address and socket of the URL tables × everybody who may come.

One table below says what each of them is answered. An address, or a method of the API, without a row fails the test, so
that nobody opens a door without saying for whom. The task, the token, the endpoint with
its replay, and the delivery asked for belong to `owner`.
"""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from notifications.models import Delivery, Event, Replay
from notifications.routing import router
from tasks_app import lifecycle, tokens
from tasks_app.access import SCOPES
from tasks_app.validation import NewTask
from tests import counts
from tests.contracts.clients import Watcher, run_in_shell
from tests.notifications.making import EXAMPLE, made
from tests.servers import Standalone
from tests.services.processes import PATIENCE

ACTORS = ("anonymous", "wrong scope", "expired", "revoked", "other", "viewer", "owner", "operator")
"""Nobody; a token of the owner's without the scope; one that expired; one revoked; a member; …; the owning member; …"""

TABLE = """
                                                  anonymous  wrong  expired  revoked  other  viewer  owner  operator
GET     /api/v1/tasks                                 401     403     401      401     200    200     200     200
POST    /api/v1/tasks                                 401     403     401      401     201    403     201     201
POST    /api/v1/tasks/batch                           401     403     401      401     201    403     201     201
GET     /api/v1/tasks/{task_id}                       401     403     401      401     404    200     200     200
PATCH   /api/v1/tasks/{task_id}                       401     403     401      401     404    403     200     200
DELETE  /api/v1/tasks/{task_id}                       401     403     401      401     404    403     204     204
POST    /api/v1/tasks/{task_id}/complete              401     403     401      401     404    403     200     200
POST    /api/v1/tasks/{task_id}/cancel                401     403     401      401     404    403     200     200
POST    /api/v1/tasks/{task_id}/reopen                401     403     401      401     404    403     409     409
POST    /api/v1/tasks/{task_id}/rerun                 401     403     401      401     404    403     201     201
GET     /api/v1/tasks/{task_id}/events                401     403     401      401     404    200     200     200
GET     /api/v1/tasks/{task_id}/deliveries            401     403     401      401     404    200     200     200
GET     /api/v1/webhooks/endpoints                   401     403     401     401     200     200     200     200
POST    /api/v1/webhooks/endpoints                   401     403     401     401     201     403     201     201
GET     /api/v1/webhooks/endpoints/{endpoint_id}     401     403     401     401     404     404     200     200
PATCH   /api/v1/webhooks/endpoints/{endpoint_id}     401     403     401     401     404     404     200     200
DELETE  /api/v1/webhooks/endpoints/{endpoint_id}     401     403     401     401     404     404     204     204
POST    /api/v1/webhooks/endpoints/{endpoint_id}/pause 401     403     401     401     404     404     200     200
POST    /api/v1/webhooks/endpoints/{endpoint_id}/enable 401     403     401     401     404     404     200     200
POST    /api/v1/webhooks/endpoints/{endpoint_id}/test 401     403     401     401     404     404     202     202
POST    /api/v1/webhooks/endpoints/{endpoint_id}/secret/rotate 401     403     401     401     404     404     200     200
POST    /api/v1/webhooks/endpoints/{endpoint_id}/secret/reveal 401     403     401     401     404     404     200     403
POST    /api/v1/webhooks/endpoints/{endpoint_id}/secret/revoke-old 401     403     401     401     404     404     200     200
POST    /api/v1/webhooks/endpoints/{endpoint_id}/recover 401     403     401     401     404     404     200     200
GET     /api/v1/webhooks/endpoints/{endpoint_id}/history 401     403     401     401     404     404     200     200
GET     /api/v1/webhooks/endpoints/{endpoint_id}/replays 401     403     401     401     404     404     200     200
GET     /api/v1/webhooks/replays/{replay_id}         401     403     401     401     404     404     200     200
POST    /api/v1/webhooks/replays/{replay_id}/cancel  401     403     401     401     404     404     200     200
GET     /api/v1/webhooks/deliveries                  401     403     401     401     200     200     200     200
GET     /api/v1/webhooks/deliveries/export           401     403     401     401     200     200     200     200
POST    /api/v1/webhooks/deliveries/retry            401     403     401     401     202     202     202     202
GET     /api/v1/webhooks/deliveries/{delivery_id}    401     403     401     401     404     404     200     200
GET     /api/v1/webhooks/deliveries/{delivery_id}/attempts 401     403     401     401     404     404     200     200
GET     /api/v1/webhooks/deliveries/{delivery_id}/curl 401     403     401     401     404     404     200     200
POST    /api/v1/webhooks/deliveries/{delivery_id}/retry 401     403     401     401     404     404     202     202
POST    /api/v1/webhooks/deliveries/{delivery_id}/cancel 401     403     401     401     404     404     409     409
GET     /api/v1/webhooks/event-types                 401     403     401     401     200     200     200     200
GET     /api/v1/webhooks/signing-key                 401     403     401     401     200     403     200     200
POST    /api/v1/webhooks/verify                      401     403     401     401     200     200     200     200
GET     /api/v1/events                               401     403     401     401     200     200     200     200
GET     /api/v1/kinds                                 401     403     401      401     200    200     200     200
GET     /api/v1/kinds/{kind}                          401     403     401      401     200    200     200     200
GET     /api/v1/tokens                                401     403     401      401     200    200     200     200
POST    /api/v1/tokens                                401     403     401      401     201    201     201     201
GET     /api/v1/tokens/{token_id}                     401     403     401      401     404    404     200     404
DELETE  /api/v1/tokens/{token_id}                     401     403     401      401     404    404     204     404
GET     /api/v1/me                                    401     200     401      401     200    200     200     200
GET     /api/v1/schema                                200     200     200      200     200    200     200     200
GET     /api/v1/docs                                  200     200     200      200     200    200     200     200
GET     /tasks                                        401     403     401      401     200    200     200     200
POST    /tasks                                        401     403     401      401     201    403     201     201
GET     /tasks/{task_id}                              401     403     401      401     404    200     200     200
PUT     /tasks/{task_id}                              401     403     401      401     404    403     200     200
DELETE  /tasks/{task_id}                              401     403     401      401     404    403     200     200
PUT     /tasks/{task_id}/complete                     401     403     401      401     404    403     200     200
GET     /metrics                                      401     403     401      401     403    403     403     200
GET     /healthz                                      200     200     200      200     200    200     200     200
GET     /livez                                        200     200     200      200     200    200     200     200
GET     /                                             302     302     302      302     302    302     302     302
GET     /dashboard                                    301     301     301      301     301    301     301     301
GET     /dashboard/                                   302     302     302      302     200    200     200     200
POST    /dashboard/                                   302     302     302      302     302    403     302     302
POST    /dashboard/bulk                               302     302     302      302     200    200     200     200
POST    /dashboard/bulk/act                           302     302     302      302     302    302     302     302
GET     /dashboard/chart                              302     302     302      302     200    200     200     200
GET     /dashboard/new                                302     302     302      302     200    403     200     200
POST    /dashboard/new                                302     302     302      302     422    403     422     422
GET     /dashboard/suggestions                        302     302     302      302     200    200     200     200
GET     /dashboard/system                             302     302     302      302     200    200     200     200
POST    /dashboard/samples                            302     302     302      302     302    403     302     302
GET     /dashboard/tasks/{task_id}/                   302     302     302      302     404    200     200     200
POST    /dashboard/tasks/{task_id}/rerun              302     302     302      302     404    403     302     302
POST    /dashboard/tasks/{task_id}/watch              302     302     302      302     404    302     302     302
POST    /dashboard/tasks/{task_id}/unwatch            302     302     302      302     404    302     302     302
GET     /dashboard/tasks/{task_id}/delete             302     302     302      302     404    403     200     200
POST    /dashboard/tasks/{task_id}/delete             302     302     302      302     404    403     302     302
POST    /dashboard/tasks/{task_id}/{verb}             302     302     302      302     404    403     302     302
POST    /dashboard/tasks/{task_id}/deliveries/{delivery_id}/replay  302 302 302 302  404    403     302     302
GET     /dashboard/tokens/                            302     302     302      302     200    200     200     200
POST    /dashboard/tokens/                            302     302     302      302     422    422     422     422
POST    /dashboard/tokens/{token_id}/revoke           302     302     302      302     404    404     302     404
GET     /dashboard/webhooks                           301     301     301      301     301    301     301     301
GET     /dashboard/webhooks/                          302     302     302      302     200    200     200     200
GET     /dashboard/webhooks/new                       302     302     302      302     200    403     200     200
POST    /dashboard/webhooks/new                       302     302     302      302     201    403     201     201
GET     /dashboard/webhooks/check                     302     302     302      302     200    200     200     200
GET     /dashboard/webhooks/events                    302     302     302      302     200    200     200     200
POST    /dashboard/webhooks/check                     302     302     302      302     422    422     422     422
GET     /dashboard/webhooks/{endpoint_id}/            302     302     302      302     404    404     200     200
GET     /dashboard/webhooks/{endpoint_id}/edit        302     302     302      302     404    404     200     200
POST    /dashboard/webhooks/{endpoint_id}/edit        302     302     302      302     404    404     302     302
GET     /dashboard/webhooks/{endpoint_id}/delete      302     302     302      302     404    404     200     200
POST    /dashboard/webhooks/{endpoint_id}/delete      302     302     302      302     404    404     302     302
POST    /dashboard/webhooks/{endpoint_id}/pause       302     302     302      302     404    404     302     302
POST    /dashboard/webhooks/{endpoint_id}/enable      302     302     302      302     404    404     302     302
POST    /dashboard/webhooks/{endpoint_id}/test        302     302     302      302     404    404     302     302
POST    /dashboard/webhooks/{endpoint_id}/revoke-old  302     302     302      302     404    404     302     302
POST    /dashboard/webhooks/{endpoint_id}/resend      302     302     302      302     404    404     302     302
POST    /dashboard/webhooks/{endpoint_id}/rotate      302     302     302      302     404    404     200     200
POST    /dashboard/webhooks/{endpoint_id}/reveal      302     302     302      302     404    404     200     403
POST    /dashboard/webhooks/{endpoint_id}/recover     302     302     302      302     404    404     200     200
POST    /dashboard/webhooks/{endpoint_id}/replays/{replay_id}/cancel 302     302     302      302     404    404     302     302
GET     /dashboard/webhooks/deliveries/{delivery_id}/ 302     302     302      302     404    404     200     200
POST    /dashboard/webhooks/deliveries/{delivery_id}/replay 302     302     302      302     404    404     302     302
POST    /dashboard/webhooks/deliveries/{delivery_id}/cancel 302     302     302      302     404    404     302     302
GET     /login/                                       200     200     200      200     302    302     302     302
POST    /logout/                                      302     302     302      302     302    302     302     302
GET     /admin/login/                                 200     200     200      200     200    200     200     200
GET     /admin/                                       302     302     302      302     302    302     302     302
GET     /admin/…                                      302     302     302      302     302    302     302     302
SOCKET  /ws                                           403     403     403      403     101    101     101     101
SOCKET  /ws/dashboard                                4401    4401    4401     4401     101    101     101     101
SOCKET  /…                                            403     403     403      403     403    403     403     403
"""
# A socket: 101 is open, 403 refused, 44xx closed with that code. None of them is staff, so the admin knows nobody.
# Pages know sessions and no tokens.
ROWS = {
    (method, path): dict(zip(ACTORS, map(int, expected), strict=True))
    for method, path, *expected in (line.split() for line in TABLE.strip().splitlines()[1:])
}
BODIES: dict[str, Any] = {
    "/api/v1/tasks": {"title": "x"}, "/tasks": {"title": "x"}, "/api/v1/tasks/batch": {"tasks": [{"title": "x"}]},
    "/api/v1/tokens": {"name": "x", "scopes": ["tasks:read"]},
    "/api/v1/webhooks/endpoints": {"url": "https://example.org/", "event_types": ["task.*"]},
    "/api/v1/webhooks/endpoints/{endpoint_id}/recover": {"since": "2026-01-01T00:00:00Z", "preview": True},
    "/api/v1/webhooks/deliveries/retry": {"ids": ["0199e2b4-7f6e-7c31-9a5d-3f1f1d2c4b5a"]},
    "/api/v1/webhooks/verify": {"secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "headers": {}, "body": ""},
}  # fmt: skip
FORMS: dict[str, dict[str, str]] = {
    "/dashboard/": {"title": "x"},
    "/dashboard/bulk": {"verb": "cancel", "ids": "{task_id}"},
    "/dashboard/bulk/act": {"verb": "cancel", "ids": "{task_id}"},
    "/dashboard/tasks/{task_id}/rerun": {"payload": "{}"},
    "/dashboard/webhooks/new": {"url": EXAMPLE, "event": "task.failed"},
    "/dashboard/webhooks/{endpoint_id}/edit": {"url": EXAMPLE, "event": "task.failed"},
    "/dashboard/webhooks/{endpoint_id}/recover": {"since": "2026-01-01T00:00", "which": "failed"},
}
ASKED = [key for key in ROWS if key[0] != "SOCKET" and "…" not in key[1]]
METHODS = ("get", "post", "put", "patch", "delete")


def routes() -> list[tuple[str, Any]]:
    """Every address of the URL table, its parts in braces, and its view. Those of the admin are one, `/admin/…`."""
    found = []

    def walk(patterns: Any, prefix: str) -> None:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLPattern):
                found.append((re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", "/" + route), pattern.callback))
            else:
                walk(pattern.url_patterns, route)

    walk(get_resolver().url_patterns, "")
    return found


def test_every_address_and_method_has_its_row_and_every_row_its_address() -> None:
    wanted = set()
    for path, view in routes():
        if path.startswith("/admin/") and path not in ("/admin/", "/admin/login/"):
            wanted.add(("GET", "/admin/…"))
        elif hasattr(view, "cls"):
            wanted |= {(method.upper(), path) for method in METHODS if hasattr(view.cls, method)}
        else:
            assert any(row[1] == path for row in ROWS), f"{path} has no row in the table of this file"
            wanted |= {row for row in ROWS if row[1] == path}
    for route in cast(Any, router.routes):
        text = str(route.pattern)
        wanted.add(("SOCKET", f"/{text}" if text else "/…"))
    assert wanted == set(ROWS)


class World:
    """The people of the table, and what belongs to the owner."""

    def __init__(self) -> None:
        self.users = {name: _user(name, role) for name, role in PEOPLE.items()}
        owner = self.users["owner"]
        self.task = lifecycle.submit(NewTask(title="Theirs"), owner_id=owner.pk, who="test")
        self.token, _ = tokens.issue(owner, name="theirs", scopes=["tasks:read"])
        now = timezone.now()
        event = Event.objects.create(
            type="task.completed", task_id=self.task.pk, owner_id=owner.pk, created_at=now, body="{}"
        )
        self.endpoint = made(owner)
        self.replay = Replay.objects.create(endpoint=self.endpoint, since=now, created_at=now, which=["held"], total=0)
        self.delivery = Delivery.objects.create(
            event=event, endpoint=self.endpoint, url="https://example.org/", status="FAILED", created_at=now,
            expires_at=now, finished_at=now,
        )  # fmt: skip

    def bearer(self, actor: str, path: str) -> str | None:
        if actor == "anonymous":
            return None
        name = actor if actor in PEOPLE else "owner"
        area = "tasks" if path.startswith(("/api/v1/webhooks", "/api/v1/events", "/metrics")) else "webhooks"
        scopes = [f"{area}:write"] if actor == "wrong scope" else list(SCOPES)
        past = timezone.now() - timedelta(seconds=1)
        token, text = tokens.issue(
            self.users[name], name="x", scopes=scopes, expires_at=past if actor == "expired" else None
        )
        if actor == "revoked":
            tokens.revoke(token)
        return text

    def ask(self, method: str, path: str, actor: str) -> int:
        """The status of the answer. At pages people have a session, and a token says nothing."""
        client, headers = Client(raise_request_exception=False), {}
        at_a_page = not path.startswith(("/api/", "/tasks", "/metrics"))
        if at_a_page and actor in PEOPLE:
            client.force_login(self.users[actor])
        elif text := self.bearer(actor, path):
            headers = {"Authorization": f"Bearer {text}"}
        parts = {"task_id": self.task.pk, "token_id": self.token.pk, "kind": "message", "verb": "cancel",
                 "delivery_id": self.delivery.pk, "endpoint_id": self.endpoint.pk, "replay_id": self.replay.pk}  # fmt: skip
        address = path.format(**parts)
        if at_a_page:
            answer: Any = client.generic(
                method, address, *_form(FORMS.get(path, {}), parts) if method == "POST" else (), headers=headers
            )
        else:
            data = json.dumps(BODIES.get(path, {}))
            answer = client.generic(method, address, data, content_type="application/json", headers=headers)
        return int(answer.status_code)


PEOPLE = {"other": "member", "viewer": "viewer", "owner": "member", "operator": "operator"}


def _user(name: str, role: str) -> User:
    user = User.objects.create_user(name)
    user.groups.add(Group.objects.get(name=role))
    return user


def _form(fields: dict[str, str], parts: dict[str, Any]) -> tuple[str, str]:
    pairs = {name: value.format(**parts) if "{task_id}" in value else value for name, value in fields.items()}
    return urlencode(pairs), "application/x-www-form-urlencoded"


@pytest.fixture
def world(db: None, settings: Any) -> Iterator[World]:
    settings.ANONYMOUS_API = "off"
    counts.forget()
    yield World()
    counts.forget()


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize(("method", "path"), ASKED, ids=map(" ".join, ASKED))
def test_everybody_is_answered_as_the_table_says(world: World, method: str, path: str, actor: str) -> None:
    assert world.ask(method, path, actor) == ROWS[method, path][actor]


@pytest.mark.parametrize("actor", ACTORS)
def test_many_at_once_are_no_way_around_it(world: World, actor: str) -> None:
    """The form answers everybody alike, and leaves out what they may not."""
    world.ask("POST", "/dashboard/bulk/act", actor)
    world.task.refresh_from_db()
    assert world.task.status == ("CANCELLED" if actor in ("owner", "operator") else "PENDING")


@pytest.mark.parametrize("actor", ACTORS)
def test_the_admin_sends_everybody_to_its_login(world: World, actor: str) -> None:
    client = Client()
    if actor in PEOPLE:
        client.force_login(world.users[actor])
    asked = 0
    for path, _ in routes():
        if not path.startswith("/admin/") or path in ("/admin/login/", "/admin/logout/"):
            continue
        address = re.sub(r"\{\w+\}", "1", path)
        address = address.replace("^(?P<app_label>auth|tasks_app|notifications)/$", "auth/").replace(
            "(?P<url>.*)$", "x"
        )
        address = re.sub(r"\(\?P<app_label>[^)]*\)|\^|\$", lambda found: "auth" if len(found[0]) > 1 else "", address)
        answer = client.get(address)
        assert answer.status_code == ROWS["GET", "/admin/…"][actor], address
        assert answer.headers["Location"].startswith("/admin/login/"), address
        asked += 1
    assert asked > 20


# ---- Sockets: over a server of their own, as only that has them ------------------------------------------------------

MAKE = """
from datetime import timedelta
from django.contrib.auth.models import Group, User
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone
from tasks_app import tokens
from tasks_app.access import SCOPES
import json
made = {}
def token(user, name, scopes=None, expires_at=None):
    return tokens.issue(user, name=name, scopes=scopes or list(SCOPES), expires_at=expires_at)
for name, role in PEOPLE.items():
    user = User.objects.create_user(name)
    user.groups.add(Group.objects.get(name=role))
    made[name] = token(user, name)[1]
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session.save()
    made["session " + name] = session.session_key
owner = User.objects.get(username="owner")
made["wrong scope"] = token(owner, "w", ["webhooks:write", "tasks:write"])[1]
made["expired"] = token(owner, "e", None, timezone.now() - timedelta(seconds=1))[1]
gone, made["revoked"] = token(owner, "r")
tokens.revoke(gone)
print(json.dumps(made))
"""


@pytest.fixture(scope="module")
def closed() -> Iterator[tuple[Standalone, dict[str, str]]]:
    """A server that lets nobody in without a word, and the words."""
    with Standalone(ANONYMOUS_API="off") as server:
        words = json.loads(run_in_shell(server, f"PEOPLE = {PEOPLE!r}\n{MAKE}").splitlines()[-1])
        yield server, words


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("path", [path for method, path in ROWS if method == "SOCKET"])
def test_a_socket_opens_for_whom_the_table_says(
    closed: tuple[Standalone, dict[str, str]], path: str, actor: str
) -> None:
    server, words = closed
    headers = {} if actor == "anonymous" else {"Authorization": f"Bearer {words[actor]}"}
    if path == "/ws/dashboard" and actor in PEOPLE:
        headers = {"Cookie": f"{server.api.cookie('sessionid')}={words[f'session {actor}']}"}
    assert _opened(server, path.replace("…", "ws/none"), headers) == ROWS["SOCKET", path][actor]


def _opened(server: Standalone, path: str, headers: dict[str, str]) -> int:
    try:
        with connect(server.ws_url + path, proxy=None, open_timeout=PATIENCE, additional_headers=headers) as socket:
            if path == "/ws/dashboard":
                socket.recv(timeout=PATIENCE)  # it beats, or says why it closes
    except InvalidStatus as error:
        return error.response.status_code
    except ConnectionClosed as error:
        assert error.rcvd is not None
        return error.rcvd.code
    return 101


def test_a_socket_tells_of_tasks_that_its_user_may_see(closed: tuple[Standalone, dict[str, str]]) -> None:
    server, words = closed
    seen = {}
    watchers = {
        actor: Watcher(server, additional_headers={"Authorization": f"Bearer {words[actor]}"}) for actor in PEOPLE
    }
    for watcher in watchers.values():
        watcher.__enter__()
    try:
        headers = {"Authorization": f"Bearer {words['owner']}"}
        made = server.api.call("POST", "/tasks", json={"title": "Theirs"}, headers=headers).json()
        for actor in ("viewer", "owner", "operator"):
            watchers[actor].wait_for(made["id"], "DONE")
        sign = server.api.call(
            "POST", "/tasks", json={"title": "x"}, headers={"Authorization": f"Bearer {words['other']}"}
        ).json()
        watchers["other"].wait_for(sign["id"], "DONE")  # what was told before this has arrived
        seen = {actor: bool(watcher.of(made["id"])) for actor, watcher in watchers.items()}
    finally:
        for watcher in watchers.values():
            watcher.__exit__()
    assert seen == {"other": False, "viewer": True, "owner": True, "operator": True}
