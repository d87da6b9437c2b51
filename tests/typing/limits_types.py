"""Never run: type checkers must infer what is asserted here."""

from __future__ import annotations

import asyncio
from typing import assert_type

from penstock_limits import Limiter, LimiterStatistics, Mode, bounded_map, gather


async def number(item: int) -> int:
    return item


async def text() -> str:
    return ""


async def gathers(limiter: Limiter) -> None:
    assert_type(await gather(number(1), text(), limit="api_call"), tuple[int, str])
    one, two = await gather(number(1), text(), limit=3, return_exceptions=True)
    assert_type(one, int | BaseException)
    assert_type(two, str | BaseException)
    assert_type(await gather(*[number(1)], limit=limiter), list[int])
    assert_type(gather(*[number(1)], return_exceptions=True), asyncio.Future[list[int | BaseException]])


async def maps(limiter: Limiter) -> None:
    async for result in bounded_map(number, [1, 2], limit=3):
        assert_type(result, int)
    async with bounded_map(number, [1, 2], limit=limiter, on_error="return") as results:
        async for either in results:
            assert_type(either, int | Exception)


async def limits(limiter: Limiter) -> None:
    async with limiter as nothing:
        assert_type(nothing, None)
    assert_type(limiter.statistics(), LimiterStatistics)
    assert_type(limiter.mode, Mode)
