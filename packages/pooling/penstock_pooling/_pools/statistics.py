"""What a pool tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_limits import Mode

__all__ = ["PoolStatistics"]


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A snapshot of a pool; times in seconds.

    Attributes:
        mode: Its mode now.
        running: Connections that are out.
        max_running: Connections that may be out, and open.
        min_size: Connections that are kept open.
        open: Connections that are open.
        idle: Connections that are open and not out.
        queued: Callers that wait.
        max_queued: Callers that may wait; None for any number.
        peak_running: The most connections that were ever out.
        acquired: Connections ever lent.
        waited: Connections that were waited for.
        rejected: Callers refused because the queue was full.
        timed_out: Callers that waited as long as they would.
        deadlocked: Callers refused because they would have waited for themselves.
        nested: Connections lent to a task that had one.
        opened: Connections ever opened.
        expired: Connections replaced because of their age.
        discarded: Connections closed instead of lent again, as what was done in their session could not be undone.
        leaked: Borrows that took longer than `leak_after`.
        abandoned: Connections that were still out when the pool had waited long enough for them, and closed.
        wait_seconds: How long callers waited, all together.
        longest_wait: How long the most patient of them waited.
        hold_seconds: How long connections were out, all together.
        longest_hold: How long one was out at most.
        would_wait: Connections that would have been waited for, counted in mode observe.
        would_reject: Callers that would have been refused, counted in mode observe.
        would_reuse: Connections opened in mode observe where a pool would have had one open.
    """

    mode: Mode
    running: int
    max_running: int
    min_size: int
    open: int
    idle: int
    queued: int
    max_queued: int | None
    peak_running: int
    acquired: int
    waited: int
    rejected: int
    timed_out: int
    deadlocked: int
    nested: int
    opened: int
    expired: int
    discarded: int
    leaked: int
    abandoned: int
    wait_seconds: float
    longest_wait: float
    hold_seconds: float
    longest_hold: float
    would_wait: int
    would_reject: int
    would_reuse: int
