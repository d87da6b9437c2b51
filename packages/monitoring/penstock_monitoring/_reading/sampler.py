"""Samples everything at an interval, from tasks in the event loops that the monitor is attached to."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator
from typing import Final

from penstock_limits import Resource, resources

from penstock_monitoring._reading.lag import Lag
from penstock_monitoring._reading.read import ResourceReading
from penstock_monitoring._reading.scan import Key, Scan, Scanner, Trees
from penstock_monitoring._reading.snapshot import Utilisation
from penstock_monitoring._reading.track import Track, Use

__all__ = ["SLICE", "Rest", "Sampler"]

logger = logging.getLogger("penstock.monitoring")

SLICE: Final = 0.001  # seconds for which a sample keeps the loop, before it lets others run
GONE: Final = 1000  # names of which nothing is there, but a history: programs may make new names all day
STUCK: Final = 1.0  # seconds without a step, after which another loop takes the sample


class Sampler:
    """Keeps what samples say; one task of each loop measures its lag, and whichever wakes first takes the sample.

    Args:
        interval: Seconds between two samples.
        window: Seconds for which they are kept.
        threshold: Says from which share of a limit on it is nearly used up.
        more: Returns what is no resource, but is to be seen; it is told of what there is one.
        sampled: Called after each sample, in the loop that took it; what it is given lets others run.
    """

    def __init__(
        self,
        interval: float,
        window: float,
        threshold: Callable[[], float],
        more: Callable[[Container[Key]], Iterable[ResourceReading]],
        sampled: Callable[[Rest], Awaitable[None]],
    ) -> None:
        self.interval = interval
        self.most = max(2, round(window / interval))
        self.number = 0
        self.resumed = False  # whether nobody sampled for a while before the last sample
        self.latest: tuple[ResourceReading, ...] = ()
        self.gone: tuple[ResourceReading, ...] = ()
        self.trees: Trees = ()
        self.utilisation: tuple[Utilisation, ...] = ()
        self.tracks: dict[Key, Track] = {}
        self.scanner = Scanner(self.tracks, more)
        self._threshold = threshold
        self._sampled = sampled
        self._times: deque[float] = deque(maxlen=self.most)
        self._last = -float("inf")
        self._lock = threading.Lock()
        self._taker: asyncio.AbstractEventLoop | None = None  # the loop that takes a sample
        self._moved = 0.0  # when it last went on with it
        self._told: set[type[Exception]] = set()
        self._lags: dict[asyncio.AbstractEventLoop, Lag] = {}

    # --- in the loops

    async def run(self, name: str) -> None:
        """Measure this loop's lag, and sample when it is time, until cancelled."""
        loop = asyncio.get_running_loop()
        self._lags[loop] = lag = Lag(name, self.most)
        try:
            while True:
                lag.sleeps(self.interval)
                await asyncio.sleep(self.interval)
                lag.wakes()
                await self.sample_if_due()
        finally:
            self._lags.pop(loop, None)
            if not self._lags:
                self._last = -float("inf")  # what is until somebody samples again is not known

    async def sample_if_due(self) -> None:
        """Take a sample, unless another loop does or has just done."""
        loop = asyncio.get_running_loop()
        goes_on = bool(self.lags())  # or all that sampled were closed, if they did not leave
        if (goes_on and time.monotonic() - self._last < self.interval / 2) or not self._may_take(loop):
            return  # another loop was first
        if not goes_on:
            self._last = -float("inf")
        rest = Rest(lambda: self._goes_on(loop))
        try:
            await self._sample(rest)
            await self._sampled(rest)
        except TurnLostError:
            pass  # this loop was blocked, and another has taken it
        except Exception as error:  # noqa: BLE001 - the next may be better
            self._tell(error)
        finally:
            if self._taker is loop:
                self._taker = None

    def _may_take(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Let a loop take a sample, unless another does; one that was closed meanwhile, or is blocked, does not."""
        with self._lock:
            taker, now = self._taker, time.monotonic()
            if taker is not None and not taker.is_closed() and (taker is loop or now - self._moved < STUCK):
                return False
            self._taker, self._moved = loop, now
            return True

    def _goes_on(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Take note that a loop goes on with its sample; False if it must not, as another has taken over."""
        with self._lock:
            if self._taker is loop:
                self._moved = time.monotonic()
            return self._taker is loop

    async def _sample(self, rest: Rest) -> None:
        uses = await self._read(rest)
        passed = self._take_time()
        threshold = self._threshold()
        for key, use in uses.items():
            track = self.tracks.get(key)
            if track is None:
                track = self.tracks[key] = Track(self.most)
            track.sample(self.number, use, threshold, passed)
            if rest.due():
                await rest.take()
        self._forget()
        await self._publish(rest)

    async def _read(self, rest: Rest) -> dict[Key, Use]:
        """Read everything; return what is in use of what has a limit."""
        uses: dict[Key, Use] = {}
        latest: list[ResourceReading] = []
        scan = self.scan()
        for reading in scan:
            latest.append(reading)
            key = (reading.kind, reading.name)
            use = uses.get(key) or Use()
            if use.add(reading.statistics):
                uses[key] = use
            if rest.due():
                await rest.take()
        self.latest, self.gone, self.trees = tuple(latest), scan.gone, scan.trees
        return uses

    def _take_time(self) -> float:
        """Take note of when this sample is taken; return the seconds since the one before, if there is one."""
        now, wall = time.monotonic(), time.time()
        self.resumed = math.isinf(self._last)
        passed, self._last = 0.0 if self.resumed else now - self._last, now
        self.number += 1
        if self._times and wall < self._times[-1]:
            self._times.clear()  # the clock was set back: when the samples before were taken is not known any more
        self._times.append(wall)
        return passed

    async def _publish(self, rest: Rest) -> None:
        """Keep the history at hand as it is now, so that a snapshot in an event loop need not copy it."""
        times, history = array("d", self._times), []
        for key in sorted(self.tracks):
            history.append(Utilisation(*key, times, self.tracks[key].shares()))
            if rest.due():
                await rest.take()
        self.utilisation = tuple(history)

    def _tell(self, error: Exception) -> None:
        if type(error) not in self._told:
            self._told.add(type(error))
            logger.error("a sample failed: %s", type(error).__name__)  # what it says may hold what must not be shown

    def scan(self) -> Scan:
        """Begin to read everything."""
        return self.scanner.scan(_there())

    def _forget(self) -> None:
        """Let go of what has not been seen in the whole window, and of what was not for the longest if it is much."""
        unseen = [(track.seen, key) for key, track in self.tracks.items() if track.seen < self.number]
        unseen.sort(reverse=True)
        for place, (seen, key) in enumerate(unseen):
            if place >= GONE or seen < self.number - self.most:
                del self.tracks[key]
            else:
                self.tracks[key].miss(self.number)

    def forget_parent(self) -> None:
        """In a forked child: there are no tasks of ours here, and nobody gives back what the parent had taken."""
        self._lock = threading.Lock()
        self._taker = None
        self._lags = {}
        self._last = -float("inf")

    # --- in any thread

    def lags(self) -> list[Lag]:
        """Return the lag of each loop that is not closed, by name."""
        return sorted((lag for loop, lag in list(self._lags.items()) if not loop.is_closed()), key=lambda lag: lag.loop)


def _there() -> Iterator[Resource]:
    """Look what there is when the first is asked for."""
    yield from resources()


class TurnLostError(Exception):
    """Another event loop takes the sample."""


class Rest:
    """Lets others run as often as a slice of time is used up.

    Args:
        goes_on: Whether what rests may go on after it.
    """

    __slots__ = ("_goes_on", "_until")

    def __init__(self, goes_on: Callable[[], bool]) -> None:
        self._goes_on = goes_on
        self._until = time.perf_counter() + SLICE

    def due(self) -> bool:
        """Tell whether the slice is used up."""
        return time.perf_counter() > self._until

    async def take(self) -> None:
        """Let others run, and begin another slice.

        Raises:
            TurnLostError: It must not go on.
        """
        await asyncio.sleep(0)
        if not self._goes_on():
            raise TurnLostError
        self._until = time.perf_counter() + SLICE
