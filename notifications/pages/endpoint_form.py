"""What a person types to make or change an endpoint, and the fields it stands for. What they may be is asked in fields.py."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from notifications import catalogue, fields, payloads
from notifications.models import Endpoint
from tasks_app.pages.json_text import Misread, read_object

CHOICES = {"task.*": "All that happens to your tasks.", **catalogue.MEANINGS}
CHOICES.pop(payloads.PING)
"""What the form offers, with what it means. A test (`ping`) is sent to whoever asks for it; other patterns are typed."""
TEXTS = ("url", "description", "globs", "kinds", "tags", "metadata", "headers", "secret")
WORDS = re.compile(r"[,\n]")


@dataclass(frozen=True, kw_only=True)
class Form:
    """The fields as typed, what is wrong with each, and what is wrong with the whole."""

    texts: Mapping[str, str]
    events: Sequence[str] = ()
    include_result: bool = False
    drop_headers: bool = False
    errors: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""
    new_host: bool = False
    """The refusal is that another host would get the stored headers."""

    @property
    def choices(self) -> list[tuple[str, str, bool]]:
        """Event types with what they mean and whether they are chosen."""
        return [(name, says, name in self.events) for name, says in CHOICES.items()]


def empty() -> Form:
    """For a new endpoint: told how tasks end, which is what most want."""
    return Form(texts={}, events=["task.completed", "task.failed"])


def of(endpoint: Endpoint) -> Form:
    """As the endpoint stands. Headers are never shown again."""
    globs = [pattern for pattern in endpoint.event_types if pattern not in CHOICES]
    texts = {
        "url": endpoint.url, "description": endpoint.description, "globs": ", ".join(globs),
        "kinds": ", ".join(endpoint.kinds), "tags": ", ".join(endpoint.tags),
        "metadata": json.dumps(endpoint.metadata, ensure_ascii=False, indent=2) if endpoint.metadata else "",
    }  # fmt: skip
    chosen = [pattern for pattern in endpoint.event_types if pattern in CHOICES]
    return Form(texts=texts, events=chosen, include_result=endpoint.include_result)


def read(typed: Mapping[str, str], events: Sequence[str], *, is_new: bool) -> tuple[dict[str, Any], Form]:
    """The fields that were given, and the form with what is wrong with them. `events` are the ticked boxes."""
    texts = {name: typed.get(name, "") for name in TEXTS}
    errors: dict[str, str] = {}
    given: dict[str, Any] = {
        "url": texts["url"].strip(), "description": texts["description"].strip(),
        "event_types": list(dict.fromkeys([*events, *_words(texts["globs"])])), "kinds": _words(texts["kinds"]),
        "tags": _words(texts["tags"]), "include_result": "include_result" in typed,
    }  # fmt: skip
    metadata = read_object(texts["metadata"])
    if isinstance(metadata, Misread):
        errors["metadata"] = metadata.sentence
    else:
        given["metadata"] = metadata or {}
    drop = not is_new and "drop_headers" in typed
    if texts["headers"].strip() or drop:
        headers = {} if drop else header_lines(texts["headers"])
        if isinstance(headers, str):
            errors["headers"] = headers
        else:
            given["headers"] = headers
    if is_new and texts["secret"].strip():
        given["secret"] = texts["secret"].strip()
    errors = {**fields.problems(given), **errors}
    if "event_types" in errors and not given["event_types"]:
        errors["event_types"] = "Choose at least one event type."
    elif "event_types" in errors:  # the boxes offer only what there is
        errors["globs"] = errors.pop("event_types")
    form = Form(
        texts=texts, events=list(events), include_result=given["include_result"], drop_headers=drop, errors=errors
    )
    return given, form


def changed(endpoint: Endpoint, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not what they were: the history names no others. true is not 1."""
    return {
        name: value
        for name, value in given.items()
        if name == "headers" or json.dumps(value) != json.dumps(getattr(endpoint, name))
    }


def header_lines(text: str) -> dict[str, str] | str:
    """`name: value`, one a line; or a sentence on what is wrong, which repeats no value."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            return f"Line {number} is no header such as “x-key: value”."
        if name.strip().lower() in {known.lower() for known in found}:
            return f"Line {number}: the header {name.strip()[:100]!r} is there twice."
        found[name.strip()] = value.strip()
    return found


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in WORDS.split(text) if word.strip()))
