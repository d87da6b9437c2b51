"""What a limiter tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_limits._modes import Mode

__all__ = ["LimiterStatistics"]


@dataclass(frozen=True, slots=True)
class LimiterStatistics:
    """A snapshot of a limiter; times in seconds.

    A fan-out that waits to start more of its work is one caller, which waits for as long as it is in the queue.

    Attributes:
        mode: Its mode now.
        running: Permits that are out.
        max_running: Permits that may be out.
        queued: Callers that wait.
        max_queued: Callers that may wait; None for any number.
        peak_running: The most permits that were ever out.
        acquired: Permits ever taken.
        waited: Permits that were waited for.
        rejected: Callers refused because the queue was full or they would not wait.
        timed_out: Callers that waited as long as they would.
        wait_seconds: How long callers waited, all together; those who wait now, until now.
        longest_wait: How long the most patient of those who wait no more waited.
        saturated_seconds: How long anybody waited.
        would_wait: Permits that would have been waited for, counted in mode observe.
        would_reject: Callers that would have been refused, told in mode observe from the permits beyond the limit.
        surplus_releases: Releases without an acquire; each adds a permit, as with `asyncio.Semaphore`.
    """

    mode: Mode
    running: int
    max_running: int
    queued: int
    max_queued: int | None
    peak_running: int
    acquired: int
    waited: int
    rejected: int
    timed_out: int
    wait_seconds: float
    longest_wait: float
    saturated_seconds: float
    would_wait: int
    would_reject: int
    surplus_releases: int
