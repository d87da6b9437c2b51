"""Start a task and await it: what a manager that keeps, counts and shows its tasks adds to asyncio's own."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Callable, Coroutine
from typing import Any

import penstock_tasks
from penstock_tasks import TaskManager

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch
from benchmarks._work import work

AT_ONCE = 100  # tasks that are there at the same time, as in a busy server


async def start_and_await(
    create_task: Callable[[Coroutine[Any, Any, int]], Task[int]], size: int, stopwatch: Stopwatch
) -> None:
    with stopwatch:
        for begin in range(0, size, AT_ONCE):
            for task in [create_task(work(item)) for item in range(begin, begin + AT_ONCE)]:
                await task


async def of_asyncio(size: int, stopwatch: Stopwatch) -> None:
    await start_and_await(asyncio.create_task, size, stopwatch)


async def managed(size: int, stopwatch: Stopwatch) -> None:
    async with TaskManager() as tasks:
        await start_and_await(tasks.create_task, size, stopwatch)


async def manager_off(size: int, stopwatch: Stopwatch) -> None:
    async with TaskManager(mode="off") as tasks:
        await start_and_await(tasks.create_task, size, stopwatch)


async def drop_in_off(size: int, stopwatch: Stopwatch) -> None:
    await start_and_await(penstock_tasks.create_task, size, stopwatch)


BAR = Bar(
    title="tasks started and awaited",
    size=100_000,
    quick_size=100_000,
    rounds=7,
    contenders=(
        Contender("asyncio.create_task", of_asyncio),
        Contender("TaskManager", managed, ratio_at_most=1.3),
        Contender("TaskManager, off", manager_off),
        Contender("penstock_tasks.create_task, off", drop_in_off),
    ),
)
