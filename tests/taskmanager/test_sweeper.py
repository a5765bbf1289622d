"""The timer of the sweep: one at a time over all processes, and nothing that goes wrong ends it."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from taskmanager import sweeper
from tests.services.processes import PATIENCE, eventually

pytestmark = pytest.mark.usefixtures("committed")
calls: list[str] = []
entered, let_go = threading.Event(), threading.Event()


@pytest.fixture(autouse=True)
def afresh() -> None:
    calls.clear()
    entered.clear()
    let_go.clear()


def slow() -> None:
    calls.append("slow")
    entered.set()
    assert let_go.wait(PATIENCE)


def quick() -> None:
    calls.append("quick")


def broken() -> None:
    calls.append("broken")
    raise ArithmeticError("a bug")


def away() -> None:
    calls.append("away")
    raise OperationalError("the database is away")


def sweeps(*names: str) -> list[str]:
    return [f"{__name__}.{name}" for name in names]


def test_each_sweep_runs_in_its_order(settings: Any) -> None:
    settings.SWEEPS = sweeps("quick", "quick")
    sweeper.sweep_once()
    assert calls == ["quick", "quick"]


@pytest.mark.services
def test_two_at_once_share_the_work(settings: Any) -> None:
    """On PostgreSQL: whoever comes second leaves out what the first is at, and does the rest."""
    settings.SWEEPS = sweeps("slow", "quick")

    def first() -> None:
        sweeper.sweep_once()
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(PATIENCE)
    sweeper.sweep_once()
    assert calls == ["slow", "quick"]
    let_go.set()
    thread.join(PATIENCE)
    assert calls == ["slow", "quick", "quick"]
    sweeper.sweep_once()
    assert calls.count("slow") == 2


@pytest.mark.services
def test_a_sweep_that_stumbles_gives_its_lease_back(settings: Any) -> None:
    settings.SWEEPS = sweeps("broken")
    for _ in range(2):
        sweeper.sweep_once()
    assert calls == ["broken", "broken"]


def test_a_sweep_that_stumbles_does_not_keep_the_next_from_its_work(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SWEEPS = sweeps("broken", "quick")
    sweeper.sweep_once()
    assert calls == ["broken", "quick"]
    assert f"{__name__}.broken" in caplog.text


def work_until(seen: Callable[[], bool]) -> None:
    """A timer from its start to its end."""
    timer = sweeper.Sweeper()
    timer.start()
    try:
        eventually(seen)
    finally:
        timer.stop()
        timer._thread.join(PATIENCE)
    assert not timer._thread.is_alive()


def test_the_timer_goes_on_whatever_happens_and_stops_when_told(settings: Any) -> None:
    settings.SWEEPS, settings.SWEEP_SECONDS = sweeps("broken", "away"), 0.01
    work_until(lambda: calls.count("away") >= 3)


def test_while_the_database_is_away_it_says_so_once(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.SWEEPS, settings.SWEEP_SECONDS = sweeps("away"), 0.01
    work_until(lambda: len(calls) >= 3)
    assert [record.levelname for record in caplog.records if record.name == "taskmanager.sweeper"] == ["WARNING"]
