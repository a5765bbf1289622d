"""JSON as this server reads it: nothing changes without a word. Stricter than RFC 8259 where readers differ.

A key that is there twice, NaN, Infinity and half of a surrogate pair are no JSON here. A number is kept exactly, or it is
read as an `UnkeptNumber`, so that whoever stores the value can name the field that holds it.
"""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

import orjson

MAX_DIGITS = 1_000
"""Of a number. Python prints no whole numbers of over 4,300 digits."""
_TOO_LARGE = 10**MAX_DIGITS
_AS_TEXT = "Send it as a text, in quotes."
_SHORT = 16
"""A fraction of at most this many characters, with its point and no exponent, has the 15 digits that a float keeps."""
_SHOWN_CHARACTERS = 40
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, kw_only=True, slots=True)
class UnkeptNumber:
    """Stands where a number was that cannot be kept as it is. `text` is how it was written."""

    text: str

    def __str__(self) -> str:
        return self.text if len(self.text) <= _SHOWN_CHARACTERS else f"{self.text[:_SHOWN_CHARACTERS]}…"


def read(text: str) -> Any:
    """The value. Raises ValueError saying what is wrong (json.JSONDecodeError with the place), and RecursionError."""
    try:
        value = _reader.decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number that int() refuses to read, or what the hooks below refuse, which is raised again
        value = _careful_reader.decode(text)
    if _SURROGATE.search(text):
        _check_surrogates(value)
    return value


def number_error(value: float | UnkeptNumber) -> str:
    """Why a number cannot be kept, or an empty string. It may come from a handler."""
    if isinstance(value, UnkeptNumber):
        return f"holds {value}, a number that would not come back as it came. {_AS_TEXT}"
    if isinstance(value, int):
        return "" if abs(value) < _TOO_LARGE else f"holds a number of over {MAX_DIGITS:,} digits. {_AS_TEXT}"
    return "" if value - value == 0 else "holds NaN or Infinity, which JSON has not."


def same(one: Any, other: Any) -> bool:
    """Equal as JSON has it: true is not 1, and the order of keys says nothing."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"The key {twice[:50]!r} is there twice.")
    return found


def _fraction(text: str) -> float | int | UnkeptNumber:
    """What was written with a point or an exponent: a float where its shortest form is the same number.

    A whole number that Python would print with an exponent becomes an int, as which PostgreSQL gives it back.
    """
    value = float(text)
    if len(text) <= _SHORT and "e" not in text and "E" not in text:
        return value
    printed = orjson.dumps(value).decode()  # the shortest form, as repr() has it, in a quarter of the time
    if printed != text:
        if len(text) > MAX_DIGITS or value in (float("inf"), float("-inf")):
            return UnkeptNumber(text=text)
        if value == 0:  # by its digits: the exponent may be one that Decimal refuses
            digits = text.lower().partition("e")[0]
            return UnkeptNumber(text=text) if digits.strip("-0.") else value
        if Decimal(printed) != Decimal(text):
            return UnkeptNumber(text=text)
    return int(Decimal(printed)) if "e" in printed and "e-" not in printed else value


def _whole(text: str) -> int | UnkeptNumber:
    return int(text) if len(text) <= MAX_DIGITS else UnkeptNumber(text=text)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON.")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise ValueError("It holds half of a surrogate pair, which is no character.") from None


_reader = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_fraction, parse_constant=_refuse)
_careful_reader = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_fraction, parse_int=_whole, parse_constant=_refuse
)
