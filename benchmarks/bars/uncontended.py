"""Enter and leave a limit that is never reached: what every call pays."""

from __future__ import annotations

import asyncio
from itertools import repeat

import anyio
from penstock_limits import Limiter

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch


async def semaphore(size: int, stopwatch: Stopwatch) -> None:
    limit = asyncio.Semaphore(10)
    with stopwatch:
        for _ in repeat(None, size):
            async with limit:
                pass


async def limiter(size: int, stopwatch: Stopwatch) -> None:
    limit = Limiter(max_running=10)
    with stopwatch:
        for _ in repeat(None, size):
            async with limit:
                pass


async def capacity_limiter(size: int, stopwatch: Stopwatch) -> None:
    limit = anyio.CapacityLimiter(10)
    with stopwatch:
        for _ in repeat(None, size):
            async with limit:
                pass


BAR = Bar(
    title="uncontended `async with`",
    size=500_000,
    quick_size=500_000,
    rounds=7,
    contenders=(
        Contender("asyncio.Semaphore", semaphore),
        Contender("Limiter", limiter, ratio_at_most=0.65),
        Contender("anyio.CapacityLimiter", capacity_limiter),
    ),
)
