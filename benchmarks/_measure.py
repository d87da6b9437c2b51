"""Run a bar's contenders in interleaved rounds, so that a noisy moment hits all of them alike."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks._bar import Bar, Contender

MIB = 1024 * 1024


@dataclass(frozen=True)
class Result:
    """How one contender did in a bar.

    Attributes:
        contender: Who.
        cpu_seconds: CPU time of each round.
        memory: MiB above the RSS before, at most, of each round.
        ratio: Its best CPU time in terms of the first contender's best.
        microseconds: Its best CPU time, each time.
        ratio_at_most: What is allowed; None if nothing is said, or less work was done than the bar is about.
        memory_at_most: What is allowed, in MiB; None as above.
        microseconds_at_most: What is allowed, each time; None as above.
        added: Its best CPU time each time beyond the first contender's, in microseconds.
        added_at_most: What is allowed; None as above.
    """

    contender: Contender
    cpu_seconds: list[float]
    memory: list[float]
    ratio: float
    microseconds: float
    ratio_at_most: float | None
    memory_at_most: float | None
    microseconds_at_most: float | None
    added: float = 0.0
    added_at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it keeps to what is allowed; None if it is only shown."""
        checks = []
        if self.ratio_at_most is not None:
            checks.append(self.ratio <= self.ratio_at_most)
        if self.memory_at_most is not None:
            checks.append(min(self.memory) <= self.memory_at_most)
        if self.microseconds_at_most is not None:
            checks.append(self.microseconds <= self.microseconds_at_most)
        if self.added_at_most is not None:
            checks.append(self.added <= self.added_at_most)
        return all(checks) if checks else None


def measure(name: str, bar: Bar, *, quick: bool, advance: Callable[[str], None]) -> list[Result]:
    """Measure every contender of a bar, in the bar's order."""
    size = bar.quick_size if quick else bar.size
    samples: list[list[dict[str, float]]] = [[] for _ in bar.contenders]
    for _ in range(rounds(bar, quick=quick)):
        for number, contender in enumerate(bar.contenders):
            advance(f"{bar.title}: {contender.title}")
            samples[number].append(_run_child(name, number, size))
    best = [min(sample["cpu_seconds"] for sample in each) for each in samples]
    return [
        Result(
            contender,
            [sample["cpu_seconds"] for sample in samples[number]],
            [sample["memory"] / MIB for sample in samples[number]],
            best[number] / best[0],
            best[number] / size * 1e6,
            contender.ratio_at_most if size == bar.size else None,
            contender.memory_at_most if size == bar.size else None,
            contender.microseconds_at_most if size == bar.size else None,
            (best[number] - best[0]) / size * 1e6,
            contender.added_at_most if size == bar.size else None,
        )
        for number, contender in enumerate(bar.contenders)
    ]


def rounds(bar: Bar, *, quick: bool) -> int:
    """Return how often each contender of a bar runs."""
    return min(2, bar.rounds) if quick else bar.rounds


def _run_child(name: str, number: int, size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks._child", name, str(number), str(size)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    sample: dict[str, float] = json.loads(printed)
    return sample
