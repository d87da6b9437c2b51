"""Borrow a database connection and give it back: what our pool adds to asyncpg's own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import asyncpg
import penstock_pooling
from penstock_pooling.testing import PostgresServer

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch


class NeverReset(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """Leaves out the round trip to the server, which both pools make, and which is not what is measured."""

    def get_reset_query(self) -> str:
        return ""


async def borrow(create_pool: Callable[..., Any], size: int, stopwatch: Stopwatch) -> None:
    with PostgresServer() as server:
        async with create_pool(server.dsn, min_size=10, max_size=10, connection_class=NeverReset) as pool:
            with stopwatch:
                for _ in repeat(None, size):
                    async with pool.acquire():
                        pass


async def of_asyncpg(size: int, stopwatch: Stopwatch) -> None:
    await borrow(asyncpg.create_pool, size, stopwatch)


async def ours(size: int, stopwatch: Stopwatch) -> None:
    await borrow(penstock_pooling.create_pool, size, stopwatch)


BAR = Bar(
    title="connections borrowed",
    size=30_000,
    quick_size=30_000,
    rounds=7,
    contenders=(
        Contender("asyncpg.Pool", of_asyncpg),
        Contender("penstock_pooling.Pool", ours, added_at_most=7),
    ),
)
