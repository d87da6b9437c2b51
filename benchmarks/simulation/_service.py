"""A service with a hidden capacity, and callers that want more than it can do."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from penstock_limits import AdaptiveLimit, Limiter
from penstock_limits.testing import run_in_virtual_time

CALLERS = 300


class BusyError(Exception):
    """The service's answer 429."""

    status_code = 429


@dataclass(frozen=True)
class Phase:
    """What the service is like for a while.

    Attributes:
        calls: How many calls it lasts.
        capacity: How many calls the service works on at once; the others wait, or are refused.
        seconds: How long it works on one, on average.
        demand: How many calls the callers want to make at once.
    """

    calls: int
    capacity: int
    seconds: float = 1.0
    demand: int = CALLERS


@dataclass(frozen=True)
class Point:
    """The limit when a call has ended.

    Attributes:
        phase: The number of the phase.
        time: Virtual seconds since the start.
        limit: What the limiter allowed.
    """

    phase: int
    time: float
    limit: int


class Service:
    """Works on so many calls at once, each for a random time; one call more waits, or is refused.

    Args:
        chance: Where chance comes from.
        scatter: The sigma of the log-normal time that a call takes.
        refuses: Whether it answers 429 in place of letting calls wait.
    """

    def __init__(self, chance: random.Random, scatter: float, *, refuses: bool) -> None:
        self._chance = chance
        self._scatter = scatter
        self._servers = Limiter("servers", max_running=1, max_queued=0 if refuses else None)
        self._seconds = 1.0

    def become(self, phase: Phase) -> None:
        """Be as in this phase from now on."""
        self._servers.resize(phase.capacity)
        self._seconds = phase.seconds

    async def answer(self) -> None:
        """Work on one call."""
        if self._servers.max_queued == 0 and self._servers.locked():
            await asyncio.sleep(0.05)
            raise BusyError
        async with self._servers:
            mean = math.log(self._seconds) - self._scatter**2 / 2
            await asyncio.sleep(self._chance.lognormvariate(mean, self._scatter))


def run(
    make: Callable[[], AdaptiveLimit], phases: tuple[Phase, ...], seed: int, *, scatter: float, refuses: bool = False
) -> list[Point]:
    """Let callers call the service under an adaptive limit; return how the limit went."""
    return run_in_virtual_time(lambda: _run(make(), phases, Service(random.Random(seed), scatter, refuses=refuses)))


async def _run(adaptive: AdaptiveLimit, phases: tuple[Phase, ...], service: Service) -> list[Point]:
    points: list[Point] = []
    for number, phase in enumerate(phases):
        service.become(phase)
        await _phase(number, phase, adaptive, service, points)
    return points


async def _phase(number: int, phase: Phase, adaptive: AdaptiveLimit, service: Service, points: list[Point]) -> None:
    loop, end = asyncio.get_running_loop(), len(points) + phase.calls

    async def caller() -> None:
        while len(points) < end:
            try:
                async with adaptive.attempt():
                    await service.answer()
            except BusyError:
                await asyncio.sleep(phase.seconds)
            points.append(Point(number, loop.time(), adaptive.limiter.max_running))

    await asyncio.gather(*(caller() for _ in range(phase.demand)))  # penstock: ignore[PEN101] all of them are wanted
