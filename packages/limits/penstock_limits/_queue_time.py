"""How long callers have waited in a queue."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["QueueTime"]


class QueueTime:
    """Adds up how long callers waited: the queue's length, summed over time. So it costs only when the length changes.

    The owner's lock is held. Should the garbage collector take somebody out in the midst of it, what goes wrong is the
    time that passed within.

    Args:
        clock: Says the time, in seconds.

    Attributes:
        longest: How long the most patient of those who have left waited, in seconds.
        occupied: How long anybody waited, in seconds, up to the last change.
        waited: How long all waited together, in seconds, up to the last change.
    """

    __slots__ = ("_clock", "_since", "longest", "occupied", "waited")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = 0.0
        self.longest = self.occupied = self.waited = 0.0

    def changes(self, queued: int) -> float:
        """Take note that the queue has been that long until now; return the time."""
        now = self._clock()
        passed, self._since = now - self._since, now
        if queued:
            self.waited += queued * passed
            self.occupied += passed
        return now

    def left(self, queued: int, came: float | None) -> None:
        """Take note that somebody leaves a queue that has been that long, and when they came, if that is known."""
        now = self.changes(queued)
        if came is not None:
            self.longest = max(self.longest, now - came)
