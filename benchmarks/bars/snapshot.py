"""Look at 500 limiters, 50 pools and their last five minutes in the event loop: how long the slowest look keeps it.

A collection of garbage may fall into a look, as into anything else. How long it takes depends on all that the process
has, not on the look: it is shown, and not judged.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat

from penstock_monitoring import ConcurrencyMonitor

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch
from benchmarks.bars.scrape import LIMITERS, POOLS, resources

INTERVAL = 0.02  # seconds between two samples; shorter than by default, for as many samples in less time
SAMPLES = 600  # of five minutes, by default


async def looks(size: int) -> list[tuple[float, float]]:
    """Return how long each look took, and how long it collected garbage meanwhile."""
    kept = resources()
    taken: list[tuple[float, float]] = []
    async with ConcurrencyMonitor(interval=INTERVAL, window=INTERVAL * SAMPLES) as monitor:
        while monitor.snapshot().process.samples < min(SAMPLES, size):
            await asyncio.sleep(INTERVAL)
        with collections() as collected:
            for _ in repeat(None, size):
                collected.clear()
                began = time.thread_time()
                monitor.snapshot()
                taken.append((time.thread_time() - began, sum(collected)))
                await asyncio.sleep(INTERVAL / 4)
    assert len(kept) == LIMITERS + POOLS
    return taken


@contextmanager
def collections() -> Iterator[list[float]]:
    """Yield a list to which the CPU seconds of every collection are added."""
    seconds: list[float] = []
    began = 0.0

    def note(phase: str, _: object) -> None:
        nonlocal began
        if phase == "start":
            began = time.thread_time()
        else:
            seconds.append(time.thread_time() - began)

    gc.callbacks.append(note)
    try:
        yield seconds
    finally:
        gc.callbacks.remove(note)


async def whole(size: int, stopwatch: Stopwatch) -> None:
    stopwatch.slowest([taken for taken, _ in await looks(size)], size)


async def itself(size: int, stopwatch: Stopwatch) -> None:
    stopwatch.slowest([taken - collected for taken, collected in await looks(size)], size)


BAR = Bar(
    title="snapshots in an event loop, the slowest",
    size=SAMPLES,
    quick_size=100,
    rounds=1,
    contenders=(
        Contender("with collections of garbage that fell into it", whole),
        Contender("ConcurrencyMonitor.snapshot()", itself, microseconds_at_most=5_000),
    ),
)
