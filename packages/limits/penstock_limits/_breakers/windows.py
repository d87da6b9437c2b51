"""Windows over the latest outcomes of calls: how many there were, how many failed, how many were slow.

Each outcome draws a ticket, and more is kept only of failures and slow calls. So a call that went well is recorded by
drawing alone, which is one operation in C: exact with threads, though no lock is taken. For everything else the
breaker's lock must be held. Forgetting takes constant time for each outcome.
"""

from __future__ import annotations

import math
import operator
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["BUCKETS", "CountWindow", "TimeWindow", "Window"]

BUCKETS: Final = 10  # a time window forgets in so many steps


class _Tickets:
    """Numbers outcomes.

    Attributes:
        tickets: Gives each outcome its number, from 0; it tells how far it has come, which itertools.count does not.
    """

    __slots__ = ("tickets",)

    def __init__(self) -> None:
        self.tickets: Iterator[int] = iter(range(sys.maxsize))

    @property
    def recorded(self) -> int:
        """How many outcomes have ever been recorded."""
        return sys.maxsize - operator.length_hint(self.tickets)


class CountWindow(_Tickets):
    """The latest outcomes, so many of them.

    Args:
        size: How many outcomes, from 1.
    """

    __slots__ = ("_failed", "_size", "_slow")

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._failed: deque[int] = deque()
        self._slow: deque[int] = deque()

    @property
    def steady_until(self) -> float:
        """Until when nothing is forgotten but for new outcomes: it never is."""
        return math.inf

    def add(self, *, failed: bool, slow: bool) -> None:
        """Record an outcome."""
        ticket = next(self.tickets)
        if failed:
            self._failed.append(ticket)
        if slow:
            self._slow.append(ticket)

    def counts(self) -> tuple[int, int, int]:
        """Return how many outcomes are in the window, how many of them failed, and how many were slow."""
        recorded = self.recorded
        for tickets in (self._failed, self._slow):
            while tickets and tickets[0] < recorded - self._size:
                tickets.popleft()
        return min(recorded, self._size), len(self._failed), len(self._slow)


class _Bucket:
    """The outcomes of a tenth of a time window; `first` is the first ticket that is theirs."""

    __slots__ = ("failed", "first", "number", "slow")

    def __init__(self, number: int, first: int) -> None:
        self.number = number
        self.first = first
        self.failed = self.slow = 0


class TimeWindow(_Tickets):
    """The outcomes of the latest seconds, forgotten in tenths: an outcome stays for nine to ten tenths of them.

    Args:
        seconds: How many seconds, above 0.
        clock: Says the time, in seconds.
    """

    __slots__ = ("_buckets", "_clock", "_failed", "_slow", "_width")

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        super().__init__()
        self._width = seconds / BUCKETS
        self._clock = clock
        self._buckets: deque[_Bucket] = deque()
        self._failed = self._slow = 0

    @property
    def steady_until(self) -> float:
        """Until when nothing is forgotten: the end of the tenth in which the latest outcome was added."""
        return (self._buckets[-1].number + 1) * self._width if self._buckets else -math.inf

    def add(self, *, failed: bool, slow: bool) -> None:
        """Record an outcome."""
        number = self._forget()
        if not self._buckets or self._buckets[-1].number < number:
            self._buckets.append(_Bucket(number, self.recorded))
        next(self.tickets)
        self._buckets[-1].failed += failed
        self._buckets[-1].slow += slow
        self._failed += failed
        self._slow += slow

    def counts(self) -> tuple[int, int, int]:
        """Return how many outcomes are in the window, how many of them failed, and how many were slow."""
        self._forget()
        calls = self.recorded - self._buckets[0].first if self._buckets else 0
        return calls, self._failed, self._slow

    def _forget(self) -> int:
        """Drop the buckets that are too old; return the number of the one that it is time for."""
        number = int(self._clock() // self._width)
        while self._buckets and self._buckets[0].number <= number - BUCKETS:
            old = self._buckets.popleft()
            self._failed -= old.failed
            self._slow -= old.slow
        return number


Window = CountWindow | TimeWindow
