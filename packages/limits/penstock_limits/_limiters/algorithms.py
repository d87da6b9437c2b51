"""Which limit is right: algorithms that compute a number from how calls have ended; they wait for nothing.

Both work in windows: each looks at so many calls, and then moves the limit once. Calls that began before it was moved
say nothing about the new limit, and are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

from penstock_limits._checks import number

__all__ = ["Aimd", "LatencyGradient", "LimitAlgorithm", "Sample"]

_USED: Final = 0.9  # the share of a limit that must have been in use for a window to say that more would be

# How LatencyGradient goes about it. All were chosen in `benchmarks/simulation`, over capacities, seeds and noise.
_FEWEST, _MOST = 20, 1000  # calls in a window
_FINE, _COARSE = 0.025, 0.05  # the standard error of a window's mean latency, as a share: near the capacity, and far
_MEMORY: Final = 0.95  # how much earlier windows count when there is one more
_FORGOTTEN: Final = 0.05  # the share of a window that is too little to count
_SIGN: Final = 1.0  # how much worse no queue must fit than a queue, in variances of a call, before there is one
_SURPRISE: Final = 0.15, 4.0  # what is not by chance: at least so much, as a logarithm; and so many standard errors
_YOUNG: Final = 12  # windows, in which the base latency is not yet sure
_DRAINS: Final = 6, 0.94  # after how many windows, and to which share of the capacity, so that there is no queue
_YOUNG_DRAINS: Final = 2, 0.85
_PATIENCE: Final = 2  # windows without a sign of a queue, before steps are doubled
_EAGER, _LIVELY = 5, 3  # as if there had been so many: at the start, and when calls are faster than they were
_LARGEST_STEP: Final = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """How one call has ended.

    Attributes:
        seconds: How long it took; per output token, where the caller says how many there were.
        in_flight: How many calls were running when it ended, itself included.
        dropped: Whether the service was too busy for it: 429, 503, a timeout.
    """

    seconds: float
    in_flight: int
    dropped: bool = False


class LimitAlgorithm(Protocol):
    """Computes a limit; used under a lock."""

    @property
    def limit(self) -> float:
        """The limit now."""
        ...

    def update(self, sample: Sample) -> str | None:
        """Learn how a call has ended; return why the limit has changed, or None if it has not."""
        ...


class Aimd:
    """Additive increase, multiplicative decrease: for services that say when it is too much.

    The limit grows by `increase` for each window in which it was used, and shrinks to `decrease` of itself when a call
    was dropped, once for all calls that were on their way. Source: Chiu and Jain, "Analysis of the increase and
    decrease algorithms for congestion avoidance in computer networks", 1989.

    Args:
        initial: The limit at first.
        minimum: The lowest limit.
        maximum: The highest limit.
        increase: How much it grows by.
        decrease: The share that is left of it, from 0 to 1.

    Raises:
        ConfigurationError: A value is no number, or out of its range.
    """

    def __init__(
        self,
        initial: float = 20,
        *,
        minimum: float = 1,
        maximum: float = 200,
        increase: float = 1.0,
        decrease: float = 0.9,
    ) -> None:
        self._bounds = _Bounds("Aimd", initial, minimum, maximum)
        self._limit = self._bounds.initial
        self._increase = number("Aimd", "increase", increase)
        self._decrease = number("Aimd", "decrease", decrease, most=1)
        self._window = _Window(self._calls())

    def __repr__(self) -> str:
        return f"<Aimd {self._limit:.1f}>"

    @property
    def limit(self) -> float:
        """The limit now."""
        return self._limit

    def update(self, sample: Sample) -> str | None:
        """Learn how a call has ended; return why the limit has changed, or None if it has not."""
        window = self._window
        if window.leaves_out(sample):
            return None
        if sample.dropped:
            return self._move(self._limit * self._decrease, "dropped", sample.in_flight)
        if not window.add(sample):
            return None
        used = window.peak >= self._limit * _USED
        return self._move(self._limit + (self._increase if used else 0), "room", 0)

    def _move(self, limit: float, why: str, on_their_way: int) -> str | None:
        before, self._limit = self._limit, self._bounds.keep(limit)
        self._window = _Window(self._calls(), on_their_way)
        return why if self._limit != before else None

    def _calls(self) -> int:
        return max(20, math.ceil(self._limit))


class LatencyGradient:
    """Finds a hidden capacity by latency alone: where calls begin to take longer the more of them there are.

    As long as fewer calls are in flight than the service can work on at once, each takes the base latency; beyond, by
    Little's law, each takes longer in proportion, as the rest waits. The algorithm remembers how long calls took with
    how many in flight, and takes for the capacity the place of that kink which explains it best (two-phase regression:
    Hinkley, "Inference about the intersection in two-phase regression", 1969). The limit is a little beyond, so that
    there is always a short queue, and more capacity is noticed.

    A queue that is always there would be taken for the base latency in the end, and the limit would run away, as a
    plain Gradient2 does (Netflix concurrency-limits, pull request 134). So every few windows the limit is a little
    below the capacity for a while, and the queue gone, as in the ProbeRTT of TCP BBR (Cardwell et al., "BBR:
    Congestion-Based Congestion Control", 2016). Nor does the limit grow by more than half of what has been in flight.

    While nothing says that there is a queue, the limit grows in ever larger steps. When calls are much slower than they
    should be, what was learned is forgotten but for the base latency, and the limit goes to where there is no queue if
    it is the capacity that has fallen. If they are slow there as well, it is the base latency that has changed.

    Args:
        initial: The limit at first.
        minimum: The lowest limit.
        maximum: The highest limit.
        headroom: By how much the limit is above the capacity that was found, as a share; one call at least.
        decrease: The share of the limit that is left when a call was dropped, from 0 to 1.

    Attributes:
        base: The latency without a queue, in seconds; None before there is one.
        latency: The mean latency of the last window, in seconds; None before there is one.

    Raises:
        ConfigurationError: A value is no number, or out of its range.
    """

    def __init__(
        self,
        initial: float = 20,
        *,
        minimum: float = 1,
        maximum: float = 200,
        headroom: float = 0.04,
        decrease: float = 0.9,
    ) -> None:
        self._bounds = _Bounds("LatencyGradient", initial, minimum, maximum)
        self._headroom = number("LatencyGradient", "headroom", headroom, most=1)
        self._decrease = number("LatencyGradient", "decrease", decrease, most=1)
        self.base: float | None = None
        self.latency: float | None = None
        self._seen = _Seen()
        self._scatter = 0.1  # variance of latencies, in terms of their mean's square
        self._limit = self._capacity = self._bounds.whole(self._bounds.initial)
        self._calm = _EAGER  # windows in a row without a sign of a queue
        self._age = self._since_drain = 0  # windows
        self._drains = False
        self._window = _Window(self._calls(_COARSE))

    def __repr__(self) -> str:
        return f"<LatencyGradient {self._limit:g}>"

    @property
    def limit(self) -> float:
        """The limit now, a whole number unless a bound is none."""
        return self._limit

    @property
    def gradient(self) -> float:
        """The base latency in terms of the latency now, at most 1; 1 means that there is no queue."""
        return min(1.0, self.base / self.latency) if self.base and self.latency else 1.0

    def update(self, sample: Sample) -> str | None:
        """Learn how a call has ended; return why the limit has changed, or None if it has not."""
        window = self._window
        if window.leaves_out(sample):
            return None
        if sample.dropped:
            return self._drop(sample.in_flight)
        if not window.add(sample):
            return None
        self.latency = window.latency
        self._scatter += 0.3 * (window.scatter - self._scatter)
        return self._learn(window, sample.in_flight)

    def _drop(self, in_flight: int) -> str | None:
        self._capacity = self._bounds.whole(math.floor(self._limit * self._decrease))
        self._seen.forget(above=self._capacity)
        self._calm, self._drains = 0, False
        return self._move(self._capacity, "dropped", in_flight, _FINE)

    def _learn(self, window: _Window, in_flight: int) -> str | None:
        """Compare a window with what was expected, remember it, and move the limit."""
        used = self._drains or window.in_flight >= self._limit * _USED
        slower = self._surprise(window)
        if slower > 0 and not (self._drains or (used and self._age < 2)):
            return self._suspect(window, in_flight)
        if slower:
            self._seen.forget(but_last=slower > 0 and self._age < 2)
            self._age, self._calm = 0, 0 if slower > 0 else _LIVELY
            self.base = window.latency
        if not used:  # too little was asked for to say anything
            self._window = _Window(self._calls(_FINE))
            return None
        self._seen.add(window)
        self._age += 1
        return self._steer(in_flight)

    def _surprise(self, window: _Window) -> float:
        """Return how much slower calls are than expected, as a logarithm; 0 if it may be chance, or was never seen."""
        if self.base is None or not self._seen.spans(window.in_flight):
            return 0.0
        expected = self.base * max(1.0, window.in_flight / self._capacity)
        slower = math.log(window.latency / expected)
        least, errors = _SURPRISE
        return slower if abs(slower) > max(least, errors * math.sqrt(self._scatter / window.calls)) else 0.0

    def _suspect(self, window: _Window, in_flight: int) -> str | None:
        """Go to where there is no queue if it is the capacity that has fallen."""
        assert self.base is not None
        self._seen.forget()
        self._seen.remember(1, self.base, window.calls)
        self._seen.add(window)
        self._age = self._calm = 0
        self._capacity = max(1.0, window.in_flight * self.base / window.latency)
        return self._drain(self._capacity * _DRAINS[1], in_flight, _COARSE)

    def _steer(self, in_flight: int) -> str | None:
        """Move to the capacity that explains best what was seen, and a little beyond."""
        seen, best = self._seen, self._seen.kink()
        misfit = seen.misfit(best)
        queue = seen.misfit(seen.most) - misfit >= _SIGN * self._scatter
        self._calm = 0 if queue else self._calm + 1
        if not queue:
            self._capacity = max(self._capacity, seen.most)
        elif not seen.spans(self._capacity) or seen.misfit(self._capacity) - misfit > self._scatter:
            self._capacity = best
        self.base = seen.base(self._capacity)
        self._since_drain += 1
        young = self._age < _YOUNG
        if queue and young and best == seen.least and self._limit > self._bounds.least:
            return self._drain(best / 2, in_flight, _COARSE)  # there was a queue wherever it has been
        every, share = _YOUNG_DRAINS if young else _DRAINS
        if self._since_drain >= every and self._calm < _PATIENCE and not self._drains:
            return self._drain(min(self._limit - 1, self._capacity * share), in_flight, _FINE)
        return self._resume(in_flight)

    def _drain(self, limit: float, in_flight: int, error: float) -> str | None:
        self._drains, self._since_drain = True, 0
        return self._move(limit, "measures", in_flight, error)

    def _resume(self, in_flight: int) -> str | None:
        doublings = max(0, self._calm - _PATIENCE)
        step = max(1.0, self._capacity * min(_LARGEST_STEP, self._headroom * 2.0 ** min(doublings, 10)))
        limit = self._capacity + step
        why = "measured" if self._drains else "latency" if limit < self._limit else "room"
        self._drains = False
        return self._move(limit, why, in_flight, _FINE if doublings < 2 else _COARSE)

    def _move(self, limit: float, why: str, in_flight: int, error: float) -> str | None:
        before, self._limit = self._limit, self._bounds.whole(limit)
        if self._limit == before:
            self._window = _Window(self._calls(error))
            return None
        self._window = _Window(self._calls(error), in_flight - 1, lowered=self._limit < before)
        return why

    def _calls(self, error: float) -> int:
        """Return how many calls a window has, so that its mean latency is as exact as it should be."""
        return max(_FEWEST, math.ceil(self._limit), min(_MOST, math.ceil(self._scatter / error**2)))


class _Seen:
    """How long calls took, by how many were in flight; what was seen earlier counts for less."""

    __slots__ = ("_last", "_seen")

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, float]] = {}  # in flight: how many calls, the mean logarithm of latencies
        self._last = 0

    @property
    def least(self) -> int:
        """The fewest calls in flight."""
        return min(self._seen)

    @property
    def most(self) -> int:
        """The most calls in flight."""
        return max(self._seen)

    def spans(self, in_flight: float) -> bool:
        """Tell whether so many in flight, or nearly, were seen, or both fewer and more."""
        return bool(self._seen) and self.least * 0.9 <= in_flight <= self.most * 1.1

    def add(self, window: _Window) -> None:
        """Remember a window, and count all others for less."""
        self._seen = {
            in_flight: (calls * _MEMORY, latency)
            for in_flight, (calls, latency) in self._seen.items()
            if calls * _MEMORY > window.calls * _FORGOTTEN
        }
        self._last = max(1, round(window.in_flight))
        self.remember(self._last, window.latency, window.calls)

    def remember(self, in_flight: int, latency: float, calls: int) -> None:
        """Remember so many calls as if they were of a window."""
        before, mean = self._seen.get(in_flight, (0.0, 0.0))
        total = before + calls
        self._seen[in_flight] = total, mean + (math.log(latency) - mean) * calls / total

    def forget(self, *, above: float = 0.0, but_last: bool = False) -> None:
        """Forget what was seen with more in flight than so many, perhaps except the last window."""
        self._seen = {
            in_flight: seen
            for in_flight, seen in self._seen.items()
            if in_flight <= above or (but_last and in_flight == self._last)
        }

    def kink(self) -> int:
        """Return the capacity that explains best what was seen; of those that do as well, the largest."""
        least, most = self.least, self.most
        best, misfit = most, self.misfit(most)
        for capacity in (*range(most, least, -max(1, most // 100)), least):
            if (other := self.misfit(capacity)) < misfit - 1e-9:
                best, misfit = capacity, other
        return best

    def base(self, capacity: float) -> float:
        """Return the latency without a queue, if that is the capacity."""
        total = sum(calls for calls, _ in self._seen.values())
        return math.exp(sum(calls * latency for calls, latency in self._without_queue(capacity)) / total)

    def misfit(self, capacity: float) -> float:
        """Return by how much what was seen is not explained by that capacity: squares, for each call."""
        latencies = self._without_queue(capacity)
        mean = sum(calls * latency for calls, latency in latencies) / sum(calls for calls, _ in latencies)
        return sum(calls * (latency - mean) ** 2 for calls, latency in latencies)

    def _without_queue(self, capacity: float) -> list[tuple[float, float]]:
        return [
            (calls, latency - math.log(max(1.0, in_flight / capacity)))
            for in_flight, (calls, latency) in self._seen.items()
        ]


class _Window:
    """So many calls, one after the other, but for those that began too early."""

    __slots__ = ("_in_flight", "_left_out", "_lowered", "_needed", "_seconds", "_squares", "calls", "peak")

    def __init__(self, needed: int, left_out: int = 0, *, lowered: bool = True) -> None:
        self._needed = needed
        self._left_out = left_out
        self._lowered = lowered  # what is dropped of what began before the limit was lowered is no news
        self.calls = self._in_flight = self.peak = 0
        self._seconds = self._squares = 0.0

    def leaves_out(self, sample: Sample) -> bool:
        """Tell whether the next call began too early to count."""
        self._left_out -= 1
        return self._left_out >= 0 and (self._lowered or not sample.dropped)

    def add(self, sample: Sample) -> bool:
        """Count a call; tell whether the window is complete."""
        self.calls += 1
        self._seconds += sample.seconds
        self._squares += sample.seconds**2
        self._in_flight += sample.in_flight
        self.peak = max(self.peak, sample.in_flight)
        return self.calls >= self._needed

    @property
    def latency(self) -> float:
        """The mean latency."""
        return max(self._seconds / self.calls, 1e-9)

    @property
    def scatter(self) -> float:
        """The variance of latencies, in terms of their mean's square."""
        return max(0.0, self._squares / self.calls / self.latency**2 - 1)

    @property
    def in_flight(self) -> float:
        """How many calls were in flight, on average."""
        return self._in_flight / self.calls


class _Bounds:
    """Between which a limit stays."""

    __slots__ = ("_maximum", "_minimum", "initial")

    def __init__(self, where: str, initial: float, minimum: float, maximum: float) -> None:
        self._minimum = number(where, "minimum", minimum, most=maximum)
        self._maximum = number(where, "maximum", maximum)
        self.initial = self.keep(number(where, "initial", initial, most=maximum))

    @property
    def least(self) -> float:
        """The lowest whole limit."""
        return self.whole(0)

    def keep(self, limit: float) -> float:
        """Return a limit, or the bound that is next to it."""
        return min(max(limit, self._minimum), self._maximum)

    def whole(self, limit: float) -> float:
        """Return a limit that is a whole number from 1, or the bound that is next to it."""
        return self.keep(max(1, round(limit)))
