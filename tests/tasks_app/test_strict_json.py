"""What JSON leaves open, and that numbers are kept or named."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks_app import strict_json
from tasks_app.strict_json import UnkeptNumber, read

KEPT = [
    "0", "-0", "7", "-1", "9007199254740993", "12345678901234567890123", "-18446744073709551616", "9" * 1000, "-" + "9" * 999,
    "0.0", "-0.0", "0.1", "1.10", "-273.15", "3.141592653589793", "0.30000000000000004", "1e2", "1E5", "1e16", "1e22", "1e23",
    "1e30", "1e300", "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "1e-7", "-1.5E-10",
    "0.000000000000000000000000000001", "100000000000000000000000.0", "0e400", "0.1000000000000000000000000",
]  # fmt: skip
NOT_KEPT = [
    "0.1000000000000000055511151231257827", "3.14159265358979323846", "12345678901234567890.123", "1e400", "-1e400",
    "1e99999999999999999999", "1e-400", "1e-99999999999999999999", "4e-324", "123456789012345678.5", "123456789012345678e3",
    "-" + "9" * 5000,    "0." + "3" * 2000, "9007199254740993.0", "1.7976931348623158079e308",
]  # fmt: skip


@pytest.mark.parametrize("text", KEPT, ids=lambda text: text[:25])
def test_a_number_is_kept_by_its_value(text: str) -> None:
    value = read(text)
    assert not isinstance(value, UnkeptNumber)
    assert Decimal(json.dumps(value)) == Decimal(text)


def test_a_zero_is_kept_whatever_its_exponent() -> None:
    assert read("[0e99999999999999999999, -0.0E-99999999999999999999]") == [0, 0]


@pytest.mark.parametrize("text", NOT_KEPT, ids=lambda text: text[:25])
def test_a_number_that_would_change_is_marked_as_it_was_written(text: str) -> None:
    assert read(f'{{"a": [{text}, 1]}}') == {"a": [UnkeptNumber(text=text), 1]}


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_number_is_kept_or_marked(number: Decimal) -> None:
    value = read(str(number))
    if isinstance(value, UnkeptNumber):
        assert len(str(number)) > 1000 or Decimal(repr(float(number))) != number
    else:
        assert Decimal(json.dumps(value)) == number


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30))
def test_what_programs_print_of_their_own_numbers_is_always_kept(number: float) -> None:
    assert Decimal(json.dumps(read(json.dumps(number)))) == Decimal(repr(number))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 1}', "'a' is there twice"), ('{"b": {"a": 1, "\\u0061": 2}}', "'a' is there twice"),
        ("[NaN]", "NaN is not JSON"), ("[-Infinity]", "-Infinity is not JSON"), ('"\\ud800"', "surrogate"),
        ('{"\\uDFFF": 1}', "surrogate"), ('["\\ud83d\\ud83d\\ude00"]', "surrogate"), ("01", "Extra data"), ("1.", "Extra data"),
        (".5", "Expecting value"), ("+1", "Expecting value"), ("\u0661", "Expecting value"), ("\ufeff1", "Expecting value"),
        ('"a\tb"', "Invalid control character"), ("", "Expecting value"), ("\xa01", "Expecting value"),
        ('{"n": ' + "9" * 5000 + ', "a": 1, "a": 2}', "'a' is there twice"),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_what_is_no_json_here_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(text)


@pytest.mark.parametrize("text", ['"\\ud83d\\ude00"', '"\\\\ud800"', '["é", "\\u0000"]'])
def test_escapes_of_whole_characters_are_read(text: str) -> None:
    assert read(text) == json.loads(text)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (1, 1.0, True), (1, True, False), ([0], [False], False), ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": {"b": [1]}}, {"a": {"b": [True]}}, False), ([1], [1, 2], False), (2**53 + 1, float(2**53), False),
        (None, 0, False),        ("1", 1, False), ({"a": 1}, {"a": 1, "b": 1}, False),
    ],
)  # fmt: skip
def test_values_are_the_same_as_json_has_it(one: Any, other: Any, is_same: bool) -> None:
    assert strict_json.same(one, other) is strict_json.same(other, one) is is_same
