"""Is this process to end? The answer is shared with the processes that were forked from it."""

import mmap
import struct
import time

_FORMAT = "d"
_shared = mmap.mmap(
    -1, struct.calcsize(_FORMAT)
)  # anonymous: children of a prefork worker see what their parent writes


def request() -> None:
    """From now on running tasks have settings.SHUTDOWN_SECONDS; then they are handed back."""
    if not asked_for():
        _shared[:] = struct.pack(_FORMAT, time.monotonic())


def asked_for() -> bool:
    """True once the process was asked to end."""
    return _asked_at() > 0


def seconds() -> float:
    """For how long that is so; 0 if it is not. The clock counts alike in all processes of a machine."""
    return time.monotonic() - _asked_at() if asked_for() else 0.0


def forget() -> None:
    """For tests, whose process goes on."""
    _shared[:] = struct.pack(_FORMAT, 0.0)


def _asked_at() -> float:
    return float(struct.unpack(_FORMAT, _shared[:])[0])
