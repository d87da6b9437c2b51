"""In which order those who wait are admitted, and who gives way when the queue is full."""

from __future__ import annotations

import contextlib
import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

from penstock_limits._waiting import Caller, Waiter

__all__ = ["AgingQueue", "FifoQueue", "Shed", "WaitQueue", "victim"]

Arrival = tuple[float, int, Waiter]  # when it came, its priority, who
Shed = Literal["newest", "oldest", "lowest-priority"]


class WaitQueue(Protocol):
    """Waiters in the order in which they are admitted; as a mapping, since those have what is needed, in C."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Waiter]: ...

    def __setitem__(self, waiter: Waiter, came: float | None, /) -> None:
        """Put a waiter, that came at a time or now, behind all others of its priority."""

    def __delitem__(self, waiter: Waiter, /) -> None: ...

    def popitem(self, last: bool = ...) -> tuple[Waiter, object]:
        """Take out the first, if `last` is False."""
        ...

    def by_age(self) -> Iterator[Waiter]:
        """Return the waiters, the one that came first at first."""
        ...

    def by_unimportance(self) -> Iterator[Waiter]:
        """Return the waiters, the lowest priority and among these the one that came last at first."""
        ...


class FifoQueue(OrderedDict[Waiter, float | None]):
    """First come, first served: all have the same priority."""

    def by_age(self) -> Iterator[Waiter]:
        return iter(self)

    def by_unimportance(self) -> Iterator[Waiter]:
        return reversed(self)


class AgingQueue:
    """More urgent first, but each `aging` seconds of waiting are worth one step of priority.

    So whoever waits is overtaken only by those who come within a bounded time, and is delayed, never starved. The order
    of two waiters never changes while both wait: it is their time of arrival, less `aging` for each step of priority.

    Args:
        aging: Seconds.
        clock: Says the time, in seconds.
        waiting: Who waits already.
    """

    __slots__ = ("_aging", "_clock", "_lines")

    def __init__(self, aging: float, clock: Callable[[], float], waiting: FifoQueue) -> None:
        self._aging = aging
        self._clock = clock
        self._lines: dict[int, OrderedDict[Waiter, float]] = {}
        latest = -math.inf
        for waiter, came in waiting.items():
            latest = latest if came is None else came
            self[waiter] = latest

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[Waiter]:
        """Return who waits, as it is now: the collector may take somebody out at any time."""
        return self._sorted(lambda arrival: (arrival[0] - arrival[1] * self._aging, -arrival[1]))

    def __setitem__(self, waiter: Waiter, came: float | None, /) -> None:
        self._lines.setdefault(waiter.priority, OrderedDict())[waiter] = self._clock() if came is None else came

    def __delitem__(self, waiter: Waiter, /) -> None:
        line = self._lines[waiter.priority]
        del line[waiter]
        if not line:
            del self._lines[waiter.priority]

    def popitem(self, last: bool = False) -> tuple[Waiter, object]:
        """Take out the first.

        Raises:
            KeyError: Nobody waits.
        """
        assert not last
        while True:
            waiter = next(iter(self), None)
            if waiter is None:
                raise KeyError
            with contextlib.suppress(KeyError):  # the collector was faster
                del self[waiter]
                return waiter, None

    def by_age(self) -> Iterator[Waiter]:
        return self._sorted(lambda arrival: arrival[0])

    def _sorted(self, key: Callable[[Arrival], Any]) -> Iterator[Waiter]:
        lines = [self._arrivals(priority) for priority in tuple(self._lines)]
        return (waiter for _, _, waiter in heapq.merge(*lines, key=key))

    def _arrivals(self, priority: int) -> Iterator[Arrival]:
        """Yield a line's waiters; each is looked for anew, so the line may change meanwhile."""
        taken: set[Waiter] = set()
        while (line := self._lines.get(priority)) is not None:
            waiter = next((each for each in tuple(line) if each not in taken), None) if taken else _first(line)
            if waiter is None:
                return
            taken.add(waiter)
            came = line.get(waiter)
            if came is not None:
                yield came, priority, waiter

    def by_unimportance(self) -> Iterator[Waiter]:
        for priority in sorted(self._lines):
            yield from reversed(tuple(self._lines.get(priority, ())))


def _first(line: OrderedDict[Waiter, float]) -> Waiter | None:
    while line:
        with contextlib.suppress(RuntimeError, StopIteration):  # the collector has changed it
            return next(iter(line))
    return None


def victim(queue: WaitQueue, newcomer: Waiter, shed: Shed) -> Caller | None:
    """Return who of a full queue gives way to a newcomer; None if that is the newcomer itself.

    Fan-outs do not give way: some of their work may have been done.
    """
    if shed == "newest":
        return None
    in_order = queue.by_age() if shed == "oldest" else queue.by_unimportance()
    found = next((waiter for waiter in in_order if isinstance(waiter, Caller)), None)
    if found is not None and shed == "lowest-priority" and found.priority >= newcomer.priority:
        return None
    return found
