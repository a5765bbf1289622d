"""The form for a task of any kind, made from its JSON Schema."""

import html
import re

import pytest
from django.test import Client

from tasks_app import handlers
from tasks_app.models import Task
from tests.tasks_app.making import person

pytestmark = pytest.mark.django_db
URL = "/dashboard/new"
SCHEMA = {
    "type": "object",
    "required": ["name", "level"],
    "properties": {
        "name": {"type": "string", "title": "Its name"},
        "count": {"type": "integer", "default": 3},
        "ratio": {"type": "number", "minimum": 0, "description": "Between 0 and 1."},
        "fast": {"type": "boolean"},
        "level": {"enum": ["low", "high", 7]},
        "list": {"type": "array", "items": {"type": "string"}},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "nested": {"$ref": "#/$defs/Inner"},
    },
    "$defs": {"Inner": {"type": "object", "title": "Inner"}},
}


@pytest.fixture(autouse=True)
def kind(own_kinds: None) -> None:
    handlers.handler("everything", schema=SCHEMA, example={"name": "Ann", "list": ["a"]})(lambda payload, context: None)


def test_the_form_has_a_field_for_every_property(page: Client) -> None:
    text = page.get(URL, {"kind": "everything"}).content.decode()
    assert re.search(r'<input id="p-name"[^>]*placeholder="Ann"[^>]*required', text)
    assert re.search(r'<input id="p-count"[^>]*type="number" step="1" value="3"', text)
    assert re.search(r'<input id="p-maybe"[^>]*type="number" step="1"', text)
    assert re.search(r'<input id="p-ratio"[^>]*step="any"', text)
    assert re.search(r'<select id="p-level"[^>]*required', text)
    assert "<option>true</option>" in text
    assert re.search(r'<textarea id="p-list"', text)
    assert re.search(r'<label for="p-nested">Inner', text)
    assert "Between 0 and 1." in text


def test_what_is_filled_in_becomes_a_payload_of_the_right_types(page: Client) -> None:
    answer = page.post(f"{URL}?kind=everything", {
        "title": " Hello ", "p-name": "Ann", "p-count": "5", "p-ratio": "0.5", "p-fast": "false", "p-level": "7",
        "p-list": '["a", "b"]', "p-maybe": "", "run_at": "2027-01-31T14:00", "priority": "-5", "tags": "a, b c ,",
    })  # fmt: skip
    task = Task.objects.get()
    assert answer.headers["Location"] == f"/dashboard/tasks/{task.pk}/"
    assert task.payload == {"name": "Ann", "count": 5, "ratio": 0.5, "fast": False, "level": 7, "list": ["a", "b"]}
    assert (task.title, task.kind, task.priority, task.tags) == ("Hello", "everything", -5, ["a", "b c"])
    assert task.run_at.isoformat() == "2027-01-31T14:00:00+00:00"


@pytest.mark.parametrize(
    ("typed", "field", "sentence"),
    [
        ({"title": " "}, "title", "A title is required."),
        ({"p-count": "many"}, "p-count", "A number is wanted."),
        ({"p-count": "true"}, "p-count", "A number is wanted."),
        ({"p-count": "1.5"}, "p-count", "1.5 is not of type 'integer'"),
        ({"p-ratio": "-1"}, "p-ratio", "-1 is less than the minimum of 0"),
        ({"p-level": "<b>"}, "p-level", "Choose one of those offered."),
        ({"p-list": '["a",]'}, "p-list", "No JSON: line 1, column 6"),
        ({"p-list": "[1]"}, "p-list", "0: 1 is not of type 'string'"),
        ({"p-list": "[" * 50_000}, "p-list", "It is nested too deeply."),
        ({"run_at": "soon"}, "run_at", "A time such as"),
        ({"run_at": "2099-01-01T00:00"}, "run_at", "At most 366 days ahead."),
        ({"priority": "101"}, "priority", "From -100 to 100."),
        ({"tags": "x" * 51}, "tags", "Each tag is a text of 1 to 50 characters."),
    ],
)
def test_an_error_stands_beside_its_field_and_what_was_typed_is_kept(
    page: Client, typed: dict[str, str], field: str, sentence: str
) -> None:
    answer = page.post(f"{URL}?kind=everything", {"title": "x", "p-name": "Kept", "p-level": "low", **typed})
    text = html.unescape(answer.content.decode())
    assert answer.status_code == 422
    assert re.search(rf'id="{field}-error">[^<]*{re.escape(sentence)}', text)
    assert 'value="Kept"' in text
    assert not Task.objects.exists()


def test_a_required_field_that_is_missing_is_named(page: Client) -> None:
    answer = page.post(f"{URL}?kind=everything", {"title": "x", "p-name": "Ann"})
    assert "'level' is a required property" in html.unescape(answer.content.decode())


def test_raw_json_starts_with_the_example_and_is_checked(page: Client) -> None:
    assert html.unescape(page.get(f"{URL}?kind=everything&as=json").content.decode()).count('"name": "Ann"') == 1
    wrong = page.post(f"{URL}?kind=everything&as=json", {"title": "x", "payload": '{\r\n  "name": }'})
    text = html.unescape(wrong.content.decode())
    assert wrong.status_code == 422
    assert "Line 2, column 11" in text
    assert 'data-cursor="12"' in text
    page.post(f"{URL}?kind=everything&as=json", {"title": "x", "payload": '{"name": "A", "level": "low"}'})
    assert Task.objects.get().payload == {"name": "A", "level": "low"}


@pytest.mark.parametrize("kind", ["message", "http_request", "email"])
def test_every_built_in_kind_has_its_form(page: Client, kind: str) -> None:
    assert page.get(URL, {"kind": kind}).status_code == 200


def test_an_unknown_kind_and_a_viewer_are_turned_away(page: Client, client: Client) -> None:
    assert page.get(URL, {"kind": "<script>"}).status_code == 404
    client.force_login(person("vera", "viewer"))
    assert client.get(URL).status_code == 403
    assert client.post(URL, {"title": "x"}).status_code == 403


def test_hostile_input_is_never_markup(page: Client) -> None:
    evil = "<img src=x onerror=alert(1)></textarea><script>{{ 7 }}"
    for tab in ("", "&as=json"):
        answer = page.post(f"{URL}?kind=everything{tab}", {"title": evil, "p-name": evil, "p-list": evil, "payload": evil,
                                                           "run_at": evil, "tags": evil, "priority": evil})  # fmt: skip
        assert answer.status_code == 422
        assert "<img" not in answer.content.decode()
        assert "{{ 7 }}" in answer.content.decode()


def test_in_place_of_the_short_form_it_comes_alone_and_the_row_comes_after_it(page: Client) -> None:
    htmx = {"HX-Request": "true"}
    assert "Passes <code>message</code> on" in page.get(URL, headers=htmx).content.decode()
    text = page.get(URL, {"kind": "everything"}, headers=htmx).content.decode()
    assert 'id="new-task"' in text
    assert "<html" not in text
    wrong = page.post(f"{URL}?kind=everything", {"title": "x", "p-name": "Ann"}, headers=htmx)
    assert (wrong.status_code, "<html" in wrong.content.decode()) == (422, False)
    made = page.post(f"{URL}?kind=everything", {"title": "In place", "p-name": "Ann", "p-level": "low"}, headers=htmx)
    text = made.content.decode()
    assert made.status_code == 201
    assert 'id="create-form"' in text
    assert 'hx-swap-oob="afterbegin:#task-rows"' in text
    assert "In place" in text
