"""Connect to a database, ask it one thing and close: per operation, as programs do, and with the drop-in."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import repeat
from typing import Any

import asyncpg
import penstock_pooling
from penstock_pooling.testing import PostgresServer

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch


async def ask(connect: Callable[..., Any], size: int, stopwatch: Stopwatch) -> None:
    with PostgresServer() as server, stopwatch:
        for _ in repeat(None, size):
            connection = await connect(server.dsn)
            await connection.fetchval("SELECT 1")
            await connection.close()
        await penstock_pooling.close_pools()


async def of_asyncpg(size: int, stopwatch: Stopwatch) -> None:
    await ask(asyncpg.connect, size, stopwatch)


async def of_an_asyncpg_pool(size: int, stopwatch: Stopwatch) -> None:
    """What a program gets that is rewritten by hand: prepared statements stay, and much of a session's state."""
    with PostgresServer() as server:
        async with asyncpg.create_pool(server.dsn, min_size=1) as pool:
            with stopwatch:
                for _ in repeat(None, size):
                    async with pool.acquire() as connection:
                        await connection.fetchval("SELECT 1")


async def ours(mode: str, size: int, stopwatch: Stopwatch) -> None:
    os.environ["PENSTOCK_MODE_POOLED_DATABASE"] = mode
    await ask(penstock_pooling.connect, size, stopwatch)


async def off(size: int, stopwatch: Stopwatch) -> None:
    await ours("off", size, stopwatch)


async def observe(size: int, stopwatch: Stopwatch) -> None:
    await ours("observe", size, stopwatch)


async def enforce(size: int, stopwatch: Stopwatch) -> None:
    await ours("enforce", size, stopwatch)


BAR = Bar(
    title="database connections for one query each",
    size=1_000,
    quick_size=200,
    rounds=5,
    contenders=(
        Contender("asyncpg.connect", of_asyncpg),
        Contender("penstock_pooling.connect, off", off, ratio_at_most=1.2),
        Contender("penstock_pooling.connect, observe", observe, ratio_at_most=1.2),
        Contender("penstock_pooling.connect, enforce", enforce, ratio_at_most=0.25),
        Contender("asyncpg.Pool", of_an_asyncpg_pool),
    ),
)
