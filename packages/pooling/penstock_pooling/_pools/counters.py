"""The plain counters of a pool."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Counters"]


@dataclass(slots=True)
class Counters:
    """What has happened so far; see `PoolStatistics`.

    Attributes:
        would_be_open: In mode observe, how many connections a pool would have open.
    """

    would_be_open: int = 0
    abandoned: int = 0
    acquired: int = 0
    deadlocked: int = 0
    discarded: int = 0
    expired: int = 0
    hold_seconds: float = 0
    leaked: int = 0
    longest_hold: float = 0
    longest_wait: float = 0
    nested: int = 0
    opened: int = 0
    peak_running: int = 0
    rejected: int = 0
    timed_out: int = 0
    wait_seconds: float = 0
    waited: int = 0
    would_reject: int = 0
    would_reuse: int = 0
    would_wait: int = 0

    def as_dict(self) -> dict[str, float]:
        """Return them, by the names of `PoolStatistics`."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "would_be_open"}

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

    def note_unpooled(self, running: int, max_size: int, max_queued: int | None) -> None:
        """Count what a pool would have done with a caller, when so many connections are out."""
        self.would_reuse += running < self.would_be_open or running >= max_size
        self.would_wait += running >= max_size
        self.would_reject += max_queued is not None and running >= max_size + max_queued
        self.would_be_open = max(self.would_be_open, min(running + 1, max_size))
