"""Map a coroutine function over a million items, a hundred at once, in little memory."""

from __future__ import annotations

import asyncio

import aiometer
from penstock_limits import bounded_map

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch
from benchmarks._work import work

LIMIT = 100


async def within(semaphore: asyncio.Semaphore, item: int) -> int:
    async with semaphore:
        return await work(item)


async def gather_semaphore(size: int, stopwatch: Stopwatch) -> None:
    semaphore = asyncio.Semaphore(LIMIT)
    with stopwatch:
        for _ in await asyncio.gather(*(within(semaphore, item) for item in range(size))):
            pass


async def mapped(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        async for _ in bounded_map(work, range(size), limit=LIMIT):
            pass


async def mapped_by_workers(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        async for _ in bounded_map(work, range(size), limit=LIMIT, isolate=False):
            pass


async def task_group(size: int, stopwatch: Stopwatch) -> None:
    semaphore = asyncio.Semaphore(LIMIT)
    with stopwatch:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(within(semaphore, item)) for item in range(size)]
        for task in tasks:
            task.result()


async def amap(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        async with aiometer.amap(work, range(size), max_at_once=LIMIT) as results:
            async for _ in results:
                pass


BAR = Bar(
    title="items mapped, limit 100",
    size=1_000_000,
    quick_size=100_000,
    rounds=2,
    contenders=(
        Contender("asyncio.gather + Semaphore", gather_semaphore),
        Contender("bounded_map", mapped, ratio_at_most=0.30, memory_at_most=10),
        Contender("bounded_map, isolate=False", mapped_by_workers, memory_at_most=10),
        Contender("TaskGroup + Semaphore", task_group),
        Contender("aiometer.amap", amap),
    ),
)
