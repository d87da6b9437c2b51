"""In which order those who wait are admitted, and who gives way when the queue is full."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Literal, Protocol, TypeVar

from penstock_limits._limiters.waiting import Caller, Waiter

__all__ = ["AgingQueue", "FifoQueue", "Shed", "WaitQueue", "victim"]

K = TypeVar("K")
V = TypeVar("V")

Line = OrderedDict[Waiter, float | None]  # who has one priority, and when each came, as far as is known
Arrival = tuple[float, int, Waiter]  # when it came, its priority, who
Shed = Literal["newest", "oldest", "lowest-priority"]


class WaitQueue(Protocol):
    """Waiters in the order in which they are admitted; as a mapping, since those have what is needed, in C.

    The garbage collector may end a holder or a waiter, and so take somebody out, between any two steps in here.
    """

    def __len__(self) -> int: ...

    def __setitem__(self, waiter: Waiter, came: float | None, /) -> None:
        """Put a waiter, that came at a time or now, behind all others of its priority."""

    def pop(self, waiter: Waiter, /) -> float | None:
        """Take a waiter out; return when it came, as far as is known."""
        ...

    def popitem(self, last: bool = ...) -> tuple[Waiter, float | None]:
        """Take out the first, if `last` is False; return when it came, too."""
        ...

    def first(self) -> Waiter | None:
        """Return who is admitted next; None if nobody waits."""
        ...

    def by_age(self) -> Iterator[Waiter]:
        """Return the waiters, the one that came first at first."""
        ...

    def by_unimportance(self) -> Iterator[Waiter]:
        """Return the waiters, the lowest priority and among these the one that came last at first."""
        ...

    def snapshot(self) -> tuple[Waiter, ...]:
        """Return all waiters, in the order in which they are admitted, at this moment."""
        ...


class FifoQueue(OrderedDict[Waiter, float | None]):
    """First come, first served: all have the same priority."""

    def first(self) -> Waiter | None:
        return next((waiter for waiter, _ in _entries(self, 1)), None)

    def by_age(self) -> Iterator[Waiter]:
        return iter(self)

    def by_unimportance(self) -> Iterator[Waiter]:
        return reversed(self)

    def snapshot(self) -> tuple[Waiter, ...]:
        return tuple(waiter for waiter, _ in _entries(self))


class AgingQueue:
    """More urgent first, but each `aging` seconds of waiting are worth one step of priority.

    So whoever waits is overtaken only by those who come within a bounded time, and is delayed, never starved. The order
    of two waiters never changes while both wait: it is their time of arrival, less `aging` for each step of priority.

    Args:
        aging: Seconds.
        clock: Says the time, in seconds.
        waiting: Who waits already; it becomes the line of the priority 0.
    """

    __slots__ = ("_aging", "_began", "_clock", "_lines")

    def __init__(self, aging: float, clock: Callable[[], float], waiting: FifoQueue) -> None:
        self._aging = aging
        self._clock = clock
        self._began = clock()
        self._lines: dict[int, Line] = {0: waiting}

    def __len__(self) -> int:
        return sum(map(len, self._all_lines()))

    def __setitem__(self, waiter: Waiter, came: float | None, /) -> None:
        came = self._clock() if came is None else came
        for priority, line in _entries(self._lines):
            if not line:
                del self._lines[priority]
        self._lines.setdefault(waiter.priority, OrderedDict())[waiter] = came

    def pop(self, waiter: Waiter, /) -> float | None:
        return self._lines[waiter.priority].pop(waiter)

    def first(self) -> Waiter | None:
        return min(self._arrivals(each=1), key=self._turn, default=(0, 0, None))[2]

    def popitem(self, last: bool = False) -> tuple[Waiter, float | None]:
        """Take out the first.

        Raises:
            KeyError: Nobody waits.
        """
        assert not last
        while (waiter := self.first()) is not None:
            with contextlib.suppress(KeyError):  # the collector was faster
                return waiter, self.pop(waiter)
        raise KeyError

    def by_age(self) -> Iterator[Waiter]:
        return (waiter for *_, waiter in sorted(self._arrivals(), key=lambda arrival: arrival[0]))

    def by_unimportance(self) -> Iterator[Waiter]:
        for _, line in sorted(_entries(self._lines)):
            yield from (waiter for waiter, _ in reversed(_entries(line)))

    def snapshot(self) -> tuple[Waiter, ...]:
        return tuple(waiter for *_, waiter in sorted(self._arrivals(), key=self._turn))

    def _turn(self, arrival: Arrival) -> tuple[float, int]:
        came, priority, _ = arrival
        return came - priority * self._aging, -priority

    def _arrivals(self, each: int | None = None) -> list[Arrival]:
        """Return who came when, or the first so many of each priority."""
        return [
            (self._began if came is None else came, waiter.priority, waiter)
            for line in self._all_lines()
            for waiter, came in _entries(line, each)
        ]

    def _all_lines(self) -> list[Line]:
        return [line for _, line in _entries(self._lines)]


def _entries(mapping: Mapping[K, V], number: int | None = None) -> tuple[tuple[K, V], ...]:
    """Return what is in a mapping, or its first entries; the collector may change it while it is read."""
    while True:
        with contextlib.suppress(RuntimeError):
            return tuple(islice(mapping.items(), number))


def victim(queue: WaitQueue, newcomer: Waiter, shed: Shed) -> Caller | None:
    """Return who of a full queue gives way to a newcomer; None if that is the newcomer itself.

    Fan-outs do not give way: some of their work may have been done.
    """
    if shed == "newest":
        return None
    while True:
        with contextlib.suppress(RuntimeError):  # as above
            in_order = queue.by_age() if shed == "oldest" else queue.by_unimportance()
            found = next((waiter for waiter in in_order if isinstance(waiter, Caller)), None)
            break
    if found is not None and shed == "lowest-priority" and found.priority >= newcomer.priority:
        return None
    return found
