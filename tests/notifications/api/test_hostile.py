"""What nobody should send to the API of webhooks, at every address of it: refused by name, and nothing is changed."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, get_resolver

from notifications.models import Delivery, Endpoint, EndpointEvent, Replay
from tests.notifications.api.test_endpoints import ALL, HIDDEN, make
from tests.notifications.making import EXAMPLE, delivery_to
from tests.tasks_app.api.conftest import Caller, problem
from tests.tasks_app.making import NOW

ROOTS = ("api/v1/webhooks/", "api/v1/events", "metrics")


def addresses(method: str) -> list[str]:
    """All of this room that know the method."""

    def walk(patterns: Any, prefix: str) -> Iterator[str]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if not isinstance(pattern, URLPattern):
                yield from walk(pattern.url_patterns, route)
            elif route.startswith(ROOTS) and hasattr(getattr(pattern.callback, "cls", None), method):
                yield "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route)

    return list(walk(get_resolver().url_patterns, ""))


WRITING = [(method.upper(), path) for method in ("post", "patch") for path in addresses(method)]
READING = [path for path in addresses("get") if path != "/metrics"]
ONE = [(m.upper(), path) for m in ("get", "post", "patch", "delete") for path in addresses(m) if "{" in path]


@pytest.fixture
def places(ada: Caller) -> dict[str, str]:
    """Ada's, one of each."""
    endpoint = Endpoint.objects.get(pk=make(ada, headers={"X-Key": HIDDEN})["id"])
    replay = Replay.objects.create(endpoint=endpoint, since=NOW, created_at=NOW, which=["held"], total=0)
    delivery = delivery_to(endpoint, status="HELD")
    return {"endpoint_id": str(endpoint.pk), "delivery_id": str(delivery.pk), "replay_id": str(replay.pk)}


def rows() -> list[Any]:
    return [list(model.objects.order_by("pk").values()) for model in (Endpoint, EndpointEvent, Delivery, Replay)]


def test_there_is_something_to_ask() -> None:
    assert len(WRITING) > 12 and len(READING) > 10 and len(ONE) > 18


@pytest.mark.parametrize("body", [b"[]", b"[[]]", b'"text"', b"7", b"true", b"9" * 300], ids=repr)
@pytest.mark.parametrize(("method", "path"), WRITING, ids=lambda value: value)
def test_what_is_no_object_is_refused(ada: Caller, places: dict[str, str], method: str, path: str, body: bytes) -> None:
    before = rows()
    problem(ada.call(method, path.format(**places), body), 400, "invalid")
    assert rows() == before


NO_JSON = {
    "empty": b" ", "cut": b'{"url": ', "NaN": b'{"since": NaN}', "NUL": b'{"url": "a\0b"}', "surrogate": b'{"url": "\\ud800"}',
    "twice": b'{"force": true, "force": false}', "deep": b'{"a":' * 3000 + b"1" + b"}" * 3000, "latin": b'{"url": "\xe9"}',
}  # fmt: skip


@pytest.mark.parametrize("body", NO_JSON)
@pytest.mark.parametrize(("method", "path"), WRITING, ids=lambda value: value)
def test_what_is_no_json_is_refused(ada: Caller, places: dict[str, str], method: str, path: str, body: str) -> None:
    before = rows()
    answer = ada.call(method, path.format(**places), NO_JSON[body])
    problem(answer, 400, "parse_error" if body != "deep" else json.loads(answer.content)["code"])
    assert rows() == before


@pytest.mark.parametrize(
    "name", ["owner", "owner_id", "state", "secrets", "deleted_at", "\0", "__class__", "x" * 5000], ids=ascii
)
@pytest.mark.parametrize(("method", "path"), WRITING, ids=lambda value: value)
def test_a_field_that_is_not_there_is_refused(
    ada: Caller, places: dict[str, str], method: str, path: str, name: str
) -> None:
    before = rows()
    body = problem(ada.call(method, path.format(**places), {name: "x"}), 400, "invalid")
    assert name[:100] in body["errors"] and len(json.dumps(body)) < 4000
    assert rows() == before


@pytest.mark.parametrize(("method", "path"), WRITING, ids=lambda value: value)
def test_a_body_that_is_too_large_is_refused(ada: Caller, places: dict[str, str], method: str, path: str) -> None:
    problem(ada.call(method, path.format(**places), {"url": "x" * 1_048_577}), 413, "too_large")


@pytest.mark.parametrize(
    "query", ["?a=1", "?%00=1", "?owner=1", "?format=json", "?__class__=x", "?" + "x" * 5000], ids=lambda v: v[:20]
)
@pytest.mark.parametrize("path", READING)
def test_a_parameter_that_is_not_there_is_refused(ada: Caller, places: dict[str, str], path: str, query: str) -> None:
    problem(ada.get(path.format(**places) + query), 400, "invalid")


@pytest.mark.parametrize(("method", "path"), ONE, ids=lambda value: value)
def test_what_is_anothers_is_not_there_and_stays_as_it_is(
    bob: Caller, places: dict[str, str], method: str, path: str
) -> None:
    before = rows()
    body = {"url": EXAMPLE} if method == "PATCH" else {"since": "2020-01-01T00:00:00Z"} if "recover" in path else None
    problem(bob.call(method, path.format(**places), body), 404, "not_found")
    assert rows() == before


@pytest.mark.parametrize("text", ["x", "%00", "..", "' OR 1=1--", "{}", "x" * 4000, "%FF", "-1"], ids=lambda v: v[:20])
@pytest.mark.parametrize(("method", "path"), ONE, ids=lambda value: value)
def test_an_id_that_is_none_is_not_found(ada: Caller, method: str, path: str, text: str) -> None:
    places = dict.fromkeys(("endpoint_id", "delivery_id", "replay_id"), text)
    problem(ada.call(method, path.format(**places)), 404, "not_found")


WRONG: dict[str, list[Any]] = {
    "url": [
        None, [], {}, True, "", "x", "https://", "https://\0.example/", "ftp://example.org/", "https://localhost/",
        "https://[::1]/", "https://2130706433/", "https://a:b@example.org/",
    ],
    "event_types": [None, "task.*", [], [7], [[]], [""], ["\0"], ["["], ["[b-a]"], ["*" * 101], ["*"] * 21],
    "description": [None, 7, [], "x" * 256, "a\0"],
    "kinds": [None, "x", [7], [""], ["\0"], ["x" * 101], ["x"] * 21],
    "tags": [None, "x", [7], [""], ["\0"], ["x" * 101], ["x"] * 21],
    "metadata": [
        None, [], "x", {"": 1}, {"a": []}, {"a": {}}, {"a\0": 1}, {"a": "\0"}, {str(number): 1 for number in range(11)},
    ],
    "include_result": [None, 1, "true", []],
    "headers": [
        None, [], "x", {"a": 1}, {"": "x"}, {"a b": "x"}, {"a": "x\r\nb: c"}, {"a": "\0"}, {"Webhook-Id": "x"}, {"ü": "x"},
        {"X-Taskmanager-Event": "x"}, {"Content-Length": "1"}, {"a": "1", "A": "2"}, {"a": "x" * 4097},
        {str(number): "x" for number in range(11)},
    ],
    "secret": [None, 7, "", "x", "whsec_", "whsec_ü", "whsec_" + "A" * 5000],
}  # fmt: skip
FIELDS = [(field, value) for field, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("field", "value"), FIELDS, ids=lambda value: ascii(value)[:40])
def test_a_field_that_cannot_be_is_named_and_nothing_is_made(ada: Caller, field: str, value: Any) -> None:
    given = {"url": EXAMPLE, "event_types": ["task.*"], field: value}
    body = problem(ada.post(ALL, given), 400, "invalid")
    assert list(body["errors"]) == [field] and len(json.dumps(body)) < 4000
    assert not Endpoint.objects.exists()
    if field != "secret":
        one = f"{ALL}/{make(ada)['id']}"
        before = rows()
        assert field in problem(ada.call("PATCH", one, {field: value}), 400, "invalid")["errors"]
        assert rows() == before
