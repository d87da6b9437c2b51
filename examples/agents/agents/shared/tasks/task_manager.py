"""The task manager: knows the tasks it started, limits them, and ends them. (`async` is a keyword, hence `tasks`.)"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import penstock_limits

T = TypeVar("T")


class TaskManager:
    """Owns the tasks it creates."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()

    async def create_limited_task(self, coro: Coroutine[Any, Any, T], semaphore_name: str) -> asyncio.Task[T]:
        """Start a coroutine in a task; its work waits for a permit of the named limit."""
        try:
            limiter = penstock_limits.limiter(semaphore_name)
        except penstock_limits.UnknownLimitError:
            coro.close()
            raise
        task = asyncio.create_task(_limited(coro, limiter))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        # A task cancelled before its first step never reaches the coroutine.
        task.add_done_callback(lambda _: coro.close())
        return task

    async def timeout_wrapper(self, coro: Coroutine[Any, Any, T], timeout: float) -> T:
        """Await a coroutine for at most `timeout` seconds."""
        return await asyncio.wait_for(coro, timeout)

    async def cleanup_tasks(self) -> None:
        """Cancel every task that still runs, and wait for its end."""
        running = list(self.tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _limited(coro: Coroutine[Any, Any, T], limiter: penstock_limits.Limiter) -> T:
    async with limiter:
        return await coro
