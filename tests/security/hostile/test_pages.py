"""Pages: what is typed stands there as it was typed and is never executed; what cannot be is refused; nothing leads away."""

import re
from collections.abc import Iterator
from html import escape, unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from tests.contracts.clients import LATER
from tests.security.hostile.world import CSRF, World

MARKUP = [
    "{{7*7}}", "{% debug %}", "{{ request.user.password }}", "{{settings.SECRET_KEY}}", "{# x #}", "${7*7}", "<%= 7*7 %>",
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'-alert(1)-' onload='x", "</textarea><svg onload=alert(1)>",
    "</title></script><script>alert(1)//", "<!-- x", "' OR 1=1--", "'; DROP TABLE tasks_app_task;--", "&#x3c;script&#x3e;",
    "<a href='javascript:alert(1)'>x</a>", "<b hx-get='/logout/' hx-trigger='load'>", "<base href=//evil.example>", "%s%n{0}{}",
]  # fmt: skip


class Markup(HTMLParser):
    """What a browser would make of a page: fails on anything that only hostile text can have brought."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        assert not [name for name in names if name.startswith("on")], (tag, attrs)
        assert tag not in ("base", "object", "iframe", "b") and names.get("src") != "x", (tag, attrs)
        assert tag != "script" or "src" in names or names.get("type") == "application/json", attrs
        for name in ("href", "src", "action", "formaction"):
            assert not (names.get(name) or "").strip().lower().startswith(("javascript:", "data:text")), (tag, attrs)

    def handle_comment(self, data: str) -> None:
        assert not data.startswith(" x")


def _is_harmless(text: str) -> None:
    Markup().feed(text)
    assert "pbkdf2_" not in text and "argon2" not in text


def _shown(text: str, typed: str) -> bool:
    return typed in unescape(text) or escape(typed) in text


@pytest.fixture(scope="module")
def hostile(world: World) -> Iterator[dict[str, str]]:
    """For each text a task and a token of alice's that have it in every field: text → id of the task."""
    tasks, tokens = {}, []
    for text in MARKUP:
        fields = {"title": text, "description": text, "tags": [text[:50]], "metadata": {text: text}, "run_at": LATER}
        made = world.call("POST", "/api/v1/tasks", json={**fields, "payload": {"message": text, text: text}})
        tasks[text] = made.json()["id"]
        tokens.append(world.call("POST", "/api/v1/tokens", json={"name": text, "scopes": ["tasks:read"]}).json()["id"])
    yield tasks
    for task_id in tasks.values():
        world.remove(task_id)
    for token_id in tokens:
        assert world.call("DELETE", f"/api/v1/tokens/{token_id}").status_code == 204


LISTS = {
    "/dashboard/": "alice", "/dashboard/suggestions": "alice", "/dashboard/tokens/": "alice", "/admin/tasks_app/task/": "root",
    "/admin/tasks_app/apitoken/": "root", "/dashboard/?size=50": "root",
}  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
def test_a_list_shows_what_was_typed_and_runs_nothing(world: World, hostile: dict[str, str], path: str) -> None:
    answer = world.page("GET", path, who=LISTS[path])
    assert answer.status_code == 200
    _is_harmless(answer.text)
    assert [text for text in hostile if not _shown(answer.text, text)] == []
    assert LISTS[path] == "root" or "script-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("text", MARKUP, ids=lambda value: ascii(value)[:40])
def test_a_task_shows_what_was_typed_and_runs_nothing(world: World, hostile: dict[str, str], text: str) -> None:
    own, htmx = f"/dashboard/tasks/{hostile[text]}", {"HX-Request": "true"}
    answers = [
        world.page("GET", f"{own}/"),
        world.page("GET", f"{own}/", headers=htmx),
        world.page("GET", f"{own}/delete"),
        world.page("POST", f"{own}/reopen", headers=htmx),
        world.page("POST", "/dashboard/bulk", data={"verb": "cancel", "id": hostile[text]}),
        world.page("GET", f"/admin/tasks_app/task/{hostile[text]}/change/", who="root"),
        world.page("GET", "/admin/tasks_app/task/", who="root", params={"q": text, "kind__exact": text}),
    ]
    for answer in answers:
        assert answer.status_code == 200
        _is_harmless(answer.text)
        assert _shown(answer.text, text), answer.url


@pytest.mark.parametrize("text", MARKUP[::2], ids=lambda value: ascii(value)[:40])
def test_what_is_typed_into_a_form_or_address_comes_back_as_text(world: World, text: str) -> None:
    """Each form refused for another field, so that it is shown again."""
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/dashboard/", {"data": {"title": "", "message": text, "seconds": text}}),
        ("POST", "/dashboard/new?kind=message", {"data": {"title": text, "run_at": text, "priority": text, "tags": text,
                                                          "p-message": text, "p-seconds": text}}),
        ("POST", "/dashboard/new?kind=message&as=json", {"data": {"title": text, "payload": text}}),
        ("POST", f"/dashboard/tasks/{world.own['id']}/rerun", {"data": {"payload": text}}),
        ("POST", "/dashboard/tokens/", {"data": {"name": text * 50, "scopes": text, "days": text}}),
        ("POST", "/dashboard/bulk", {"data": {"verb": text, "id": text, "next": text, "all": text}}),
        ("POST", "/dashboard/bulk", {"data": {"verb": "cancel", "id": text}}),
        ("POST", "/dashboard/bulk/act", {"data": {"verb": "cancel", "ids": text, "total": text, "done": text}}),
        ("GET", "/dashboard/new", {"params": {"kind": text, "as": text}}),
        ("GET", "/dashboard/", {"params": {"status": text}}), ("GET", "/dashboard/", {"params": {"after": text}}),
        ("GET", "/dashboard/", {"params": {"size": text}}), ("GET", "/dashboard/", {"params": {"owner": text}}),
    ]  # fmt: skip
    for method, path, options in cases:
        answer = world.page(method, path, **options)
        assert answer.status_code in (400, 404, 422), (path, options, answer.status_code)
        _is_harmless(answer.text)
    for name in ("text", "tag", "kind"):
        answer = world.page("GET", "/dashboard/", params={name: text + "abc"})
        assert answer.status_code in (200, 400)
        _is_harmless(answer.text)
        assert world.own["id"] not in answer.text, "a filter that is no word of ours found something"


@pytest.mark.parametrize("text", [*MARKUP[3:9:2], "x" * 5000, "a\0b"], ids=lambda value: ascii(value)[:40])
def test_what_is_typed_into_the_login_comes_back_as_text(world: World, text: str) -> None:
    for path in ("/login/", "/admin/login/"):
        answer = world.page("POST", path, who="", data={"username": text, "password": text, "next": text})
        assert answer.status_code == 200
        _is_harmless(answer.text)


@pytest.mark.parametrize("text", MARKUP[7:], ids=lambda value: ascii(value)[:40])
def test_an_error_page_shows_nothing_that_runs(world: World, text: str) -> None:
    for path in (f"/{text}", f"/dashboard/{text}"):
        answer = world.page("GET", path.replace("#", "%23").replace("?", "%3F"))
        assert answer.status_code == 404
        _is_harmless(answer.text)


AWAY = [
    "https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "\\\\evil.example", "http:evil.example",
    "javascript:alert(1)", "data:text/html,x", "//evil.example/dashboard/?a=b", "http://[", "//[::1", "http://\u2100.com/",
    "/dashboard/@evil.example", "/dashboard/\r\nSet-Cookie: a=b", "/dashboard/?a=\r\nX-Injected: y", "\t//evil.example",
    " //evil.example", "%2f%2fevil.example", "/dashboard/tasks/../../evil", "//evil.example\\@127.0.0.1/", "\0//evil.example",
    "https:/evil.example", "ftp://evil.example", "http://127.0.0.1:1/", "x" * 9000, "?next=//evil.example", "//",
]  # fmt: skip


@pytest.mark.parametrize("following", AWAY, ids=lambda value: ascii(value)[:40])
def test_no_form_leads_to_another_site(world: World, following: str) -> None:
    own = f"/dashboard/tasks/{world.own['id']}"
    answers = [
        world.page("GET", "/login/", params={"next": following}),
        world.page("POST", "/logout/", who="", data={"next": following}),
        world.page("POST", f"{own}/reopen", data={"next": following}),
        world.page("POST", "/dashboard/bulk/act", data={"verb": "cancel", "ids": "", "next": following}),
        world.page("GET", f"{own}/delete", params={"next": following}),
        world.page("POST", "/dashboard/bulk", data={"verb": "cancel", "next": following}),
    ]
    for answer in answers:
        assert answer.status_code in (200, 302), answer.url
        for place in [answer.headers.get("Location", ""), *re.findall(r'href="([^"]*evil[^"]*)"', answer.text)]:
            there = urlsplit(urljoin(f"{world.server.url}/login/", place.replace("\\", "/")))
            assert there.netloc in ("", urlsplit(world.server.url).netloc), place
            assert there.scheme == "http", place
        assert "X-Injected" not in answer.headers
        assert "a=b" not in answer.headers.get("Set-Cookie", "")


FORMS: dict[str, tuple[str, Any, set[int]]] = {
    "no title": ("/dashboard/", {}, {422}),
    "long title": ("/dashboard/", {"title": "x" * 256}, {422}),
    "NUL in a title": ("/dashboard/", {"title": "a\0b"}, {422}),
    "NUL in a message": ("/dashboard/", {"title": "x", "message": "a\0b"}, {422}),
    "negative seconds": ("/dashboard/", {"title": "x", "seconds": "-1"}, {422}),
    "endless seconds": ("/dashboard/", {"title": "x", "seconds": "1e400"}, {422}),
    "seconds that are no number": ("/dashboard/", {"title": "x", "seconds": "NaN"}, {422}),
    "too large": ("/dashboard/", {"title": "x", "message": "x" * 1_100_000}, {413}),
    "2000 fields": ("/dashboard/", [(f"f{number}", "x") for number in range(2000)], {400}),
    "no UTF-8": ("/dashboard/", b"title=%FF%FE%00", {422}),
    "JSON for a form": ("/dashboard/new", b'{"title": "x"}', {422}),
    "priority of 400 digits": ("/dashboard/new", {"title": "x", "priority": "9" * 400}, {422}),
    "priority that is none": ("/dashboard/new", {"title": "x", "priority": "1_0e"}, {422}),
    "first year": ("/dashboard/new", {"title": "x", "run_at": "0001-01-01T00:00+23:59"}, {422}),
    "last year": ("/dashboard/new", {"title": "x", "run_at": "9999-12-31T23:59"}, {422}),
    "year 0": ("/dashboard/new", {"title": "x", "run_at": "0000-01-01"}, {422}),
    "21 tags": ("/dashboard/new", {"title": "x", "tags": ",".join(map(str, range(21)))}, {422}),
    "NUL in a tag": ("/dashboard/new", {"title": "x", "tags": "a\0b"}, {422}),
    "long tag": ("/dashboard/new", {"title": "x", "tags": "x" * 51}, {422}),
    "choice that is none": ("/dashboard/new?kind=http_request", {"title": "x", "p-method": "PURGE"}, {422}),
    "address of a machine": ("/dashboard/new?kind=http_request", {"title": "x", "p-url": "http://169.254.169.254/"}, {422}),
    "file": ("/dashboard/new?kind=http_request", {"title": "x", "p-url": "file:///etc/passwd"}, {422}),
    "payload key twice": ("/dashboard/new?as=json", {"title": "x", "payload": '{"a": 1, "a": 2}'}, {422}),
    "payload NaN": ("/dashboard/new?as=json", {"title": "x", "payload": '{"a": NaN}'}, {422}),
    "payload 1e400": ("/dashboard/new?as=json", {"title": "x", "payload": '{"a": 1e400}'}, {422}),
    "payload of 5000 digits": ("/dashboard/new?as=json", {"title": "x", "payload": '{"a": ' + "9" * 5000 + "}"}, {422}),
    "payload too deep": ("/dashboard/new?as=json", {"title": "x", "payload": '{"a":' * 5000}, {422}),
    "payload with half a surrogate": ("/dashboard/new?as=json", {"title": "x", "payload": '{"a": "\\ud800"}'}, {422}),
    "payload with NUL": ("/dashboard/new?as=json", {"title": "x", "payload": '{"a": "\\u0000"}'}, {422}),
    "payload list": ("/dashboard/new?as=json", {"title": "x", "payload": "[]"}, {422}),
    "kind unknown": ("/dashboard/new?kind=x", {"title": "x"}, {404}),
    "kind NUL": ("/dashboard/new?kind=%00", {"title": "x"}, {404}),
    "token without a name": ("/dashboard/tokens/", {"scopes": "tasks:read"}, {422}),
    "token with NUL": ("/dashboard/tokens/", {"name": "a\0", "scopes": "tasks:read"}, {422}),
    "token with a long name": ("/dashboard/tokens/", {"name": "x" * 101, "scopes": "tasks:read"}, {422}),
    "token of unknown scope": ("/dashboard/tokens/", {"name": "x", "scopes": ["tasks:read", "*"]}, {422}),
    "token that lives 9999 days": ("/dashboard/tokens/", {"name": "x", "scopes": "tasks:read", "days": "9999"}, {422}),
    "token of -1": ("/dashboard/tokens/-1/revoke", {}, {404}),
    "token of 30 digits": ("/dashboard/tokens/" + "9" * 30 + "/revoke", {}, {404}),
    "token of 5000 digits": ("/dashboard/tokens/" + "9" * 5000 + "/revoke", {}, {404}),
    "token of another": ("/dashboard/tokens/{token}/revoke", {}, {404}),
    "task of another, cancel": ("/dashboard/tasks/{theirs}/cancel", {}, {404}),
    "task of another, rerun": ("/dashboard/tasks/{theirs}/rerun", {"payload": "{}"}, {404}),
    "task of another, delete": ("/dashboard/tasks/{theirs}/delete", {}, {404}),
    "tasks of another": ("/dashboard/bulk/act", {"verb": "delete", "ids": "{theirs}"}, {302}),
    "tasks of another, asked": ("/dashboard/bulk", {"verb": "delete", "id": "{theirs}"}, {200}),
    "unknown verb": ("/dashboard/tasks/{own}/settle", {}, {404}),
    "verb of Python": ("/dashboard/tasks/{own}/__init__", {}, {404}),
    "1001 ids": ("/dashboard/bulk/act", {"verb": "cancel", "ids": ",".join(f"{n:032x}" for n in range(1001))}, {400}),
    "counts that are none": ("/dashboard/bulk/act", {"verb": "cancel", "total": "9e9"}, {400}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_makes_no_sense_is_refused(world: World, form: str) -> None:
    path, data, allowed = FORMS[form]
    parts = {"own": world.own["id"], "theirs": world.theirs["id"], "token": world.people["bob"]["token_id"]}
    for key, value in parts.items():
        path = path.replace(f"{{{key}}}", str(value))
        if isinstance(data, dict):
            data = {name: str(value) if text == f"{{{key}}}" else text for name, text in data.items()}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = world.page("POST", path, data=data, headers=kind)
    assert answer.status_code in allowed


@pytest.mark.parametrize("token", ["", "x", "y" * 32, "x" * 31, "x" * 64, "<script>", "\x80" * 32, "x" * 7000])
@pytest.mark.parametrize(
    "path", ["/dashboard/", "/dashboard/samples", "/dashboard/bulk/act", "/dashboard/tokens/", "/login/", "/logout/"]
)
def test_a_form_without_its_own_token_changes_nothing(world: World, path: str, token: str) -> None:
    data = {"title": "x", "name": "x", "scopes": "tasks:read", "verb": "delete", "ids": world.own["id"]}
    answer = world.page("POST", path, data=data, headers={"X-CSRFToken": token.encode("latin-1")})
    assert answer.status_code == 403
    assert token != CSRF


QUERIES = [
    "status=%00", "status=done", "status=" + "x" * 5000, "kind=" + "x" * 101, "kind=%00", "tag=" + "x" * 51, "tag=%00",
    "owner=bob", "owner=' OR 1=1--", "text=a", "text=" + "x" * 201, "text=%00abc", "text=a+b+c+d+e+f+g+h+i", "size=0", "size=-1",
    "size=26", "size=x", "size=" + "9" * 5000, "size=1e2", "after=x", "after=%00", "after=%FF", "after=" + "A" * 9000,
    "after=WzEsMiwzXQ", "after=bnVsbA", "q=owner:bob", "q=status:nothing", "q=tag:" + "x" * 60, "q=a", "q=kind:%00",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:30])
def test_an_address_of_the_list_that_makes_no_sense_is_refused(world: World, query: str) -> None:
    answer = world.page("GET", f"/dashboard/?{query}")
    assert answer.status_code == 400
    assert "<h1" in answer.text
