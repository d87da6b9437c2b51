"""What is simulated, and what is asked of the limit in each case."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from penstock_limits import AdaptiveLimit, Aimd, LatencyGradient, LimitAlgorithm, Limiter, Sample

from benchmarks.simulation._service import Calls, Phase, Point, answers, run, scattered, short_and_long

WITHIN = 0.15  # of the capacity
STEADY = 0.20  # highest less lowest, of the mean
_USUAL = scattered(0.3)


@dataclass(frozen=True)
class Scenario:
    """A service that changes, and an algorithm.

    Attributes:
        title: What happens.
        phases: What the service is like, one after the other.
        algorithm: Makes the algorithm.
        calls: What the calls are like.
        refuses: Whether the service answers 429 in place of letting calls wait.
        judged: Whether the bars hold for it; else it is only shown.
    """

    title: str
    phases: tuple[Phase, ...]
    algorithm: Callable[[], LimitAlgorithm] = lambda: LatencyGradient(20, maximum=250)
    calls: Calls = _USUAL
    refuses: bool = False
    judged: bool = True

    def run(self, seed: int) -> list[Point]:
        """Run it once."""
        return run(self._adaptive, self.phases, self.calls, seed, refuses=self.refuses)

    def _adaptive(self) -> AdaptiveLimit:
        return AdaptiveLimit(Limiter("service", max_running=20), self.algorithm(), clock=_virtual_time)


def _virtual_time() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Outcome:
    """How the limit did in one phase of one run.

    Attributes:
        capacity: What the service could work on at once.
        error: By how much the settled limit was off, as a share of the capacity.
        swing: The highest less the lowest settled limit, as a share of its mean.
        round_trips: How long it took to come within the bar to stay, in calls' times; None if it never did.
    """

    capacity: int
    error: float
    swing: float
    round_trips: float | None

    @property
    def met(self) -> bool:
        """Whether the limit found the capacity, and kept to it."""
        return abs(self.error) <= WITHIN and self.swing <= STEADY


def judge(scenario: Scenario, points: list[Point]) -> list[Outcome]:
    """Say how the limit did in each phase that asks for more than the service can do; its last half is settled."""
    outcomes = []
    for number, phase in enumerate(scenario.phases):
        if phase.demand < phase.capacity:
            continue
        ours = [point for point in points if point.phase == number]
        settled = [point.limit for point in ours[len(ours) // 2 :]]
        mean = sum(settled) / len(settled)
        outcomes.append(
            Outcome(
                phase.capacity,
                mean / phase.capacity - 1,
                (max(settled) - min(settled)) / mean,
                _round_trips(phase, ours),
            )
        )
    return outcomes


def _round_trips(phase: Phase, points: list[Point]) -> float | None:
    """Return when the limit had come near the capacity, and was there for ten round trips or more."""
    came: float | None = None
    for point in points:
        if abs(point.limit / phase.capacity - 1) > WITHIN:
            came = None
        elif came is None:
            came = point.time
        elif point.time - came >= 10 * phase.seconds:
            return (came - points[0].time) / phase.seconds
    return None


class PlainGradient2:
    """The limit of Netflix's Gradient2, as published: its base latency is a long average of what it causes itself."""

    def __init__(self) -> None:
        self.limit = 20.0
        self._long: float | None = None

    def update(self, sample: Sample) -> str | None:
        """Learn how a call has ended."""
        seconds = sample.seconds
        self._long = seconds if self._long is None else self._long + (seconds - self._long) * 2 / 601
        gradient = max(0.5, min(1.0, 1.5 * self._long / seconds))
        self.limit += 0.2 * (self.limit * gradient + self.limit**0.5 - self.limit)
        self.limit = min(250.0, max(1.0, self.limit))
        return "gradient"


SCENARIOS = (
    Scenario("finds 50, from 20", (Phase(25_000, 50),)),
    Scenario("finds 8, from 20", (Phase(12_000, 8),)),
    Scenario("the capacity halves", (Phase(25_000, 50), Phase(15_000, 25))),
    Scenario("the capacity doubles", (Phase(25_000, 50), Phase(40_000, 100))),
    Scenario("it falls to a quarter", (Phase(25_000, 50), Phase(12_000, 12))),
    Scenario("calls take twice as long", (Phase(25_000, 50), Phase(25_000, 50, seconds=2.0))),
    Scenario("calls take half as long", (Phase(25_000, 50), Phase(25_000, 50, seconds=0.5))),
    Scenario("idle for a while", (Phase(25_000, 50), Phase(5_000, 50, demand=5), Phase(15_000, 50))),
    Scenario("latencies scatter more", (Phase(50_000, 50),), calls=scattered(0.5)),
    Scenario("short and long calls", (Phase(100_000, 50),), calls=short_and_long),
    Scenario("answers of any length, told", (Phase(40_000, 50),), calls=answers(told=True)),
    Scenario("answers of any length, not told", (Phase(40_000, 50),), calls=answers(told=False), judged=False),
    Scenario("429 beyond 50: Aimd", (Phase(25_000, 50),), algorithm=lambda: Aimd(20, maximum=250), refuses=True),
    Scenario("429 beyond 50: LatencyGradient", (Phase(25_000, 50),), refuses=True, judged=False),
    Scenario("plain Gradient2, for comparison", (Phase(25_000, 50),), algorithm=PlainGradient2, judged=False),
)
