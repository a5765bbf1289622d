"""Faults of the embedded server: killed again and again, and a disk that is full."""

import os
from pathlib import Path

from tests.chaos.run import Case
from tests.chaos.stage import Embedded, Small

CHUNK = b"\0" * 65536


def embedded_killed(stage: Embedded, *, times: int = 10) -> None:
    for _ in range(times):
        stage.kill()
        stage.pause(0.7)
    _assert_sound(stage)


def embedded_killed_three_times(stage: Embedded) -> None:
    embedded_killed(stage, times=3)


def disk_full(stage: Small) -> None:
    """Something else takes all the room for a while: nothing is accepted that cannot be kept."""
    ballast = stage.seen / "ballast"
    try:
        _fill(ballast)
        stage.pause(3)
        _fill(ballast)  # what the database gave back meanwhile
        stage.pause(6)
    finally:
        ballast.unlink()
    assert stage.load.refused, "the disk was not full: every POST was accepted"
    _assert_sound(stage)


def _fill(file: Path) -> None:
    with file.open("ab", buffering=0) as ballast:
        for size in (len(CHUNK), 1):
            try:
                while ballast.write(CHUNK[:size]):
                    pass
            except OSError:
                continue
    assert os.statvfs(file).f_bavail == 0


def _assert_sound(stage: Embedded) -> None:
    assert stage.rows("PRAGMA integrity_check") == [("ok",)]


CASES = {
    "embedded_killed_10_times": Case(fault=embedded_killed, stage=Embedded),
    "embedded_killed": Case(fault=embedded_killed_three_times, stage=Embedded),
    "embedded_disk_full": Case(fault=disk_full, stage=Small),
}
