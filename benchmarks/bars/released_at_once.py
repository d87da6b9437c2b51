"""Give many permits back in one tick of the loop while as many wait: a batch ends."""

from __future__ import annotations

import asyncio

from penstock_limits import Limiter

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch


async def release_all(limit: asyncio.Semaphore | Limiter, size: int, stopwatch: Stopwatch) -> None:
    for _ in range(size):
        await limit.acquire()
    tasks = [asyncio.create_task(limit.acquire()) for _ in range(size)]
    await asyncio.sleep(0)
    with stopwatch:
        for _ in range(size):
            limit.release()
        await asyncio.wait(tasks)


async def semaphore(size: int, stopwatch: Stopwatch) -> None:
    await release_all(asyncio.Semaphore(size), size, stopwatch)


async def limiter(size: int, stopwatch: Stopwatch) -> None:
    await release_all(Limiter(max_running=size), size, stopwatch)


BAR = Bar(
    title="permits released in one tick",
    size=20_000,
    quick_size=20_000,
    rounds=3,
    contenders=(
        Contender("asyncio.Semaphore", semaphore),
        Contender("Limiter", limiter, ratio_at_most=0.10),
    ),
)
