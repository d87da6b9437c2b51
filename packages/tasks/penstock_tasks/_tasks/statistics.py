"""What a task manager tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_limits import Mode

__all__ = ["TaskManagerStatistics"]


@dataclass(frozen=True, slots=True)
class TaskManagerStatistics:
    """A snapshot of a manager's counters; all but `mode` and `timed_out` are 0 if the mode is `off`.

    Attributes:
        mode: The mode.
        running: Tasks that run now.
        started: Tasks ever made.
        succeeded: Tasks that have ended with a result.
        failed: Tasks that have ended with an error.
        cancelled: Tasks that have ended by a cancellation.
        left_behind: Tasks that did not stop when they were cancelled.
        timed_out: Calls of `timeout_wrapper` whose time was over.
        services: Services that run, or wait for their next start.
        periodic: Periodic jobs.
        restarts: How often services were started again.
    """

    mode: Mode
    running: int
    started: int
    succeeded: int
    failed: int
    cancelled: int
    left_behind: int
    timed_out: int
    services: int
    periodic: int
    restarts: int
