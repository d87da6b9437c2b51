"""How late an event loop is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Lag", "LoopStatistics"]


@dataclass(frozen=True, slots=True)
class LoopStatistics:
    """How late an event loop woke the monitor, in seconds, over its window.

    Attributes:
        loop: Its name.
        p50: Half the time it was not later.
        p99: 99 of 100 times it was not later.
        max: The worst.
        stalled: How late it is at this moment: it grows while the loop is blocked.
        samples: How often it was measured.
    """

    loop: str
    p50: float
    p99: float
    max: float
    stalled: float
    samples: int


class Lag:
    """The overshoots of one task's sleeps.

    Args:
        loop: The loop's name.
        most: How many are kept.
        clock: Says the time, in seconds; in any thread, so it is not the loop's.
    """

    def __init__(self, loop: str, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.loop = loop
        self._late: deque[float] = deque(maxlen=most)
        self._clock = clock
        self._due = clock()

    def sleeps(self, seconds: float) -> None:
        """Take note that the task sleeps from now on."""
        self._due = self._clock() + seconds

    def wakes(self) -> None:
        """Take note that it woke."""
        self._late.append(max(0.0, self._clock() - self._due))

    def statistics(self) -> LoopStatistics:
        """Return what is known."""
        late = sorted(self._late.copy())
        stalled = max(0.0, self._clock() - self._due)
        if not late:
            return LoopStatistics(self.loop, 0.0, 0.0, 0.0, stalled, 0)
        return LoopStatistics(self.loop, _quantile(late, 0.5), _quantile(late, 0.99), late[-1], stalled, len(late))


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
