"""Which limit is right: algorithms that compute a number from how calls have ended; they wait for nothing.

Both work in windows: each looks at so many calls, and then moves the limit once. Calls that began before the limit was
last lowered say nothing about the new one, and are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

from penstock_limits._checks import number

__all__ = ["Aimd", "LatencyGradient", "LimitAlgorithm", "Sample"]

_USED: Final = 0.8  # the share of a limit that must have been in use for a window to say that more would be

# How LatencyGradient goes about it. All were chosen in `benchmarks/simulation`, over capacities, seeds and noise.
_SMOOTHING: Final = 0.3  # how far to go at once
_STEERED_BY: Final = 50, 0.03  # calls in a window, at least; the standard error of its mean latency, at most
_MEASURED_BY: Final = 150, 0.03  # the same where the base latency is measured
_MOST_CALLS: Final = 500  # however much latencies scatter
_DRAIN_EVERY: Final = 6  # windows
_DRAINED: Final = 0.92  # the share of the limit with which the queue should be gone
_CORRECTION: Final = 0.25  # how much the base latency follows what a drained window shows
_MUCH_SLOWER: Final = 1.2  # too much for chance
_ROOM: Final = 0.2  # what the limit grows by, more than the headroom, while there is no queue
_NO_QUEUE: Final = 2  # windows in a row, before it does
_LEAST_HEADROOM: Final = 0.75  # calls: more than a half, or a small limit would be rounded down again


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
        if window.leaves_out():
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
    """Finds a hidden capacity by latency alone: how much slower calls are than they would be without a queue.

    What is in flight, times the gradient - base latency over latency now, at most 1 - is by Little's law what the
    service works on while the rest waits: its capacity. The limit moves towards that, with some headroom to notice when
    there is more. So it is tied to what is in flight, and cannot run away from it as a plain Gradient2 does (Netflix
    concurrency-limits, pull request 134), whose base latency follows the queue that it makes.

    The base latency is measured at first with few calls at once. Later it is corrected by throughput, which does not
    depend on it: every few windows the limit is a little lower for a while, as in the ProbeRTT of TCP BBR (Cardwell et
    al., "BBR: Congestion-Based Congestion Control", 2016). If as much gets done with less in flight, there was a queue,
    and the base latency is too high; if less gets done, it is too low. If calls are much slower than they should be, it
    looks once more with half of the limit, and believes that.

    Args:
        initial: The limit at first.
        minimum: The lowest limit.
        maximum: The highest limit.
        headroom: By how much the limit is above the capacity that was found, as a share.
        decrease: The share of the limit that is left when a call was dropped, from 0 to 1.

    Attributes:
        base: The base latency, in seconds; None before it was measured.
        latency: The latency now, smoothed, in seconds; None before there is one.
        gradient: The gradient now.

    Raises:
        ConfigurationError: A value is no number, or out of its range.
    """

    def __init__(
        self,
        initial: float = 20,
        *,
        minimum: float = 1,
        maximum: float = 200,
        headroom: float = 0.06,
        decrease: float = 0.9,
    ) -> None:
        self._bounds = _Bounds("LatencyGradient", initial, minimum, maximum)
        self._headroom = number("LatencyGradient", "headroom", headroom, most=1)
        self._decrease = number("LatencyGradient", "decrease", decrease, most=1)
        self.base: float | None = None
        self.latency: float | None = None
        self.gradient = 1.0
        self._throughput = self._in_flight = 0.0
        self._scatter = 0.1  # variance of latencies, in terms of their mean's square
        self._without_queue = self._windows = 0
        self._wanted = self._bounds.initial  # the limit, but for the moments in which something is measured
        self._measures = "start"
        self._limit = self._bounds.keep(min(4.0, self._wanted))
        self._window = _Window(self._calls(_MEASURED_BY))

    def __repr__(self) -> str:
        return f"<LatencyGradient {self._limit:.1f}>"

    @property
    def limit(self) -> float:
        """The limit now."""
        return self._limit

    def update(self, sample: Sample) -> str | None:
        """Learn how a call has ended; return why the limit has changed, or None if it has not."""
        window = self._window
        if window.leaves_out():
            return None
        if sample.dropped:
            self._measures = ""
            return self._want(self._wanted * self._decrease, "dropped", sample.in_flight)
        if not window.add(sample):
            return None
        if self._measures == "drain":
            return self._drained(window)
        return self._based(window) if self._measures else self._steered(window)

    def _steered(self, window: _Window) -> str | None:
        """Move towards the capacity that a window shows."""
        used = window.peak >= self._limit * _USED
        if not used and self.base is not None and window.latency < self.base * _MUCH_SLOWER:
            self._window = _Window(self._calls(_STEERED_BY))  # too little was asked for to say anything
            return None
        self._learn(window)
        if used and self._windows >= _DRAIN_EVERY:
            return self._measure("drain", self._wanted * _DRAINED)
        capacity = window.in_flight * self.gradient
        room = self._headroom + (_ROOM if self._without_queue >= _NO_QUEUE else 0)
        target = capacity + max(_LEAST_HEADROOM, room * capacity)
        wanted = self._wanted + _SMOOTHING * (target - self._wanted)
        return self._want(min(wanted, 2.0 * window.peak), "latency" if wanted < self._wanted else "room", 0)

    def _learn(self, window: _Window) -> None:
        if self.latency is None or self.base is None:  # nothing is known of what was before
            self.base = self.base or window.latency
            self.latency, self._throughput, self._in_flight = window.latency, window.throughput, window.in_flight
        self.latency += _SMOOTHING * (window.latency - self.latency)
        self._throughput += _SMOOTHING * (window.throughput - self._throughput)
        self._in_flight += _SMOOTHING * (window.in_flight - self._in_flight)
        self._scatter += _SMOOTHING * (window.scatter - self._scatter)
        if self.latency < self.base / _MUCH_SLOWER:
            self.base = self.latency
        self.gradient = min(1.0, self.base / self.latency)
        self._without_queue = self._without_queue + 1 if self.gradient == 1.0 else 0
        self._windows += 1

    def _drained(self, window: _Window) -> str | None:
        """Correct the base latency by what gets done with less in flight; look closer if that cannot be."""
        assert self.base is not None
        if window.latency > self.base * _MUCH_SLOWER:
            return self._measure("halve", self._wanted / 2)
        fewer = window.in_flight / self._in_flight
        half_way = (1 + fewer) / 2  # between as much gets done, and less in proportion
        self.base *= 1 + _CORRECTION * (half_way - window.throughput / self._throughput)
        return self._resume()

    def _based(self, window: _Window) -> str | None:
        """Take over the base latency as it was measured."""
        self.base, self.latency = window.latency, None
        return self._resume()

    def _resume(self) -> str | None:
        self._measures, self._windows = "", 0
        return self._want(self._wanted, "measured", 0)

    def _measure(self, what: str, limit: float) -> str | None:
        self._measures = what
        return self._move(limit, "measures", math.ceil(self._limit), _MEASURED_BY)

    def _want(self, limit: float, why: str, on_their_way: int) -> str | None:
        self._wanted = self._bounds.keep(limit)
        return self._move(self._wanted, why, on_their_way, _STEERED_BY)

    def _move(self, limit: float, why: str, on_their_way: int, by: tuple[int, float]) -> str | None:
        before, self._limit = self._limit, self._bounds.keep(limit)
        self._window = _Window(self._calls(by), on_their_way)
        return why if self._limit != before else None

    def _calls(self, by: tuple[int, float]) -> int:
        """Return how many calls a window has, so that its mean latency is as exact as it should be."""
        least, error = by
        return max(least, math.ceil(self._limit), min(_MOST_CALLS, math.ceil(self._scatter / error**2)))


class _Window:
    """So many calls, one after the other, but for those that began too early."""

    __slots__ = ("_calls", "_in_flight", "_left_out", "_needed", "_seconds", "_squares", "peak")

    def __init__(self, needed: int, left_out: int = 0) -> None:
        self._needed = needed
        self._left_out = left_out
        self._calls = self._in_flight = self.peak = 0
        self._seconds = self._squares = 0.0

    def leaves_out(self) -> bool:
        """Tell whether the next call began too early to count."""
        self._left_out -= 1
        return self._left_out >= 0

    def add(self, sample: Sample) -> bool:
        """Count a call; tell whether the window is complete."""
        self._calls += 1
        self._seconds += sample.seconds
        self._squares += sample.seconds**2
        self._in_flight += sample.in_flight
        self.peak = max(self.peak, sample.in_flight)
        return self._calls >= self._needed

    @property
    def latency(self) -> float:
        return max(self._seconds / self._calls, 1e-9)

    @property
    def scatter(self) -> float:
        return max(0.0, self._squares / self._calls / self.latency**2 - 1)

    @property
    def in_flight(self) -> float:
        return self._in_flight / self._calls

    @property
    def throughput(self) -> float:
        """Calls per second, by Little's law."""
        return self.in_flight / self.latency


class _Bounds:
    """Between which a limit stays."""

    def __init__(self, where: str, initial: float, minimum: float, maximum: float) -> None:
        self._minimum = number(where, "minimum", minimum, most=maximum)
        self._maximum = number(where, "maximum", maximum)
        self.initial = self.keep(number(where, "initial", initial, most=maximum))

    def keep(self, limit: float) -> float:
        return min(max(limit, self._minimum), self._maximum)
