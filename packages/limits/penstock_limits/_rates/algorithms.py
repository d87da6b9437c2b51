"""When a rate may admit how much: a strict sliding window, and GCRA. Neither waits, neither reads a clock.

Amounts are exact numbers, so that what was added and is subtracted again leaves nothing behind.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Final, Protocol, Self

from penstock_limits._errors import ConfigurationError

__all__ = ["MOST", "PLAIN", "Bucket", "Meter", "Number", "Rate", "Window", "exact", "meter_for"]

MOST: Final = 10**15  # of anything; beyond it, a float no longer tells two amounts apart
_MARKS: Final = 256  # in a bucket, about
PLAIN: Final = 10**9  # up to here, Python compares whole numbers fast

Number = int | Fraction


@dataclass(frozen=True, slots=True)
class Rate:
    """How much of something is admitted in how much time.

    Attributes:
        amount: How much is admitted per period, above 0.
        per: The period, in seconds; 60 by default.
        burst: None for a strict sliding window: in no window of `per` seconds is more than `amount` admitted. A number
            for GCRA: so much at once after a pause, and `amount / per` a second in the long run.

    Raises:
        ConfigurationError: A value is no number above 0.
    """

    amount: float
    per: float = 60.0
    burst: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "burst":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MOST:
                raise ConfigurationError(
                    f"{self!r}: {field.name} = {value!r}; allowed is a number above 0, up to {MOST:g}"
                )


class Meter(Protocol):
    """Says when an amount may be admitted, and takes it.

    Attributes:
        taken: How much was ever taken, less what was given back.
    """

    taken: Number

    def take(self, amount: Number, now: float, forced: bool = False) -> bool:
        """Take an amount if it may be admitted, or is 0, or must be; tell whether it was taken."""
        ...

    def give_back(self, amount: Number, when: float) -> None:
        """Make it as if so much less had been taken at that time."""
        ...

    def ready_at(self, amount: Number, now: float) -> float:
        """Return when an amount above 0 may be admitted: not above `now` if at once, `inf` if never."""
        ...

    def resize(self, rate: Rate, now: float) -> None:
        """Go on with another rate of the same kind."""
        ...

    def used(self, now: float) -> float:
        """Return how much of what was taken still counts."""
        ...

    def mended(self) -> Self:
        """Return it whole, for a forked child: a thread of the parent may have been in the midst of it.

        If that is the thread that forked, it goes on in the child: with this one, and not with what is returned.
        """
        ...


def meter_for(rate: Rate, taken: Number = 0) -> Meter:
    """Return the algorithm that a rate asks for; of what was ever taken, nothing counts any more."""
    return Window(rate, taken) if rate.burst is None else Bucket(rate, taken)


def exact(value: float) -> Number:
    """Return a finite number as a whole one, or as a fraction."""
    return int(value) if value == int(value) else Fraction(value)


class Window:
    """A sliding window: what was taken at a time counts until `per` seconds later, and not at that moment itself.

    Exact, also where sums of times are rounded; it remembers each amount for as long as it counts.
    """

    __slots__ = ("_amount", "_amounts", "_ceiling", "_per", "_times", "taken")

    def __init__(self, rate: Rate, taken: Number) -> None:
        self._times: deque[float] = deque()  # when was taken what still counts, the oldest first
        self._amounts: deque[Number] = deque()  # and how much; apart, as numbers do not burden the garbage collector
        self._amount = exact(rate.amount)
        self._per = float(rate.per)
        self._ceiling = taken + self._amount  # how much may be taken, ever, until more of it does not count any more
        self.taken = taken

    def take(self, amount: Number, now: float, forced: bool = False) -> bool:
        times = self._times
        if times and times[0] + self._per <= now:
            self._expire(now)
        taken = self.taken + amount
        if taken > self._ceiling and amount and not forced:
            return False
        self.taken = taken
        times.append(now)
        self._amounts.append(amount)
        return True

    def give_back(self, amount: Number, when: float) -> None:
        times = self._times
        self.taken -= amount
        if times and times[-1] == when:  # of several at one time any will do
            self._amounts[-1] -= amount
            return
        index = bisect_left(times, when)
        if index < len(times) and times[index] == when:
            self._amounts[index] -= amount
        else:  # it does not count any more
            self._ceiling -= amount

    def ready_at(self, amount: Number, now: float) -> float:
        self._expire(now)
        over = self.taken + amount - self._ceiling
        if over <= 0:
            return now
        for start, taken in zip(self._times, self._amounts, strict=True):
            over -= taken
            if over <= 0:
                return _sum_up(start, self._per)
        return math.inf

    def resize(self, rate: Rate, now: float) -> None:
        self._expire(now)
        amount = exact(rate.amount)
        self._ceiling += amount - self._amount
        self._amount = amount
        self._per = float(rate.per)

    def used(self, now: float) -> float:
        self._expire(now)
        return float(self.taken - self._ceiling + self._amount)

    def mended(self) -> Self:
        whole = copy.copy(self)
        times, amounts = whole._times, whole._amounts = deque(self._times), deque(self._amounts)
        while len(times) > len(amounts):  # something was being taken
            times.pop()
        while len(amounts) > len(times):  # something expired
            amounts.popleft()
        whole._ceiling = whole.taken + whole._amount - sum(amounts)
        return whole

    def _expire(self, now: float) -> None:
        horizon = -_sum_up(-now, self._per)  # the latest moment that is `per` seconds ago, however sums are rounded
        while self._times and self._times[0] <= horizon:
            self._times.popleft()
            self._ceiling += self._amounts.popleft()


class Bucket:
    """GCRA, the generic cell rate algorithm (ITU-T I.371): a bucket that refills at the rate and holds the burst.

    The state is one time, at which the bucket will be full again (the theoretical arrival time), here as the largest of
    some: for each mark - a time of admissions - when a bucket would be full that had been full just before. Only marks
    that are later than all after them are kept, so the first one tells. The others say how full the bucket would be had
    it overflowed in between, and so how much of what is given back late would have been lost anyhow. Admissions that
    are together less than a 256th of the burst share a mark, which bounds their number.

    More than the burst is admitted when the bucket is full, and leaves a debt.
    """

    __slots__ = ("_burst", "_grain", "_interval", "_marks", "taken")

    def __init__(self, rate: Rate, taken: Number) -> None:
        self._marks: list[tuple[float, float, Number]] = []  # when, when it was full, how much was taken before
        self.taken = taken
        self._measure(rate)

    def take(self, amount: Number, now: float, forced: bool = False) -> bool:
        marks, taken = self._marks, self.taken
        if marks:
            _, start, before = marks[0]
            full_at = start + (taken - before) * self._interval
            if full_at <= now:
                marks.clear()
            elif amount and not forced and full_at - max(0, self._burst - amount) * self._interval > now:
                return False
            else:
                while self._full_at(marks[-1]) <= now:  # which the first is not
                    marks.pop()
        if not marks:
            marks.append((now, now, taken))
        elif marks[-1][0] != now:
            self._mark(now)
        self.taken = taken + amount
        return True

    def give_back(self, amount: Number, when: float) -> None:
        marks = self._marks
        self.taken -= amount
        if not marks or marks[-1][0] <= when:
            return
        later = len(marks)
        while later and marks[later - 1][0] > when:
            later -= 1
            at, full, before = marks[later]
            marks[later] = at, full, before - amount
        full_at, first = self._full_at(marks[later]), later
        while first and self._full_at(marks[first - 1]) <= full_at:
            first -= 1
        del marks[first:later]

    def ready_at(self, amount: Number, now: float) -> float:
        if not self._marks:
            return now
        return self._full_at(self._marks[0]) - max(0, self._burst - amount) * self._interval

    def resize(self, rate: Rate, now: float) -> None:
        used = [max(0.0, self._used(mark, now)) for mark in self._marks]
        self._measure(rate)
        self._marks = [(mark[0], now, self.taken - exact(much)) for mark, much in zip(self._marks, used, strict=True)]

    def used(self, now: float) -> float:
        return max(0.0, self._used(self._marks[0], now)) if self._marks else 0.0

    def mended(self) -> Self:
        """It is whole at any time: at worst it is for a moment less full than it should be, or more."""
        return self

    def _mark(self, now: float) -> None:
        """Remember an admission, or take it for one with the last, of which then nothing earlier can be given back."""
        _, full, before = last = self._marks[-1]
        if self._full_at(last) - now < self._grain:
            self._marks[-1] = now, full, before
        else:
            self._marks.append((now, now, self.taken))

    def _measure(self, rate: Rate) -> None:
        assert rate.burst is not None
        self._burst = exact(rate.burst)
        self._interval = rate.per / rate.amount
        self._grain = float(self._burst) * self._interval / _MARKS

    def _full_at(self, mark: tuple[float, float, Number]) -> float:
        return mark[1] + (self.taken - mark[2]) * self._interval

    def _used(self, mark: tuple[float, float, Number], now: float) -> float:
        return (self._full_at(mark) - now) / self._interval


def _sum_up(first: float, second: float) -> float:
    """Return the smallest float that is not below a sum; the rounding error is D. E. Knuth's TwoSum."""
    total = first + second
    rounded = total - first
    error = (first - (total - rounded)) + (second - rounded)
    return math.nextafter(total, math.inf) if error > 0 else total
