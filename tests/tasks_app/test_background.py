"""The thread that works off what others put down."""

import os
import threading
import time
from collections.abc import Callable

import pytest

from tasks_app.background import Drain, flush_all, flush_announcements
from tests.services.processes import PATIENCE

pytestmark = pytest.mark.anywhere


class Gate:
    """Handles items only while it is open, and remembers what it was given."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, items: list[int]) -> None:
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        self.batches.append(items)


def test_everything_is_handled_in_the_order_it_was_put() -> None:
    seen: list[int] = []
    drain = Drain[int]("test", seen.extend)
    for number in range(1000):
        drain.put([number])
    assert drain.flush(timeout=PATIENCE)
    assert seen == list(range(1000))


def test_what_gathers_while_one_batch_is_handled_is_the_next_batch() -> None:
    gate = Gate()
    drain = Drain[int]("test", gate)
    drain.put([0])
    assert gate.entered.wait(PATIENCE)
    for number in range(1, 100):
        drain.put([number])
    gate.opened.set()
    assert drain.flush(timeout=PATIENCE)
    assert gate.batches == [[0], list(range(1, 100))]


def test_above_its_capacity_the_newest_are_dropped_and_counted() -> None:
    gate = Gate()
    drain = Drain[int]("test", gate, capacity=3)
    drain.put([0])
    assert gate.entered.wait(PATIENCE)
    drain.put(range(1, 11))
    gate.opened.set()
    assert drain.flush(timeout=PATIENCE)
    assert (gate.batches, drain.dropped) == ([[0], [1, 2, 3]], 7)


def test_putting_never_waits_for_handling() -> None:
    gate = Gate()
    drain = Drain[int]("test", gate)
    for number in range(100):
        drain.put([number])
    assert gate.batches == []
    assert not drain.flush(timeout=0.01)
    gate.opened.set()
    assert drain.flush(timeout=PATIENCE)


def test_an_exception_costs_its_own_batch_only() -> None:
    seen: list[int] = []

    def handle(items: list[int]) -> None:
        if items == [0]:
            raise ArithmeticError("not this one")
        seen.extend(items)

    drain = Drain[int]("test", handle)
    drain.put([0])
    assert drain.flush(timeout=PATIENCE)
    drain.put([1])
    assert drain.flush(timeout=PATIENCE)
    assert seen == [1]


def test_flushing_an_unused_one_is_immediate_and_starts_nothing() -> None:
    drain = Drain[int]("never-started", lambda items: None)
    assert drain.flush(timeout=0)
    assert "never-started" not in [thread.name for thread in threading.enumerate()]


def test_many_threads_may_put_at_once() -> None:
    seen: list[int] = []
    drain = Drain[int]("test", seen.extend)

    def put(base: int) -> None:
        for number in range(200):
            drain.put([base + number])

    threads = [threading.Thread(target=put, args=(base,)) for base in range(0, 1600, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drain.flush(timeout=PATIENCE)
    assert sorted(seen) == list(range(1600))


def test_flushing_does_not_wait_for_what_is_put_later() -> None:
    gate = Gate()
    drain = Drain[int]("test", gate)
    seen: list[bool] = []
    drain.put([0])
    assert gate.entered.wait(PATIENCE)
    waiting = threading.Thread(target=lambda: seen.append(drain.flush(timeout=PATIENCE)))
    waiting.start()
    again = Gate()
    drain.handle = again
    drain.put([1])
    gate.opened.set()
    waiting.join(PATIENCE)
    assert seen == [True]
    again.opened.set()
    assert drain.flush(timeout=PATIENCE)


def test_announcements_are_waited_for_and_other_drains_are_not() -> None:
    announcing, other = Gate(), Gate()
    first, second = Drain[int]("announcing", announcing, announces=True), Drain[int]("other", other)
    first.put([0])
    second.put([0])
    assert announcing.entered.wait(PATIENCE)
    threading.Timer(0.05, announcing.opened.set).start()
    flush_announcements(timeout=PATIENCE)
    assert (announcing.batches, other.batches) == ([[0]], [])
    other.opened.set()
    assert second.flush(timeout=PATIENCE)


def test_the_last_flush_of_a_process_is_bounded_whatever_hangs() -> None:
    gate = Gate()
    drain = Drain[int]("hanging", gate)
    drain.put([0])
    flush_all(timeout=0.05)
    assert gate.batches == []
    gate.opened.set()
    flush_all(timeout=PATIENCE)
    assert gate.batches == [[0]]


def _in_a_child(action: Callable[[], bool]) -> bool:
    """Whether `action` returns True in a forked process in time."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if action() else 1)
        except BaseException:
            os._exit(2)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        threading.Event().wait(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


def test_a_forked_child_starts_empty_and_with_a_thread_of_its_own() -> None:
    """Forked at the worst moment: the parent's thread is busy, items wait and its lock is held."""
    gate = Gate()
    drain = Drain[int]("test", gate)
    drain.put([0])
    assert gate.entered.wait(PATIENCE)
    drain.put([1, 2])

    def in_child() -> bool:
        gate.opened.set()
        gate.batches.clear()
        drain.put([3])
        return drain.flush(timeout=PATIENCE) and gate.batches == [[3]]

    with drain._changed:
        worked = _in_a_child(in_child)
    gate.opened.set()
    assert worked
    assert drain.flush(timeout=PATIENCE)
    assert gate.batches == [[0], [1, 2]]
