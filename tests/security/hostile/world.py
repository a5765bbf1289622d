"""Two owners on one server: `alice`, who sends everything that is wrong, and `bob`, whose things she must not see."""

import json
import socket
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.contracts.clients import JSON, LATER, Server, logs, run_in_shell
from tests.servers import Api
from tests.services.processes import PATIENCE

SECRET = "BOBS-SECRET"
"""Stands in everything of bob's that has a text."""

MAKE = """
import json
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from tasks_app import tokens
from tasks_app.access import SCOPES

made = {}
for name, role in {"alice": "member", "bob": "member", "olga": "operator", "root": ""}.items():
    user = User.objects.create_user(name, password="a good password 7")
    if role:
        user.groups.add(Group.objects.get(name=role))
    else:
        User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
        user.refresh_from_db()
    token, text = tokens.issue(user, name="BOBS-SECRET-token" if name == "bob" else "own", scopes=list(SCOPES))
    session = SessionStore()
    session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session.save()
    made[name] = {"token": text, "token_id": token.pk, "session": session.session_key}
print(json.dumps(made))
"""
CSRF = "x" * 32
"""Of cookie and form alike: for Django a token that fits."""


class World:
    """The people, what belongs to them, and ways to ask as one of them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.people: dict[str, JSON] = json.loads(run_in_shell(server, MAKE).splitlines()[-1])
        self.own = self._submit("alice", title="Untouched", tags=["own"])
        self.theirs = self._submit("bob", title=f"{SECRET} title", tags=[SECRET], metadata={"of": SECRET})
        self._log_start = len(logs(server))
        self._browser = requests.Session()  # keeps connections and no cookies
        self._browser.trust_env = False
        self._browser.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def _submit(self, who: str, **fields: Any) -> JSON:
        fields = {"run_at": LATER, "payload": {"message": f"{SECRET if who == 'bob' else 'hi'}"}, **fields}
        answer = self.call("POST", "/api/v1/tasks", who=who, json=fields)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def call(self, method: str, path: str, *, who: str = "alice", **options: Any) -> requests.Response:
        """Asks the API with a token. Whatever is sent: nobody is answered with a 5xx or with what is bob's."""
        headers = {"Authorization": f"Bearer {self.people[who]['token']}"} if who else {}
        options["headers"] = headers | dict(options.get("headers", {}))
        if "data" in options and "json" not in options:
            options["headers"].setdefault("Content-Type", "application/json")
        return self._checked(self.server.api.call(method, path, **options), who)

    def page(self, method: str, path: str, *, who: str = "alice", **options: Any) -> requests.Response:
        """Asks for a page with a session; forms carry their CSRF token. Redirects are not followed."""
        cookies = {self.server.api.cookie("csrftoken"): CSRF}
        if who:
            cookies[self.server.api.cookie("sessionid")] = self.people[who]["session"]
        text = "; ".join(f"{name}={value}" for name, value in cookies.items())
        options["headers"] = {"Cookie": text, "X-CSRFToken": CSRF, "Accept": "text/html"} | dict(
            options.get("headers", {})
        )
        answer = self._browser.request(
            method, self.server.url + path, allow_redirects=False, **{"timeout": PATIENCE, **options}
        )
        return self._checked(answer, who)

    def _checked(self, answer: requests.Response, who: str) -> requests.Response:
        assert answer.status_code < 500, f"{answer.status_code}: {answer.text[:500]}"
        if who not in ("bob", "olga", "root"):
            assert SECRET not in answer.text, answer.text[:500]
            assert not any(SECRET in value for value in answer.headers.values())
        assert "Traceback" not in answer.text and "tasks_app/" not in answer.headers.get("Location", "")
        return answer

    def raw(self, data: bytes, *, cut: bool = False, timeout: float = PATIENCE) -> tuple[int, bytes]:
        """Sends bytes as they are and reads until the server closes, or a whole answer is there: status and all bytes.

        0: closed without an answer. `cut` ends our half of the connection.
        """
        address = urlsplit(self.server.url)
        received = b""
        with socket.create_connection((address.hostname, address.port), timeout=timeout) as connection:
            connection.sendall(data)
            if cut:
                connection.shutdown(socket.SHUT_WR)
            try:
                while not _is_whole(received) and (piece := connection.recv(65_536)):
                    received += piece
            except ConnectionError:
                pass
        status = int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.") else 0
        assert status < 500 and SECRET.encode() not in received and b"Traceback" not in received, received[:500]
        return status, received

    def request(self, method: str, path: str, *lines: str, body: bytes = b"", host: str = "") -> bytes:
        """The bytes of a request as alice, with header lines that no proper client would send."""
        own = [f"Host: {host or urlsplit(self.server.url).netloc}", "Connection: close"]
        if not any(line.lower().startswith("authorization:") for line in lines):
            own.append(f"Authorization: Bearer {self.people['alice']['token']}")
        if body and not any(line.lower().startswith(("content-length:", "transfer-encoding:")) for line in lines):
            own.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *own, *lines])
        return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body

    def state(self) -> list[JSON]:
        """Every task there is, newest first, then everybody's tokens."""
        answer = self.call("GET", "/api/v1/tasks?limit=200", who="olga")
        assert answer.status_code == 200, answer.text
        assert answer.json()["next"] is None, "too many tasks for one page: a test left its own behind"
        found = list(answer.json()["tasks"])
        for who in self.people:
            tokens = self.call("GET", "/api/v1/tokens", who=who).json()["tokens"]
            found += [{"who": who, **token, "last_used_at": ""} for token in tokens if not token["revoked_at"]]
        return found

    def remove(self, task_id: str) -> None:
        """Takes back what a test made."""
        assert self.call("DELETE", f"/api/v1/tasks/{task_id}", who="olga").status_code == 204

    def assert_healthy(self) -> None:
        """It answers, and its log since the start knows neither a traceback nor an error of ours."""
        with requests.Session() as session:
            session.trust_env = False
            assert session.get(f"{self.server.url}/healthz", timeout=PATIENCE).status_code == 200
        printed = logs(self.server)[self._log_start :]
        self._log_start += len(printed)
        for word in ("Traceback", "Internal Server Error", "Exception inside application", " 500 "):
            where = printed.find(word)
            assert where < 0, printed[max(0, where - 1000) : where + 3000]


def _is_whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end and lengths) and len(body) >= int(lengths[0].split(b":")[1])


def refused(answer: requests.Response, status: int, code: str = "") -> JSON:
    """Asserts a problem document of this status and code; returns it."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["Content-Type"] == "application/problem+json"
    body: JSON = answer.json()
    assert body["status"] == status
    assert body["code"] == (code or body["code"]), body
    assert body["detail"] and "<" not in body["type"]
    return body


__all__ = ["CSRF", "SECRET", "Api", "World", "refused"]
