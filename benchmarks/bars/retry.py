"""Call a decorated coroutine function that succeeds: what every call pays for being retried when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import repeat

import backoff
import penstock_limits
import stamina
import tenacity

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch


async def answer() -> int:
    return 42


async def call(function: Callable[[], Awaitable[int]], size: int, stopwatch: Stopwatch) -> None:
    await function()
    with stopwatch:
        for _ in repeat(None, size):
            await function()


async def with_stamina(size: int, stopwatch: Stopwatch) -> None:
    await call(stamina.retry(on=ConnectionError, attempts=3)(answer), size, stopwatch)


async def with_retry(size: int, stopwatch: Stopwatch) -> None:
    await call(penstock_limits.retry("answer", on=ConnectionError, attempts=3)(answer), size, stopwatch)


async def with_tenacity(size: int, stopwatch: Stopwatch) -> None:
    decorate = tenacity.retry(
        retry=tenacity.retry_if_exception_type(ConnectionError),
        stop=tenacity.stop_after_attempt(3) | tenacity.stop_after_delay(45),
        wait=tenacity.wait_random_exponential(0.1, 10),
        reraise=True,
    )
    await call(decorate(answer), size, stopwatch)


async def with_backoff(size: int, stopwatch: Stopwatch) -> None:
    decorate = backoff.on_exception(backoff.expo, ConnectionError, max_tries=3, max_time=45)
    await call(decorate(answer), size, stopwatch)


async def by_hand(size: int, stopwatch: Stopwatch) -> None:
    async def answered() -> int:
        for attempt in range(3):
            try:
                return await answer()
            except ConnectionError:
                if attempt == 2:
                    raise
            await asyncio.sleep(penstock_limits.backoff_delay(attempt))
        raise AssertionError

    await call(answered, size, stopwatch)


BAR = Bar(
    title="retry on success",
    size=100_000,
    quick_size=100_000,
    rounds=7,
    contenders=(
        Contender("stamina.retry", with_stamina),
        Contender("retry", with_retry, ratio_at_most=0.05),
        Contender("tenacity.retry", with_tenacity),
        Contender("backoff.on_exception", with_backoff),
        Contender("a loop by hand", by_hand),
    ),
)
