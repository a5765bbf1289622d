"""Ends process trees, and outlives a test run that was killed in order to end what it left behind.

A parent-death signal would not do: it reaches one process instead of a tree, it is lost when the
child changes user, and it fires when the thread that started the child ends. So the test run holds
a pipe to this script, and the kernel closes it however the run ends. Standard library only.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path


def tree(roots: Iterable[int]) -> list[int]:
    """The living processes among the roots, in their sessions and groups, and descended from them."""
    alive: list[tuple[int, int, int, int]] = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            # The name in brackets may itself hold spaces and brackets: proc(5).
            fields = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            alive.append((int(entry.name), int(fields[1]), int(fields[2]), int(fields[3])))
    known = set(roots)
    members: list[int] = []
    found = True
    while found:
        found = False
        for process, parent, group, session in alive:
            if process not in members and not known.isdisjoint((process, parent, group, session)):
                members.append(process)
                known.add(process)
                found = True
    return members


def started(process: int) -> str | None:
    """Start time in ticks since boot, None if gone: tells a process from a later one with its id."""
    try:
        return Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        return None


def signal_tree(root: int, number: signal.Signals) -> None:
    """Send one signal to every process of a tree."""
    for process in tree([root]):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def kill_trees(roots: Iterable[int], *, seconds: float = 60.0) -> None:
    """SIGKILL whole trees and wait until nothing of them runs: orphans and late children included."""
    seen = set(roots)
    deadline = time.monotonic() + seconds
    while members := tree(seen):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {members} survived SIGKILL for {seconds} s")
        seen.update(members)
        for process in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.005)


def main() -> None:
    """Read lines (`+PID`, `-PID`, `+/directory`) until the test run is gone, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    charges: dict[str, str | None] = {}
    for line in sys.stdin:
        charge = line[1:].rstrip("\n")
        if line.startswith("+"):
            charges[charge] = started(int(charge)) if charge.isdigit() else None
        else:
            charges.pop(charge, None)
    kill_trees(
        int(charge) for charge, start in charges.items() if charge.isdigit() and started(int(charge)) in (None, start)
    )
    for charge in charges:
        if charge.startswith("/"):
            shutil.rmtree(charge, ignore_errors=True)


if __name__ == "__main__":
    main()
