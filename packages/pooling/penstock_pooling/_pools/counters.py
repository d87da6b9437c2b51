"""The plain counters of a pool."""

from __future__ import annotations

__all__ = ["Counters"]


class Counters:
    """What has happened so far; see `PoolStatistics`."""

    __slots__ = (
        "abandoned",
        "acquired",
        "deadlocked",
        "discarded",
        "expired",
        "hold_seconds",
        "leaked",
        "longest_hold",
        "longest_wait",
        "nested",
        "opened",
        "peak_running",
        "rejected",
        "timed_out",
        "wait_seconds",
        "waited",
        "would_reject",
        "would_reuse",
        "would_wait",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    def as_dict(self) -> dict[str, float]:
        """Return them all."""
        return {name: getattr(self, name) for name in self.__slots__}

    def note_wait(self, seconds: float) -> None:
        """Count a caller that got what it waited for."""
        self.waited += 1
        self.wait_seconds += seconds
        self.longest_wait = max(self.longest_wait, seconds)

    def note_hold(self, seconds: float) -> None:
        """Count a connection that came back."""
        self.hold_seconds += seconds
        if seconds > self.longest_hold:
            self.longest_hold = seconds

    def note_unpooled(self, running: int, would_be_open: int, max_size: int, max_queued: int | None) -> None:
        """Count what a pool would have done with a caller."""
        self.would_reuse += running < would_be_open or running >= max_size
        self.would_wait += running >= max_size
        self.would_reject += max_queued is not None and running >= max_size + max_queued

    abandoned: int
    acquired: int
    deadlocked: int
    discarded: int
    expired: int
    hold_seconds: float
    leaked: int
    longest_hold: float
    longest_wait: float
    nested: int
    opened: int
    peak_running: int
    rejected: int
    timed_out: int
    wait_seconds: float
    waited: int
    would_reject: int
    would_reuse: int
    would_wait: int
