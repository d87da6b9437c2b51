"""One of the things that a rate counts, and what a rate tells of itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from penstock_limits._modes import Mode
from penstock_limits._rates.algorithms import Meter, Number, Rate, exact, meter_for

__all__ = ["Dimension", "DimensionStatistics", "RateStatistics"]


@dataclass(frozen=True, slots=True)
class DimensionStatistics:
    """A snapshot of one dimension of a rate.

    Attributes:
        amount: How much is admitted per period.
        per: The period, in seconds.
        burst: How much at once after a pause; None if the window is strict.
        available: How much could be admitted now; below 0 if more was used than reserved.
        used: How much was ever used, as far as it is known.
        remaining: How much the provider still allows, less what is on its way; None if it has not said, or not lately.
        advertised: The limit that the provider says it has; None if it has not said.
    """

    amount: float
    per: float
    burst: float | None
    available: float
    used: float
    remaining: float | None
    advertised: float | None


@dataclass(frozen=True, slots=True)
class RateStatistics:
    """A snapshot of a rate; times in seconds.

    Attributes:
        mode: Its mode now.
        queued: Callers that wait.
        max_queued: Callers that may wait; None for any number.
        acquired: Reservations ever admitted.
        waited: Reservations that were waited for.
        rejected: Callers refused because the queue was full, or the request too large.
        timed_out: Callers that waited as long as they would.
        wait_seconds: How long callers waited, all together; those who wait now, until now.
        longest_wait: How long the most patient of those who wait no more waited.
        saturated_seconds: How long anybody waited.
        would_wait: Reservations that would have been waited for, counted in mode observe.
        would_reject: Requests that would have been refused, counted in mode observe: those too large for their rate,
            and, with `max_queued=0`, all that would have waited.
        blocked: Seconds for which the provider has asked for a pause, from now.
        dimensions: By name, a snapshot of each dimension.
    """

    mode: Mode
    queued: int
    max_queued: int | None
    acquired: int
    waited: int
    rejected: int
    timed_out: int
    wait_seconds: float
    longest_wait: float
    saturated_seconds: float
    would_wait: int
    would_reject: int
    blocked: float
    dimensions: Mapping[str, DimensionStatistics]


class Dimension:
    """What is counted of one thing.

    Args:
        name: What is counted.
        rate: How much of it is admitted.

    Attributes:
        name: What is counted.
        rate: How much of it is admitted now.
        meter: Says when.
        besides: How much was used that the meter does not know.
        left: How much the provider still allows; only to be asked before `until`.
        until: When that is set again.
        advertised: The limit that the provider says it has.
    """

    __slots__ = ("advertised", "besides", "left", "meter", "name", "rate", "until")

    def __init__(self, name: str, rate: Rate) -> None:
        self.name = name
        self.rate = rate
        self.meter: Meter = meter_for(rate)
        self.besides: Number = 0
        self.left: Number = 0
        self.until = -math.inf
        self.advertised: float | None = None

    def learn(self, remaining: Number, flying: Number, seconds: float, now: float) -> bool:
        """Take note of what a provider still allows; tell whether that is nothing, and is news."""
        news = remaining == 0 and not (self.until > now and self.left <= 0)
        self.left = remaining - flying
        self.until = now + seconds
        return news

    def ready_at(self, amount: Number, now: float) -> float:
        """Return when an amount above 0 may be admitted: not above `now` if at once, `inf` if never."""
        at = self.meter.ready_at(amount, now)
        return max(at, self.until) if self.until > now and amount > self.left else at

    def resize(self, rate: Rate, now: float) -> None:
        """Go on with another rate; what still counts goes on to count."""
        if (rate.burst is None) is (self.rate.burst is None):
            self.meter.resize(rate, now)
        else:
            used = exact(self.meter.used(now))
            self.meter = meter_for(rate, self.meter.taken - used)
            self.meter.take(used, now, forced=True)
        self.rate = rate

    def forked(self) -> None:
        """Begin anew in a forked child: what was used still counts, but is not told of as used."""
        self.meter = self.meter.mended()
        self.besides = -self.meter.taken

    def statistics(self, now: float) -> DimensionStatistics:
        """Return a snapshot."""
        rate = self.rate
        most = rate.amount if rate.burst is None else rate.burst
        return DimensionStatistics(
            amount=rate.amount,
            per=rate.per,
            burst=rate.burst,
            available=most - self.meter.used(now),
            used=float(self.besides + self.meter.taken),
            remaining=float(self.left) if self.until > now else None,
            advertised=self.advertised,
        )
