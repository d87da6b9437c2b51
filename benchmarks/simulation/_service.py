"""A service with a hidden capacity, and callers that want more than it can do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat

from penstock_limits import AdaptiveLimit, Limiter
from penstock_limits.testing import run_in_virtual_time

CALLERS = 300


class BusyError(Exception):
    """The service's answer 429."""

    status_code = 429


@dataclass(frozen=True)
class Call:
    """What one call asks of the service.

    Attributes:
        seconds: How long the service works on it, where a call takes a second on average.
        output_tokens: How many tokens it answers; None if nobody says.
    """

    seconds: float
    output_tokens: int | None = None


Calls = Callable[[random.Random], Call]


def scattered(sigma: float) -> Calls:
    """Make calls that take a log-normal time."""
    return lambda chance: Call(chance.lognormvariate(-(sigma**2) / 2, sigma))


def short_and_long(chance: random.Random) -> Call:
    """Make a call that takes half a second, or, one in five, three seconds."""
    return Call(chance.lognormvariate(-0.02, 0.2) * (3.0 if chance.random() < 0.2 else 0.5))


def answers(*, told: bool) -> Calls:
    """Make calls that answer 300 tokens on average, from a few to thousands, and take as long as that takes."""

    def call(chance: random.Random) -> Call:
        tokens = max(1, round(300 * chance.lognormvariate(-0.5, 1.0)))
        return Call((0.1 + 0.9 * tokens / 300) * chance.lognormvariate(-0.02, 0.2), tokens if told else None)

    return call


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
        refuses: Whether it answers 429 in place of letting calls wait.
    """

    def __init__(self, *, refuses: bool) -> None:
        self._servers = Limiter("servers", max_running=1, max_queued=0 if refuses else None)
        self._seconds = 1.0

    def become(self, phase: Phase) -> None:
        """Be as in this phase from now on."""
        self._servers.resize(phase.capacity)
        self._seconds = phase.seconds

    async def answer(self, call: Call) -> None:
        """Work on one call."""
        if self._servers.max_queued == 0 and self._servers.locked():
            await asyncio.sleep(0.05)
            raise BusyError
        async with self._servers:
            await asyncio.sleep(self._seconds * call.seconds)


def run(
    make: Callable[[], AdaptiveLimit], phases: tuple[Phase, ...], calls: Calls, seed: int, *, refuses: bool
) -> list[Point]:
    """Let callers call the service under an adaptive limit; return how the limit went."""
    chance = random.Random(seed)
    return run_in_virtual_time(
        lambda: _run(make(), phases, Service(refuses=refuses), (calls(chance) for _ in repeat(None)))
    )


async def _run(
    adaptive: AdaptiveLimit, phases: tuple[Phase, ...], service: Service, calls: Iterator[Call]
) -> list[Point]:
    points: list[Point] = []
    for number, phase in enumerate(phases):
        service.become(phase)
        await _phase(number, phase, adaptive, service, calls, points)
    return points


async def _phase(
    number: int, phase: Phase, adaptive: AdaptiveLimit, service: Service, calls: Iterator[Call], points: list[Point]
) -> None:
    loop, end = asyncio.get_running_loop(), len(points) + phase.calls

    async def caller() -> None:
        while len(points) < end:
            try:
                async with adaptive.attempt() as attempt:
                    call = next(calls)
                    attempt.output_tokens = call.output_tokens
                    await service.answer(call)
            except BusyError:
                await asyncio.sleep(phase.seconds)
            points.append(Point(number, loop.time(), adaptive.limiter.max_running))

    await asyncio.gather(*(caller() for _ in range(phase.demand)))  # penstock: ignore[PEN101] all of them are wanted
