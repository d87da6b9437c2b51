"""What a retry and a hedge tell of themselves, and what they count for it."""

from __future__ import annotations

from dataclasses import dataclass

from penstock_limits._modes import Mode

__all__ = ["HedgeCounters", "HedgeStatistics", "RetryCounters", "RetryStatistics"]


@dataclass(frozen=True, slots=True)
class RetryStatistics:
    """A snapshot of a retry.

    Attributes:
        mode: Its mode now.
        calls: Calls ever made.
        attempts: Attempts that were made or waited for, the first of each call included.
        retried: Calls that were tried again.
        gave_up: Calls that failed with what another attempt might have mended, or were ended by `total_timeout`.
        budget_refused: Those of them for which the budget had no retry left.
        timed_out: Those of them that were ended by `total_timeout` in the midst of an attempt.
        retry_after_honoured: Delays for which the service had asked.
        delayed_seconds: All delays together.
        would_retry: Calls that would have been tried again, in mode `observe`.
        would_delay_seconds: The delays before those attempts together.
        would_time_out: Calls that `total_timeout` would have ended, in mode `observe`.
    """

    mode: Mode
    calls: int
    attempts: int
    retried: int
    gave_up: int
    budget_refused: int
    timed_out: int
    retry_after_honoured: int
    delayed_seconds: float
    would_retry: int
    would_delay_seconds: float
    would_time_out: int


@dataclass(slots=True)
class RetryCounters:
    """What a retry counts; see `RetryStatistics`."""

    retries: int = 0
    retried: int = 0
    gave_up: int = 0
    budget_refused: int = 0
    timed_out: int = 0
    retry_after_honoured: int = 0
    delayed_seconds: float = 0.0
    would_retry: int = 0
    would_delay_seconds: float = 0.0
    would_time_out: int = 0


@dataclass(frozen=True, slots=True)
class HedgeStatistics:
    """A snapshot of a hedge.

    Attributes:
        mode: Its mode now.
        calls: Calls ever made.
        attempts: Attempts ever started, the first of each call included.
        hedged: Calls for which more than one attempt was started.
        won: Those of them whose result came from a later attempt than the first.
        budget_refused: Calls that would have had another attempt, had the budget had one left.
        stuck: Attempts that went on after they were cancelled, for longer than `grace`.
        would_hedge: Calls that took longer than `after`, in mode `observe`.
    """

    mode: Mode
    calls: int
    attempts: int
    hedged: int
    won: int
    budget_refused: int
    stuck: int
    would_hedge: int


@dataclass(slots=True)
class HedgeCounters:
    """What a hedge counts; see `HedgeStatistics`."""

    calls: int = 0
    more: int = 0
    hedged: int = 0
    won: int = 0
    budget_refused: int = 0
    stuck: int = 0
    would_hedge: int = 0
