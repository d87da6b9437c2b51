"""What samples say of one resource: its recent utilisation, and times that it does not count itself."""

from __future__ import annotations

import math
from array import array
from typing import Any

__all__ = ["Track", "Use"]


class Use:
    """What is in use of a resource at one moment; of several of one name, together."""

    __slots__ = ("limit", "queued", "running")

    def __init__(self) -> None:
        self.running = self.limit = self.queued = 0

    def add(self, statistics: Any) -> bool:
        """Add what statistics say; False if they know no limit."""
        running, limit = getattr(statistics, "running", None), getattr(statistics, "max_running", None)
        if not (isinstance(running, int) and isinstance(limit, int)):
            return False
        self.running += running
        self.limit += limit
        queued = getattr(statistics, "queued", 0)
        self.queued += queued if isinstance(queued, int) else 0
        return True

    @property
    def share(self) -> float:
        """Return the share of the limit that is in use, a thousandfold at most; of a limit of 0 all is."""
        return (
            min(self.running, 1000 * self.limit) / self.limit
            if self.limit > 0
            else float(bool(self.running or self.queued))
        )


class Track:
    """Adds up samples of a resource; between two of them, each counts for half of the time.

    Args:
        most: How many are kept.

    Attributes:
        hold_seconds: How long permits or connections were out, all together.
        near_limit_seconds: How long the share in use was the threshold or more.
        saturated_seconds: How long anybody waited.
        share: The share of the limit that was in use at the last sample.
        seen: The number of the sample in which the resource was last seen.
    """

    __slots__ = (
        "_last",
        "_most",
        "_number",
        "_shares",
        "hold_seconds",
        "near_limit_seconds",
        "saturated_seconds",
        "seen",
        "share",
    )

    def __init__(self, most: int) -> None:
        self._most = most
        self._shares = array("f")
        self._number = 0  # of the sample that the last of them is of
        self._last = (0, False, False)
        self.hold_seconds = self.near_limit_seconds = self.saturated_seconds = 0.0
        self.share = 0.0
        self.seen = -2  # before any

    def sample(self, number: int, use: Use, threshold: float, passed: float) -> None:
        """Take note of a sample, and of the seconds that have passed since the one before."""
        self.share = share = use.share
        before, now = self._last, (use.running, share >= threshold, use.queued > 0)
        if self.seen == number - 1:
            self.hold_seconds += (before[0] + now[0]) / 2 * passed
            self.near_limit_seconds += (before[1] + now[1]) / 2 * passed
            self.saturated_seconds += (before[2] + now[2]) / 2 * passed
        self._last, self.seen = now, number
        self._append(number, share)

    def miss(self, number: int) -> None:
        """Take note of a sample in which the resource was not seen."""
        self.share = 0.0
        self._append(number, math.nan)

    def sampled(self) -> dict[str, float]:
        """Return the times that samples say."""
        return {
            "hold_seconds": self.hold_seconds,
            "near_limit_seconds": self.near_limit_seconds,
            "saturated_seconds": self.saturated_seconds,
        }

    def shares(self) -> array[float]:
        """Return the shares of the limit that were in use, the latest at the end; NaN where it was not seen."""
        return self._shares[-self._most :]

    def _append(self, number: int, share: float) -> None:
        if self._shares:  # a sample that was cut short may not have come to this
            self._shares.extend([math.nan] * min(number - self._number - 1, self._most))
        self._shares.append(share)
        self._number = number
        if len(self._shares) >= 2 * self._most:
            del self._shares[: -self._most]
