"""What a bar is: the same work done by several contenders, and what ours may cost in terms of the first."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from benchmarks import bars
from benchmarks._stopwatch import Stopwatch

Run = Callable[[int, Stopwatch], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Contender:
    """One way to do a bar's work.

    Attributes:
        title: What people call it.
        run: Does the work so many times, and times what counts with the stopwatch.
        ratio_at_most: CPU time allowed, in terms of the bar's first contender; None if it is only shown.
        memory_at_most: Memory allowed above the RSS before, in MiB; None if it is only shown.
        microseconds_at_most: CPU time allowed each time; None if it is only shown. A slow machine misses it.
        added_at_most: CPU time allowed each time beyond that of the first contender, in microseconds; None as above.
    """

    title: str
    run: Run
    ratio_at_most: float | None = None
    memory_at_most: float | None = None
    microseconds_at_most: float | None = None
    added_at_most: float | None = None


@dataclass(frozen=True)
class Bar:
    """A piece of work and who competes in it; the first contender is the measure of the others.

    Attributes:
        title: What is done.
        size: How many times.
        quick_size: How many times with `--quick`.
        rounds: How often each contender runs; the best round counts.
        contenders: Who competes.
    """

    title: str
    size: int
    quick_size: int
    rounds: int
    contenders: tuple[Contender, ...]


def load(name: str) -> Bar:
    """Return the bar of a module in `benchmarks/bars`."""
    bar: Bar = importlib.import_module(f"{bars.__name__}.{name}").BAR
    return bar


def names() -> list[str]:
    """Return the name of every bar."""
    return sorted(module.name for module in pkgutil.iter_modules(bars.__path__))
