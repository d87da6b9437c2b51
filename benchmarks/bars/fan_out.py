"""Run many coroutines, few at once, and collect their results."""

from __future__ import annotations

import asyncio
from functools import partial

import aiometer
from penstock_limits import Limiter, gather

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch
from benchmarks._work import work

LIMIT = 10


async def within(semaphore: asyncio.Semaphore, item: int) -> int:
    async with semaphore:
        return await work(item)


async def gather_semaphore(size: int, stopwatch: Stopwatch) -> None:
    semaphore = asyncio.Semaphore(LIMIT)
    with stopwatch:
        await asyncio.gather(*[within(semaphore, item) for item in range(size)])


async def gather_int(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        await gather(*[work(item) for item in range(size)], limit=LIMIT)


async def gather_limiter(size: int, stopwatch: Stopwatch) -> None:
    limiter = Limiter(max_running=LIMIT)
    with stopwatch:
        await gather(*[work(item) for item in range(size)], limit=limiter)


async def task_group(size: int, stopwatch: Stopwatch) -> None:
    semaphore = asyncio.Semaphore(LIMIT)
    with stopwatch:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(within(semaphore, item)) for item in range(size)]
        [task.result() for task in tasks]


async def run_all(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        await aiometer.run_all([partial(work, item) for item in range(size)], max_at_once=LIMIT)


BAR = Bar(
    title="coroutines gathered, limit 10",
    size=10_000,
    quick_size=10_000,
    rounds=9,
    contenders=(
        Contender("asyncio.gather + Semaphore", gather_semaphore),
        Contender("gather, int", gather_int, ratio_at_most=0.70),
        Contender("gather, Limiter", gather_limiter, ratio_at_most=0.85),
        Contender("TaskGroup + Semaphore", task_group),
        Contender("aiometer.run_all", run_all),
    ),
)
