"""JSON that a person typed: read strictly, and where it is wrong the place is told."""

import json
from dataclasses import dataclass
from typing import Any

from tasks_app import strict_json
from tasks_app.validation import json_errors


@dataclass(frozen=True, kw_only=True)
class Misread:
    """`position` counts characters from the start of the text."""

    sentence: str
    position: int


def read_object(text: str) -> dict[str, Any] | Misread | None:
    """The object; None for an empty text."""
    if not text.strip():
        return None
    try:
        value = strict_json.read(text)
    except json.JSONDecodeError as error:
        return Misread(sentence=f"Line {error.lineno}, column {error.colno}: {error.msg}.", position=error.pos)
    except RecursionError:
        return Misread(sentence="It is nested too deeply.", position=0)
    except ValueError as error:
        return Misread(sentence=str(error), position=0)
    if not isinstance(value, dict):
        return Misread(sentence="A JSON object is wanted: { … }.", position=0)
    return value


def read_value(text: str) -> tuple[Any, str]:
    """Any JSON value, or a sentence on what is wrong with the text."""
    try:
        value = strict_json.read(text)
    except json.JSONDecodeError as error:
        return None, f"No JSON: line {error.lineno}, column {error.colno}: {error.msg}."
    except RecursionError:
        return None, "It is nested too deeply."
    except ValueError as error:
        return None, str(error)
    wrong = json_errors("It", value)
    return (None, " ".join(next(iter(wrong.items())))) if wrong else (value, "")
