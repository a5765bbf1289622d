"""What may come in, and the sentences for what may not."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tasks_app import handlers, validation
from tasks_app.exceptions import InvalidTask
from tasks_app.validation import NewTask, json_error, text_error
from tests.tasks_app.making import NOW, SECOND


def errors(**fields: Any) -> dict[str, str]:
    try:
        validation.check_new(NewTask(**{"title": "A task", **fields}), now=NOW)
    except InvalidTask as error:
        return error.errors
    return {}


def _deep(levels: int) -> Any:
    found: Any = 0
    for _ in range(levels):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"title": "x" * 255}, {"title": " ünï ✓ "}, {"description": "x" * 65_536}, {"payload": {"message": "x"}},
        {"payload": {}}, {"tags": ["a"] * 20}, {"tags": ["x" * 50]}, {"metadata": {str(n): n for n in range(50)}},
        {"metadata": _deep(64)}, {"priority": -100}, {"priority": 100}, {"max_attempts": 1}, {"max_attempts": 1000},
        {"timeout": 1}, {"timeout": 86_400}, {"run_at": NOW - timedelta(days=9999)}, {"run_at": NOW + timedelta(days=366)},
        {"metadata": {"n": 10**999, "f": 1e308, "none": None, "t": True}},
    ],
    ids=lambda fields: str(fields)[:40],
)  # fmt: skip
def test_what_is_fine_comes_in(fields: dict[str, Any]) -> None:
    assert errors(**fields) == {}


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("title", "", "required"), ("title", " \n\t", "required"), ("title", "x" * 256, "At most 255 characters"),
        ("title", "nul\0", "NUL"), ("title", "\ud800", "surrogate"), ("description", "x" * 65_537, "At most 65,536"),
        ("description", "\0", "NUL"), ("kind", "nobody", "There is no kind 'nobody' here. Known: "),
        ("kind", "\0" * 1000, "no kind"), ("payload", {"\0": 1}, "NUL"), ("metadata", {"\ud800": 1}, "surrogate"),
        ("tags", ["a"] * 21, "At most 20"), ("tags", [""], "1 to 50"), ("tags", [" "], "1 to 50"),
        ("tags", ["x" * 51], "1 to 50"), ("tags", [" " * 1000 + "a"], "1 to 50"), ("tags", [7], "1 to 50"),
        ("tags", ["\0"], "NUL"), ("metadata", {str(n): 1 for n in range(51)}, "At most 50 keys"),
        ("metadata", {"\0": 1}, "NUL"), ("metadata", {1: 1}, "no text"), ("priority", 101, "From -100 to 100"),
        ("priority", -101, "From -100"), ("max_attempts", 0, "From 1 to 1,000"), ("max_attempts", 1001, "From 1"),
        ("timeout", 0, "From 1 to 86,400"), ("timeout", 86_401, "From 1"),
        ("run_at", NOW + timedelta(days=366) + SECOND, "366 days"), ("callback_url", "\0", ""),
        ("callback_url", "http://169.254.169.254/", ""),
    ],
    ids=lambda value: str(value)[:25].replace("\0", "NUL").replace("\ud800", "half"),
)  # fmt: skip
def test_what_is_not_is_named_with_a_sentence(field: str, value: Any, words: str) -> None:
    found = errors(**{field: value})
    assert set(found) == {field}
    assert words in found[field] and found[field].endswith((".", "?"))


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ({"a": "\0"}, "a", "NUL"), ({"a": float("nan")}, "a", "NaN"), ({"a": [0, {"b": 10**1000}]}, "a.1.b", "1,000 digits"),
        ({"ok": 1, "a": {"\0": 1}}, "a", "NUL"), ({"a": (1, {2})}, "a.1", "a set"),
        (_deep(65), ".".join("a" * 64), "deeper than 64"),
        ({"x" * 300: float("inf")}, "x" * 190, "Infinity"),
    ],
    ids=lambda value: str(value)[:20].replace("\0", "NUL"),
)  # fmt: skip
@pytest.mark.parametrize("field", ["payload", "metadata"])
def test_a_value_that_cannot_be_kept_is_named_by_its_path(field: str, value: Any, path: str, words: str) -> None:
    ((found, sentence),) = errors(**{field: value}).items()
    assert found.startswith(f"{field}.{path}") and len(found) <= 200
    assert words in sentence and sentence.endswith(".")


def test_every_mistake_is_named_at_once() -> None:
    assert set(errors(title="", priority=1000, tags=[""], payload={"seconds": -1})) == {
        "title",
        "priority",
        "tags",
        "payload.seconds",
    }


def test_a_missing_payload_is_checked_for_kinds_that_need_one(own_kinds: None) -> None:
    handlers.handler("needy", schema={"type": "object", "required": ["to"]})(lambda payload, context: None)
    assert set(errors(kind="needy")) == {"payload"}
    assert errors(kind="message") == {}


def no_mondays(fields: Mapping[str, Any]) -> dict[str, str]:
    """A validator as other apps bring them."""
    return {"title": "Not on a Monday."} if fields.get("title") in ("", "Monday") else {}


def test_validators_of_the_settings_are_asked_and_our_own_sentences_come_first(settings: Any) -> None:
    settings.TASK_VALIDATORS = [f"{__name__}.no_mondays"]
    assert errors(title="Monday") == {"title": "Not on a Monday."}
    assert errors(title="") == {"title": "A title is required."}


def test_a_cycle_is_too_deep_and_no_endless_loop() -> None:
    cycle: list[Any] = []
    cycle += [cycle, cycle]
    assert "deeper" in json_error(cycle)


@pytest.mark.parametrize("value", [{1}, b"x", object(), 1j, range(3), NOW], ids=lambda value: type(value).__name__)
def test_what_json_has_not_is_named_by_its_type(value: Any) -> None:
    assert json_error([value]) == f"holds a {type(value).__name__}, which JSON has not."


@pytest.mark.parametrize("text", ["", "ünï ✓ 🐘", "\x01\x7f", "\u2028", "\uffff"])
def test_every_other_character_can_be_kept(text: str) -> None:
    assert text_error(text) == ""
