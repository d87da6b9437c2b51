"""Cancel everybody who waits, the last one first: a time-out or a shutdown under load."""

from __future__ import annotations

import asyncio

from penstock_limits import Limiter

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch


async def cancel_waiters(limit: asyncio.Semaphore | Limiter, size: int, stopwatch: Stopwatch) -> None:
    await limit.acquire()
    tasks = [asyncio.create_task(limit.acquire()) for _ in range(size)]
    await asyncio.sleep(0)
    with stopwatch:
        for task in reversed(tasks):
            task.cancel()
        await asyncio.wait(tasks)
    limit.release()


async def semaphore(size: int, stopwatch: Stopwatch) -> None:
    await cancel_waiters(asyncio.Semaphore(1), size, stopwatch)


async def limiter(size: int, stopwatch: Stopwatch) -> None:
    await cancel_waiters(Limiter(max_running=1), size, stopwatch)


BAR = Bar(
    title="waiters cancelled, last first",
    size=20_000,
    quick_size=20_000,
    rounds=3,
    contenders=(
        Contender("asyncio.Semaphore", semaphore),
        Contender("Limiter", limiter, ratio_at_most=0.10),
    ),
)
