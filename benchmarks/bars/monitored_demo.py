"""The demo's agents under its load, with and without a monitor: what watching costs a whole program."""

from __future__ import annotations

import asyncio
from typing import Literal

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch
from examples.demo.perf import contenders


async def work(name: Literal["enforce", "watched"], size: int, stopwatch: Stopwatch) -> None:
    """Give the agents the job so many times; what counts is their CPU time."""
    async with contenders(name) as (agents,):
        runs = [await asyncio.to_thread(agents) for _ in range(size)]
    stopwatch.cpu_seconds = sum(run.cpu_seconds for run in runs)


async def alone(size: int, stopwatch: Stopwatch) -> None:
    await work("enforce", size, stopwatch)


async def monitored(size: int, stopwatch: Stopwatch) -> None:
    await work("watched", size, stopwatch)


BAR = Bar(
    title="jobs of the demo's agents",
    size=20,
    quick_size=2,
    rounds=3,
    contenders=(
        Contender("nobody watches", alone),
        Contender("ConcurrencyMonitor", monitored, ratio_at_most=1.03),
    ),
)
