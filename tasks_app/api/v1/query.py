"""Reads query parameters, strictly: an unknown name or a value that makes no sense is 400, with a sentence."""

from collections.abc import Callable, Collection
from datetime import datetime, timezone
from typing import Any, TypeVar

from django.http import HttpResponse
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from tasks_app.api.renderers import json_response
from tasks_app.keyset import next_url
from tasks_app.validation import text_error

T = TypeVar("T")
PAGE, MOST = 50, 200


class Query:
    """The parameters of one request. Each reader remembers what is wrong; `check()` raises it all at once."""

    def __init__(self, request: Request, known: Collection[str], *, prefix: str = "") -> None:
        """`known` are the names there are; those that begin with `prefix`, if it is given, are there too."""
        self._values = request.query_params
        self._prefixed = [name for name in self._values if prefix and name.startswith(prefix)]
        there_are = ", ".join(sorted([*known, f"{prefix}…"] if prefix else known))
        self._errors = {
            name[:100]: f"There is no such parameter. There are: {there_are}."
            for name in self._values
            if name not in known and name not in self._prefixed
        }

    def check(self) -> None:
        if self._errors:
            raise ValidationError(self._errors)

    def one(self, name: str, read: Callable[[str], T], default: T) -> T:
        """The value of `name`. `read` raises ValueError with a sentence."""
        text = self._values.get(name)
        if text is None:
            return default
        try:
            return read(_clean(text))
        except ValueError as error:
            self._errors[name] = str(error)
            return default

    def maybe(self, name: str, read: Callable[[str], T]) -> T | None:
        """The same where absence means something."""
        if name not in self._values:
            return None
        return self.one(name, read, None)

    def prefixed(self, most: int, check: Callable[[str], str], read: Callable[[str], T]) -> dict[str, T]:
        """The values of names with the prefix. `check` says what is wrong with a name."""
        found: dict[str, T] = {}
        for number, name in enumerate(self._prefixed):
            if error := text_error(name) or check(name) or (f"At most {most} of these." if number >= most else ""):
                self._errors[name[:100].replace("\0", "")] = error
            elif (value := self.maybe(name, read)) is not None:
                found[name] = value
        return found

    def several(self, name: str, choices: Collection[str]) -> list[str]:
        """The values of a parameter that may be repeated, each once."""
        found = list(dict.fromkeys(self._values.getlist(name)))
        if any(value not in choices for value in found):
            self._errors[name] = f"One of: {', '.join(choices)}. Repeat the parameter for several."
        return found

    def wrong(self, name: str, sentence: str) -> None:
        """Notes what only several parameters together make wrong."""
        self._errors.setdefault(name, sentence)

    def limit(self) -> int:
        return self.one("limit", number(1, MOST), PAGE)


def number(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number within bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high):
            raise ValueError(f"A whole number from {low} to {high}.")
        return int(text)

    return read


def text(longest: int) -> Callable[[str], str]:
    """Reads a text that is not empty."""

    def read(value: str) -> str:
        if not 1 <= len(value) <= longest:
            raise ValueError(f"A text of 1 to {longest} characters.")
        return value

    return read


def moment(value: str) -> datetime:
    """Reads a time (RFC 3339); one without an offset is UTC."""
    try:
        found = parse_datetime(value.replace(" ", "+"))  # a plus sign that nobody encoded
        if found is not None:
            return found.replace(tzinfo=timezone.utc) if found.tzinfo is None else found.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        pass
    raise ValueError("A time such as 2026-01-31T12:00:00Z.")


def page_response(request: Request, name: str, items: list[Any], following: str | None) -> HttpResponse:
    """`{name: items, "next": URL or null}` with a Link header (RFC 8288) where there is more."""
    url = next_url(request, following)
    link = {} if url is None else {"Link": f'<{url}>; rel="next"'}
    return json_response({name: items, "next": url}, headers=link)


def _clean(value: str) -> str:
    if error := text_error(value):
        raise ValueError(f"This {error}")
    return value
