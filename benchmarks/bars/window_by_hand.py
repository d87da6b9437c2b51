"""A bounded map beside the loop that a careful programmer writes: a task for each item, a window of a hundred."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from penstock_limits import bounded_map

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch
from benchmarks._work import work

LIMIT = 100


async def window(size: int) -> AsyncIterator[int]:
    """Yield results in order; a failure, a cancellation or a slow consumer is not its business."""
    running: deque[asyncio.Task[int]] = deque()
    for item in range(size):
        if len(running) == LIMIT:
            yield await running.popleft()
        running.append(asyncio.create_task(work(item)))
    while running:
        yield await running.popleft()


async def by_hand(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        async for _ in window(size):
            pass


async def mapped(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        async for _ in bounded_map(work, range(size), limit=LIMIT):
            pass


BAR = Bar(
    title="items, a window of 100",
    size=1_000_000,
    quick_size=100_000,
    rounds=2,
    contenders=(
        Contender("window loop by hand", by_hand),
        Contender("bounded_map", mapped, ratio_at_most=1.4, memory_at_most=10),
    ),
)
