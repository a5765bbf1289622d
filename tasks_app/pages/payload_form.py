"""A form for the payload of any kind, made from its JSON Schema. What no simple field can hold is typed as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks_app.handlers import Handler
from tasks_app.pages.json_text import read_value

SIMPLE = ("string", "number", "integer", "boolean")
LONG_TEXT = 5000
MOST_CHOICES = 200


@dataclass(frozen=True, kw_only=True)
class Field:
    """One property of the payload. `input` is text, long, number, choice or json; `choices` are texts of values."""

    name: str
    label: str
    help: str
    input: str
    is_required: bool
    choices: tuple[tuple[str, Any], ...] = ()
    value: str = ""
    placeholder: str = ""
    step: str = "any"
    error: str = ""

    @property
    def key(self) -> str:
        """The name in the form."""
        return f"p-{self.name}"


def fields(
    handler: Handler, typed: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None
) -> list[Field]:
    """In the order of the schema, with what was typed, else the defaults."""
    properties = handler.schema.get("properties", {})
    required = set(handler.schema.get("required", ()))
    made = []
    for name, schema in properties.items():
        rule = _rule(schema, handler.schema)
        kind, choices = _input(rule)
        default = json.dumps(rule["default"], ensure_ascii=False) if "default" in rule else ""
        value = typed.get(f"p-{name}", "") if typed is not None else _shown(default, kind)
        example = handler.example.get(name)
        made.append(Field(
            name=name, label=str(rule.get("title") or name), help=str(rule.get("description") or ""), input=kind,
            is_required=name in required, choices=choices, value=value, step="1" if rule.get("type") == "integer" else "any",
            placeholder="" if example is None else _shown(json.dumps(example, ensure_ascii=False), kind)[:200],
            error=_error(name, errors or {}),
        ))  # fmt: skip
    return made


def read(handler: Handler, typed: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The payload, and what cannot be read of it: `payload.NAME` → sentence. Empty fields are left out."""
    payload: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for field in fields(handler, typed):
        text = field.value
        if field.input in ("text", "long"):
            if text or (field.is_required and field.key in typed):
                payload[field.name] = text.replace("\r\n", "\n")
            continue
        if not text.strip():
            continue
        if field.input == "choice":
            found = [value for label, value in field.choices if label == text]
            value, wrong = (found[0], "") if found else (None, "Choose one of those offered.")
        else:
            value, wrong = read_value(text)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if field.input == "number" and not is_number:
                wrong = "A number is wanted."
        if wrong:
            errors[f"payload.{field.name}"] = wrong
        else:
            payload[field.name] = value
    return payload, errors


def _rule(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    # A model's optional field is `anyOf: [{type}, {"type": "null"}]`; its nested models are references.
    if not isinstance(schema, Mapping):
        return {}
    reference = schema.get("$ref", "")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        found = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
        schema = {**found, **schema} if isinstance(found, Mapping) else schema
    options = [one for one in schema.get("anyOf", ()) if isinstance(one, Mapping) and one.get("type") != "null"]
    return {**options[0], **schema} if len(options) == 1 else schema


def _input(rule: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, Any], ...]]:
    values = rule.get("enum")
    if isinstance(values, list) and 0 < len(values) <= MOST_CHOICES:
        return "choice", tuple((value if isinstance(value, str) else json.dumps(value), value) for value in values)
    if rule.get("type") == "boolean":
        return "choice", (("true", True), ("false", False))
    if rule.get("type") in ("number", "integer"):
        return "number", ()
    if rule.get("type") == "string":
        return ("long" if rule.get("maxLength", 0) > LONG_TEXT and "pattern" not in rule else "text"), ()
    return "json", ()


def _shown(text: str, kind: str) -> str:
    value = json.loads(text) if text else ""
    return value if kind != "json" and isinstance(value, str) else text


def _error(name: str, errors: Mapping[str, str]) -> str:
    start = f"payload.{name}"
    found = [f"{path[len(start) + 1:]}: {text}" if path != start else text
             for path, text in errors.items() if path == start or path.startswith(start + ".")]  # fmt: skip
    return " ".join(found)[:500]
