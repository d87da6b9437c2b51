"""Gather by the name of a limit whose flag is off: what a codemod costs before anything is switched on."""

from __future__ import annotations

import asyncio

from penstock_limits import gather

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch
from benchmarks._work import work


async def plain(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        await asyncio.gather(*[work(item) for item in range(size)])


async def named(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        await gather(*[work(item) for item in range(size)], limit="api_call")


BAR = Bar(
    title="coroutines gathered, mode off",
    size=10_000,
    quick_size=10_000,
    rounds=9,
    contenders=(Contender("asyncio.gather", plain), Contender("gather, name", named)),
)
