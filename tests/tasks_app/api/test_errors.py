"""One catalogue of codes; a problem document on every path; the request's name in all of them."""

import ast
import gzip
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from rest_framework import exceptions

from notifications.endpoints import EndpointRefused
from taskmanager import wsgi
from taskmanager.logs import RequestFilter
from tasks_app import request_id
from tasks_app.api import errors
from tasks_app.api.codes import CODES
from tasks_app.exceptions import TaskError
from tests.tasks_app.api.conftest import Caller, problem

ROOT = Path(__file__).resolve().parents[3]


def test_docs_and_code_name_the_same_codes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+?) \| (.+?) \|$", (ROOT / "docs/errors.md").read_text(), re.M)
    assert {name: (int(status), meaning, remedy) for name, status, meaning, remedy in rows} == CODES


ANSWERING = ("problem", "_answer", "EndpointRefused", "Refused")


def test_every_code_that_the_source_answers_with_is_in_the_catalogue() -> None:
    literals = set()
    for path in [
        *(ROOT / "tasks_app").rglob("*.py"),
        *(ROOT / "notifications").rglob("*.py"),
        *(ROOT / "taskmanager").rglob("*.py"),
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ANSWERING:
                texts = [item.value for item in node.args if isinstance(item, ast.Constant)]
                texts += [
                    key.value.value
                    for key in node.keywords
                    if key.arg == "code" and isinstance(key.value, ast.Constant)
                ]
                literals |= {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z_]+", text)}
    literals.add(EndpointRefused("").code)
    assert len(literals) > 5
    domain = {kind.code for kind in _all(TaskError)}
    framework = {kind.default_code for kind in _all(exceptions.APIException)} - errors._FRAMEWORK.keys()
    assert literals | domain | framework <= CODES.keys()
    unused = CODES.keys() - literals - domain - framework
    assert unused == {"invalid_token"} - domain, "in the catalogue, and nowhere else"


def _all(kind: Any) -> list[Any]:
    found = [kind] if kind.__module__.split(".")[0] != "tests" else []
    return found + [item for child in kind.__subclasses__() for item in _all(child)]


@pytest.mark.parametrize(
    "path", ["/api/v1/none", "/api/v1/", "/api/v1/tasks/", "/none", "/tasks/", "/%00", "/api/v1/%ff"]
)
def test_an_unknown_path_is_a_problem(db: None, path: str) -> None:
    problem(Client().get(path), 404, "not_found")


def test_a_person_gets_a_page(db: None) -> None:
    page = Client().get("/none", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert page.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "path", ["/tasks", "/api/v1/tasks", "/api/v1/me", "/api/v1/tasks/batch", "/api/v1/kinds/x", "/healthz"]
)
def test_another_method_is_a_problem_that_names_those_allowed(ada: Caller, path: str) -> None:
    answer = ada.call("PUT", path, {})
    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"] or "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
@pytest.mark.parametrize("path", ["/tasks", "/api/v1/tasks", "/api/v1/tokens"])
def test_another_type_is_a_problem(ada: Caller, path: str, content_type: str) -> None:
    answer = Client().post(path, b"title=x", content_type=content_type, headers={"Authorization": f"Bearer {ada.text}"})
    problem(answer, 415, "unsupported_media_type")


def test_too_large_a_body_is_a_problem(ada: Caller) -> None:
    problem(ada.post("/api/v1/tasks", {"title": "x", "description": "x" * 1_100_000}), 413, "too_large")


def test_a_bug_is_a_problem_without_its_reason(ada: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("tasks_app.api.v1.kinds.handlers.kinds", broken)
    answer = ada.get("/api/v1/kinds", X_Request_ID="mine-1")
    assert problem(answer, 500, "server_error")["request_id"] == "mine-1"
    assert b"secret" not in answer.content


def test_a_database_that_is_away_is_a_problem_with_a_time_to_come_again(
    ada: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("connection refused: host db.internal")

    monkeypatch.setattr("tasks_app.api.v1.tasks.filters.read", away)
    answer = ada.get("/api/v1/tasks")
    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert b"db.internal" not in answer.content


@pytest.mark.parametrize("charset", ["hex", "undefined", "idna", "latin-1", "utf-16"])
def test_a_query_is_utf_8_whatever_is_said_of_the_body(rf: Any, charset: str) -> None:
    query = {"QUERY_STRING": "q=Gr%C3%BC%C3%9Fe", "CONTENT_TYPE": f"application/json; charset={charset}"}
    request = wsgi.application.request_class({**rf._base_environ(), **query})
    assert request.GET["q"] == "Grüße"


@pytest.mark.parametrize("name", ["abc", "a" * 128, "01ARZ3NDEKTSV4RRFFQ69G5FAV", "a.b_c:d/e+f=-"])
def test_the_clients_name_for_its_request_is_kept(db: None, name: str) -> None:
    answer = Client().get("/none", headers={"X-Request-ID": name})
    assert problem(answer, 404, "not_found")["request_id"] == name


@pytest.mark.parametrize("name", ["", "a" * 129, "a b", 'a"b', "ü", "<script>", "-a", "a;b"])
def test_a_name_that_could_do_harm_is_replaced(db: None, name: str) -> None:
    answer = Client().get("/none", headers={"X-Request-ID": name})
    assert re.fullmatch(r"[0-9a-f]{32}", problem(answer, 404, "not_found")["request_id"])


def test_a_clients_mistake_leaves_no_traceback_and_a_bug_does(
    ada: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(RequestFilter())
    logging.getLogger("django").addHandler(handler)
    try:
        problem(Client().get("/tasks", headers={"Host": "evil.example"}), 400, "bad_request")
        said = capsys.readouterr().out
        assert "evil.example" in said
        assert "Traceback" not in said

        monkeypatch.setattr("tasks_app.api.v1.kinds.handlers.kinds", 7)
        problem(ada.get("/api/v1/kinds"), 500, "server_error")
        assert "Traceback" in capsys.readouterr().out
    finally:
        logging.getLogger("django").removeHandler(handler)


def test_every_log_line_of_a_request_names_it(ada: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    ada.get("/api/v1/none", X_Request_ID="mine-2")
    assert request_id.current.get() == ""
    request_id.current.set("mine-3")
    record: Any = logging.makeLogRecord({"msg": "x"})
    assert RequestFilter().filter(record)
    assert record.request == " request_id=mine-3"
    request_id.current.set("")


def test_of_many_errors_the_first_hundred_are_named(ada: Caller) -> None:
    answer = ada.post("/api/v1/tasks/batch", {"tasks": [{"title": ""}] * 1000})
    named = problem(answer, 400, "invalid")["errors"]
    assert len(named) == 100
    assert named["tasks.99.title"] == "A title is required."


@pytest.mark.parametrize("encoding", ["gzip", "br", "Zstd", "identity, gzip"])
@pytest.mark.parametrize("path", ["/tasks", "/api/v1/tasks", "/login/"])
def test_a_compressed_body_is_refused_by_the_name_of_its_header(ada: Caller, path: str, encoding: str) -> None:
    body = gzip.compress(b'{"title": "x"}')
    answer = Client().post(path, body, content_type="application/json", headers={"Content-Encoding": encoding})
    assert "Content-Encoding" in problem(answer, 415, "unsupported_media_type")["detail"]
    assert answer.headers["Accept-Encoding"] == "identity"


def test_an_encoding_that_changes_nothing_is_none(ada: Caller) -> None:
    answer = ada.call("POST", "/tasks", {"title": "x"}, Content_Encoding="identity")
    assert answer.status_code == 201
