"""Every number comes back as it came, or is refused by the name of its field: on PostgreSQL and on SQLite."""

import html
import json
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from notifications import endpoints
from notifications.models import Event
from tasks_app import handlers, runner
from tasks_app.models import Task
from tests.tasks_app.api.conftest import Caller, problem
from tests.tasks_app.making import fresh
from tests.tasks_app.test_strict_json import KEPT, NOT_KEPT


def shortened(text: str) -> str:
    return text[:25]


def exactly(content: bytes | str) -> Any:
    """JSON with its fractions as they are written."""
    return json.loads(content, parse_float=Decimal)


def body(**fields: str) -> bytes:
    """A task; the values are JSON texts."""
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in {"title": '"x"', **fields}.items()) + "}").encode()


@pytest.mark.parametrize("number", KEPT, ids=shortened)
@pytest.mark.parametrize("path", ["/api/v1/tasks", "/tasks"])
def test_a_number_comes_back_as_it_came(ada: Caller, path: str, number: str) -> None:
    values = f'{{"message": {number}, "deep": [{{"n": {number}}}]}}'
    made = ada.post(path, body(payload=values, metadata=values))
    assert made.status_code == 201, made.content
    read = ada.get(f"{path}/{made.json()['id']}")
    for answer in (made, read):
        for found in (exactly(answer.content)["payload"], exactly(answer.content)["metadata"]):
            assert found["message"] == found["deep"][0]["n"] == exactly(number)


@pytest.mark.parametrize("number", [*NOT_KEPT, "9" * 1001], ids=shortened)
@pytest.mark.parametrize("path", ["/api/v1/tasks", "/tasks"])
def test_a_number_that_would_change_is_refused_by_the_name_of_its_field(ada: Caller, path: str, number: str) -> None:
    for field in ("payload", "metadata"):
        answer = ada.post(path, body(**{field: f'{{"a": [0, {{"price": {number}}}]}}'}), Idempotency_Key="k")
        errors = problem(answer, 400, "invalid")["errors"]
        assert list(errors) == [f"{field}.a.1.price"]
        assert "Send it as a text" in errors[f"{field}.a.1.price"]
    assert not Task.objects.exists()


def test_each_task_of_a_batch_and_a_change_are_read_so_too(ada: Caller) -> None:
    item = '{"title": "x", "payload": {"n": 1.00000000000000001}}'
    answer = ada.post("/api/v1/tasks/batch", f'{{"tasks": [{{"title": "y"}}, {item}]}}'.encode())
    assert list(problem(answer, 400, "invalid")["errors"]) == ["tasks.1.payload.n"]
    task = ada.submit()
    answer = ada.call("PATCH", f"/api/v1/tasks/{task['id']}", b'{"metadata": {"n": 1e999}}')
    assert list(problem(answer, 400, "invalid")["errors"]) == ["metadata.n"]
    answer = ada.post(f"/api/v1/tasks/{task['id']}/rerun", b'{"payload": {"n": 1e-999}}')
    assert list(problem(answer, 400, "invalid")["errors"]) == ["payload.n"]


def test_a_change_from_one_to_true_is_a_change(ada: Caller) -> None:
    task = ada.submit(metadata={"on": [1]})
    ada.call("PATCH", f"/api/v1/tasks/{task['id']}", {"metadata": {"on": [True]}})
    assert ada.get(f"/api/v1/tasks/{task['id']}").json()["metadata"]["on"][0] is True


def test_a_field_that_is_ignored_may_hold_any_number(ada: Caller) -> None:
    """The root paths ignore what they do not know."""
    assert ada.post("/tasks", body(unknown="0.1000000000000000055", other="9" * 5000)).status_code == 201
    problem(ada.post("/tasks", body(priority="1e400")), 400, "invalid")
    problem(ada.post("/tasks", body(title="9" * 5000)), 400, "invalid")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12345678901234567890123", "12345678901234567890124"), ("9007199254740992", "9007199254740993"), ("1", "true"),
        ("18446744073709551616", "18446744073709551617"), ("1e30", "1000000000000000000000000000001"), ("9" * 999, "9" * 1000),
    ],
    ids=shortened,
)  # fmt: skip
def test_two_numbers_under_one_key_are_two_requests(ada: Caller, one: str, other: str) -> None:
    first, again, another = (
        ada.post("/api/v1/tasks", body(payload=f'{{"n": {number}}}'), Idempotency_Key="k")
        for number in (one, one, other)
    )
    assert first.status_code == 201 and again.content == first.content
    problem(another, 409, "idempotency_key_reused")


@pytest.mark.parametrize("depth", [100, 253, 254, 300, 800, *range(880, 1000, 5), 5000])
def test_a_body_of_any_depth_under_a_key_is_answered(ada: Caller, depth: int) -> None:
    deep = body(unknown='{"a":' * depth + "1" + "}" * depth)
    assert ada.post("/tasks", deep, Idempotency_Key="k").status_code in (201, 400)


@pytest.mark.parametrize("number", [text for text in KEPT if len(text) < 900], ids=shortened)
def test_results_and_webhooks_have_it_too(ada: Caller, own_kinds: None, number: str) -> None:
    handlers.handler("mirror")(lambda payload, context: payload)
    about = {"url": "https://example.org/hook", "event_types": ["task.*"], "include_result": True}
    endpoints.create(ada.user.pk, about, who="ada")
    values = f'{{"n": {number}}}'
    made = ada.post("/api/v1/tasks", body(kind='"mirror"', payload=values, metadata=values)).json()
    runner.run([Task.objects.get().pk])
    assert exactly(ada.get(f"/api/v1/tasks/{made['id']}").content)["result"]["n"] == exactly(number)
    told = [exactly(event.result_body or event.body)["data"] for event in Event.objects.order_by("pk")]
    assert [data["status"] for data in told] == ["PENDING", "PROCESSING", "DONE"]
    assert {data["metadata"]["n"] for data in told} == {exactly(number)}
    assert told[-1]["result"]["n"] == exactly(number)


FILTERED = [
    ("12345678901234567890123", ["12345678901234567890123"]), ("12345678901234567890124", []),
    ("1234567890123456789012.3e1", []), ("12345678901234567890123.0", []), ("1e30", ["1000000000000000000000000000000"]),
    ("0.1", ["0.1"]), ("0.10", ["0.1"]), ("0.1000000000000000055", []), ("true", []), ("1e400", []),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "found"), FILTERED)
def test_a_filter_by_a_number_finds_that_number_and_no_other(ada: Caller, asked: str, found: list[str]) -> None:
    for number in ("12345678901234567890123", "1000000000000000000000000000000", "0.1", "1", '"x"', "null", "[1]"):
        assert ada.post("/api/v1/tasks", body(payload=f'{{"message": {number}}}')).status_code == 201
    listed = exactly(ada.get(f"/api/v1/tasks?payload.message={asked}").content)["tasks"]
    assert [task["payload"]["message"] for task in listed] == [exactly(number) for number in found]


@pytest.mark.parametrize("number", [text for text in KEPT if len(text) < 900], ids=shortened)
def test_the_pages_keep_it_and_show_it(ada: Caller, client: Client, number: str) -> None:
    client.force_login(ada.user)
    typed = {"title": "x", "payload": f'{{"message": {number}}}'}
    assert client.post("/dashboard/new?as=json", typed).status_code == 302
    assert client.post("/dashboard/new", {"title": "x", "p-message": number}).status_code == 302
    for task in Task.objects.all():
        read = exactly(ada.get(f"/api/v1/tasks/{task.pk}").content)
        assert read["payload"]["message"] == exactly(number)
        page = client.get(f"/dashboard/tasks/{task.pk}/").content.decode()
        assert json.dumps((fresh(task).payload or {})["message"]) in html.unescape(page)


@pytest.mark.parametrize("number", ["0.1000000000000000055", "1e400", "9" * 1001, "9" * 5000], ids=shortened)
def test_the_pages_refuse_what_would_change_beside_the_field(ada: Caller, client: Client, number: str) -> None:
    client.force_login(ada.user)
    raw = client.post("/dashboard/new?as=json", {"title": "x", "payload": f'{{"a": {number}}}'})
    form = client.post("/dashboard/new", {"title": "x", "p-message": number})
    seconds = client.post("/dashboard/", {"title": "x", "message": "y", "seconds": "0.1000000000000000055"})
    for answer in (raw, form, seconds):
        assert answer.status_code == 422
        assert "number" in answer.content.decode()
    assert not Task.objects.exists()


def test_an_endpoint_filters_by_any_number(ada: Caller) -> None:
    fields = '"url": "https://example.org/hook", "event_types": ["task.created"]'
    for number in ("12345678901234567890123", "1e30"):
        text = f'{{{fields}, "metadata": {{"n": {number}}}}}'.encode()
        assert ada.post("/api/v1/webhooks/endpoints", text).status_code == 201
    for number in ("12345678901234567890124", "12345678901234567890123", "1e30", "1000000000000000000000000000001"):
        assert ada.post("/api/v1/tasks", body(metadata=f'{{"n": {number}}}')).status_code == 201
    told = {exactly(event.body)["data"]["metadata"]["n"] for event in Event.objects.all()}
    assert told == {12345678901234567890123, 10**30}
    answer = ada.post("/api/v1/webhooks/endpoints", f'{{{fields}, "metadata": {{"n": 1e400}}}}'.encode())
    assert "n holds 1e400" in problem(answer, 400, "invalid")["errors"]["metadata"]


@pytest.mark.parametrize("number", ["9" * 900, "-" + "9" * 900, "1e300", "5e-324", "0.3"], ids=shortened)
@pytest.mark.parametrize(
    "rule",
    [
        {"multipleOf": 0.1}, {"multipleOf": 1e300}, {"multipleOf": 7}, {"type": "integer"}, {"maximum": 0.5}, {"minimum": 1e300},
        {"enum": [1, 0.5]}, {"const": 1e300}, {"exclusiveMaximum": 10**900},
    ],
    ids=str,
)  # fmt: skip
def test_no_number_breaks_a_schema(ada: Caller, own_kinds: None, rule: dict[str, Any], number: str) -> None:
    handlers.handler("ruled", schema={"type": "object", "properties": {"n": rule}})(lambda payload, context: None)
    answer = ada.post("/api/v1/tasks", body(kind='"ruled"', payload=f'{{"n": {number}}}'))
    assert answer.status_code in (201, 400)


def test_multiples_are_of_numbers_as_they_are_written(own_kinds: None) -> None:
    handlers.handler("money", schema={"type": "object", "properties": {"n": {"multipleOf": 0.01}}})(lambda *_: None)
    money = handlers.get("money")
    assert money is not None
    assert money.problems({"n": 19.99}) == money.problems({"n": 10**400}) == {}
    assert money.problems({"n": 19.999}) == {"payload.n": "19.999 is not a multiple of 0.01"}
