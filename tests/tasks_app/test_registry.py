"""How kinds are registered, and what their schemas refuse."""

from typing import Any

import pydantic
import pytest
from django.core.exceptions import ImproperlyConfigured

from tasks_app import handlers
from tasks_app.handlers import Handler, handler

pytestmark = pytest.mark.usefixtures("own_kinds")

SCHEMA = {
    "type": "object",
    "properties": {"to": {"type": "string", "minLength": 1}, "parts": {"type": "array", "items": {"type": "integer"}}},
    "required": ["to"],
    "additionalProperties": False,
}


def register(kind: str = "mine", **options: Any) -> Handler:
    def run(payload: Any, context: Any) -> Any:
        """Does it."""
        return payload

    handler(kind, **options)(run)
    found = handlers.get(kind)
    assert found is not None
    return found


def test_a_registered_kind_is_known_with_its_description() -> None:
    found = register(timeout=7, max_attempts=2, example={"a": 1})
    assert "mine" in handlers.kinds() and handlers.kinds() == sorted(handlers.kinds())
    assert (found.description, found.timeout, found.max_attempts, found.example) == ("Does it.", 7, 2, {"a": 1})
    assert found.is_short({}) is False


def test_an_unknown_kind_is_none() -> None:
    assert handlers.get("nobody") is None


def test_the_decorator_leaves_the_function_as_it_was() -> None:
    def run(payload: Any, context: Any) -> str:
        return "as it was"

    assert handler("mine")(run) is run


def test_two_modules_cannot_have_the_same_kind_but_a_reload_may() -> None:
    register()
    register()

    def other(payload: Any, context: Any) -> None: ...

    other.__module__ = "somewhere.else"
    with pytest.raises(ImproperlyConfigured, match=r"two handlers.*somewhere\.else"):
        handler("mine")(other)


@pytest.mark.parametrize(
    "options", [{"kind": ""}, {"kind": "x" * 101}, {"timeout": 0}, {"max_attempts": 0}, {"max_attempts": 1001}]
)
def test_a_registration_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        register(**options)


def test_a_schema_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ImproperlyConfigured, match="no JSON Schema"):
        register(schema={"type": "nothing"})


# ---- JSON Schema -----------------------------------------------------------------------------------------------------


def test_a_payload_that_fits_has_no_problems() -> None:
    assert register(schema=SCHEMA).problems({"to": "me", "parts": [1, 2]}) == {}


@pytest.mark.parametrize(
    "payload, paths",
    [({}, {"payload"}), (None, {"payload"}), ({"to": ""}, {"payload.to"}), ({"to": "me", "parts": [1, "2"]}, {"payload.parts.1"}),
     ({"to": 1, "parts": 1}, {"payload.to", "payload.parts"}), ({"to": "me", "more": 1}, {"payload"})],
)  # fmt: skip
def test_each_problem_has_its_path_and_a_sentence(payload: Any, paths: set[str]) -> None:
    problems = register(schema=SCHEMA).problems(payload)
    assert set(problems) == paths
    assert all(problems.values())


@pytest.mark.parametrize("payload", [[], "", 0, False, [1], "text"], ids=repr)
def test_a_payload_that_is_no_object_is_a_problem_even_if_it_is_empty(payload: Any) -> None:
    assert set(register().problems(payload)) == {"payload"}


def test_a_large_payload_is_not_quoted_back() -> None:
    problems = register(schema={"type": "object", "maxProperties": 1}).problems(
        {str(n): "x" * 1000 for n in range(100)}
    )
    assert len(problems["payload"]) < 300 and "maxProperties" in problems["payload"]


def test_what_the_handler_gets_is_a_dictionary_of_its_own() -> None:
    found, payload = register(schema=SCHEMA), {"to": "me"}
    assert found.parse(payload) == payload
    assert found.parse(payload) is not payload
    assert found.parse(None) == {}


# ---- pydantic --------------------------------------------------------------------------------------------------------


class Part(pydantic.BaseModel):
    size: int


class Letter(pydantic.BaseModel):
    to: str
    parts: list[Part] = []


def test_a_model_gives_its_schema_and_reads_the_payload() -> None:
    found = register(schema=Letter)
    assert found.schema == Letter.model_json_schema()
    assert found.problems({"to": "me", "parts": [{"size": 1}]}) == {}
    assert found.parse({"to": "me"}) == Letter(to="me")


@pytest.mark.parametrize(
    "payload, paths",
    [({}, {"payload.to"}), (None, {"payload.to"}), ({"to": "me", "parts": [{"size": 1}, {}]}, {"payload.parts.1.size"}),
     ([], {"payload"}), ("text", {"payload"})],
)  # fmt: skip
def test_a_models_problems_have_their_paths_too(payload: Any, paths: set[str]) -> None:
    assert set(register(schema=Letter).problems(payload)) == paths


class Picky:
    """A model of another make: it raises ValueError without pydantic's details."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"type": "object"}

    @classmethod
    def model_validate(cls, payload: Any) -> "Picky":
        raise ValueError("not like this")


def test_a_model_of_another_make_may_simply_refuse() -> None:
    assert register(schema=Picky).problems({}) == {"payload": "not like this"}
