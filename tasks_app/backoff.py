"""How long to wait before another attempt."""

import random
from collections.abc import Callable

Backoff = Callable[[int], float]
"""From the number of attempts used (1, 2, …) to seconds."""


def exponential(
    *, first: float = 2.0, factor: float = 2.0, maximum: float = 3600.0, jitter: float = 0.2,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Backoff:  # fmt: skip
    """`first` seconds, then `factor` times more each time up to `maximum`, each spread by ± `jitter` (a fraction) so that
    tasks which failed together do not return together."""

    def seconds(attempts_used: int) -> float:
        # The exponent is bounded so that a large attempt number cannot overflow a float.
        base = min(maximum, first * factor ** min(attempts_used - 1, 64))
        return base * uniform(1 - jitter, 1 + jitter)

    return seconds
