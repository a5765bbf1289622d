"""How long to wait before another attempt. Chance is passed in."""

import pytest

from tasks_app.backoff import exponential

pytestmark = pytest.mark.anywhere


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_each_wait_is_a_multiple_of_the_one_before_up_to_the_maximum() -> None:
    wait = exponential(first=2, factor=3, maximum=100, uniform=middle)
    assert [wait(attempt) for attempt in range(1, 7)] == [2, 6, 18, 54, 100, 100]


def test_it_is_spread_by_the_jitter() -> None:
    assert exponential(first=10, jitter=0.2, uniform=lambda low, high: low)(1) == pytest.approx(8)
    assert exponential(first=10, jitter=0.2, uniform=lambda low, high: high)(1) == pytest.approx(12)
    assert exponential(first=10, jitter=0, uniform=middle)(1) == 10


@pytest.mark.parametrize("attempt", [100, 1000, 10**9])
def test_a_large_number_of_attempts_overflows_nothing(attempt: int) -> None:
    assert exponential(uniform=middle)(attempt) == 3600


def test_the_default_begins_with_two_seconds_and_its_chance_is_real() -> None:
    wait = exponential()
    found = {wait(1) for _ in range(50)}
    assert all(1.6 <= seconds <= 2.4 for seconds in found)
    assert len(found) > 1
