"""How long to wait before the next attempt."""

from __future__ import annotations

import random as chance
from collections.abc import Callable

from penstock_limits._checks import seconds, whole

__all__ = ["backoff_delay"]

_MOST_DOUBLINGS = 1000  # 2.0**1000 is still a number, and more than any cap


def backoff_delay(
    attempt: int, *, base: float = 0.1, cap: float = 10.0, random: Callable[[], float] = chance.random
) -> float:
    """Return a random delay below an exponentially growing bound: `random() * min(cap, base * 2**attempt)`.

    This is the "full jitter" of Marc Brooker's "Exponential Backoff And Jitter" (AWS, 2015): callers that failed
    together do not come back together.

    Args:
        attempt: Which attempt has failed, counted from 0 as `range` does.
        base: The bound after the first attempt, in seconds.
        cap: The highest bound, in seconds.
        random: Returns a number from 0 to 1.

    Returns:
        Seconds from 0 to `cap`.

    Raises:
        ConfigurationError: `attempt` is no whole number from 0, or `base` or `cap` are no seconds from 0.
    """
    doublings = min(whole("backoff_delay", "attempt", attempt, least=0), _MOST_DOUBLINGS)
    seconds("backoff_delay", "base", base)
    seconds("backoff_delay", "cap", cap)
    return random() * min(cap, base * 2.0**doublings)
