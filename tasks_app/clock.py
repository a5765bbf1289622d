"""What time it is for everybody who shares a database: the database says so.

Leases, start times and retries are compared by processes on many machines. One whose clock is wrong, or jumps, must not
take another's lease for expired. So PostgreSQL's clock is the clock, carried on by this machine's monotonic one between
two looks at it; whoever checks a connection looks. Without PostgreSQL there is one machine, and its own clock will do.
"""

import time
from datetime import datetime, timedelta

from django.utils import timezone

JITTER = timedelta(milliseconds=50)
"""A difference as small as this is the way of the answer, not the clock."""
APART = timedelta(seconds=1)
"""Two processes may be as far apart, amply: what one takes for due the other should not take for too early."""
_zero: datetime | None = None
"""The database's time when this machine's monotonic clock read 0."""


def now() -> datetime:
    """The time by the database's clock; by our own as long as no connection was made."""
    return timezone.now() if _zero is None else _zero + timedelta(seconds=time.monotonic())


def look(database_says: datetime, *, asked_at: float) -> None:
    """Takes over what the database's clock read between `asked_at`, on the monotonic clock, and this moment."""
    global _zero
    answered_at = time.monotonic()
    zero = database_says - timedelta(seconds=(asked_at + answered_at) / 2)
    if _zero is None or abs(zero - _zero) > JITTER + timedelta(seconds=answered_at - asked_at):
        _zero = zero.astimezone(timezone.get_default_timezone())
