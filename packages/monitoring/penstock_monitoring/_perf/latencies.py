"""Latencies in little memory: how many fell into each bucket, the next 1 % above the last."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

__all__ = ["bucket", "percentile"]

_STEP: Final = math.log(1.01)
_SHORTEST: Final = 1e-9  # seconds


def bucket(seconds: float) -> int:
    """Return the bucket of a latency."""
    return round(math.log(max(seconds, _SHORTEST)) / _STEP)


def percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """Return the latency in seconds, to half a percent, that this share of them do not exceed; None if there are none.

    Args:
        buckets: How many fell into each bucket.
        share: Above 0 up to 1, such as 0.99.
    """
    wanted = math.ceil(share * sum(buckets.values()))
    seen = 0
    for number in sorted(buckets):
        seen += buckets[number]
        if seen >= wanted > 0:
            return math.exp(number * _STEP)
    return None
