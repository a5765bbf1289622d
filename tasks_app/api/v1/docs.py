"""`/api/v1/docs`: the schema as a page for people, made on the server: no script, nothing from elsewhere."""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from tasks_app.api.codes import CODES
from tasks_app.api.v1.examples import BODIES, snippets
from tasks_app.api.v1.schema import document
from tasks_app.templatetags.task_text import marked

TITLES = {"tasks": "Tasks", "kinds": "Kinds", "access": "Tokens", "root": "Root paths", "health": "Health"}
"""Sections first to last; others follow under their own name."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One line of a table."""

    name: str
    where: str
    type: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One section of the page."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Parameter]
    fields: list[Parameter]
    answers: list[tuple[str, str]]
    snippets: dict[str, str] = field(default_factory=dict)


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The page. Its examples name the host it was asked under."""
    base = f"{request.scheme}://{request.get_host()}{settings.PATH_PREFIX}"
    context = {"sections": _sections(base), "codes": CODES, "base": base}
    return render(request, "tasks_app/api_docs.html", context)


@lru_cache(maxsize=4)
def _sections(base: str) -> list[tuple[str, str, list[Operation]]]:
    found: dict[str, list[Operation]] = {tag: [] for tag in TITLES}
    for path, operations in document()["paths"].items():
        for method, said in operations.items():
            found.setdefault(said["tags"][0], []).append(_operation(base, path, method, said))
    return [(tag, TITLES.get(tag, tag.capitalize()), items) for tag, items in found.items() if items]


def _operation(base: str, path: str, method: str, said: dict[str, Any]) -> Operation:
    name = said["operationId"]
    return Operation(
        id=name, method=method.upper(), path=path, summary=said.get("summary", name),
        description=marked(said.get("description", "")),
        parameters=[_parameter(item["name"], item["in"], item) for item in said.get("parameters", []) if "name" in item],
        fields=_fields(said), answers=[_answer(status, answer) for status, answer in said["responses"].items()],
        snippets=snippets(base, method.upper(), path, BODIES.get(name)),
    )  # fmt: skip


def _parameter(name: str, where: str, said: dict[str, Any]) -> Parameter:
    return Parameter(
        name=name, where=where, type=type_text(said["schema"]), description=marked(said.get("description", ""))
    )


def _fields(said: dict[str, Any]) -> list[Parameter]:
    content = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if not content:
        return []
    schema = _resolved(content)
    required = schema.get("required", [])
    return [
        Parameter(
            name=name, where="required" if name in required else "", type=type_text(item),
            description=marked(_resolved(item).get("description", "")),
        )
        for name, item in schema.get("properties", {}).items()
    ]  # fmt: skip


def _answer(status: str, answer: dict[str, Any]) -> tuple[str, str]:
    if "$ref" in answer:
        answer = document()["components"]["responses"][status]
    return status, marked(answer.get("description", ""))


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return found


def type_text(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        resolved = _resolved(schema)
        return type_text(resolved) if "enum" in resolved else str(schema["$ref"]).rsplit("/", 1)[1]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {type_text(schema['items'])}"
    kinds = schema.get("type", "any JSON")
    text = " or ".join(kinds) if isinstance(kinds, list) else str(schema.get("format", kinds))
    low, high = (schema.get(name) for name in ("minimum", "maximum"))
    bounds = f" {low}–{high}" if low is not None and high is not None and high < 2**53 else ""
    default = f", default {json.dumps(schema['default'])}" if "default" in schema else ""
    longest = f", up to {schema['maxLength']:,} characters" if "maxLength" in schema else ""
    return text + bounds + longest + default
