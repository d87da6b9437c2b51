"""Many borrowers of the drop-in that do whatever comes into their heads."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
import warnings
from typing import Any

import asyncpg
import penstock_limits
import penstock_pooling
import pytest
from penstock_limits import ConcurrencyConfig
from penstock_pooling.testing import PostgresServer

from tests.pooling.database.counting import sessions
from tests.pooling.database.registered import the_pool
from tests.pooling.waiting import reached

MAX_SIZE = 4
ANSWERS = ("SELECT 1", "SELECT pg_sleep(0.001)", "SELECT 1/0", "SET work_mem = '1MB'", "CREATE TEMP TABLE t (a int)")
numbers = itertools.count()


async def borrow(dsn: str, dice: random.Random) -> None:
    """Connect, leave something behind, and end somehow."""
    connection = await penstock_pooling.connect(dsn)
    try:
        assert await connection.fetchval("SHOW work_mem") == "4MB"
        assert await connection.fetchval("SELECT pg_my_temp_schema()::regclass IS NOT NULL") is not None
        for query in dice.sample(ANSWERS, dice.randrange(3)):
            with contextlib.suppress(asyncpg.DivisionByZeroError, asyncpg.DuplicateTableError):
                if dice.random() < 0.5:
                    async with connection.transaction():
                        await connection.execute(query)
                else:
                    await connection.fetch(query)
        if dice.random() < 0.2:
            await connection.transaction().start()
        if dice.random() < 0.1:
            await connection.fetchval("SELECT set_config('my.own', '1', true)")
    finally:
        end = dice.random()
        if end < 0.6:
            await connection.close()
        elif end < 0.75:
            await asyncio.gather(connection.close(), connection.close())
            await connection.close()
        elif end < 0.85:
            connection.terminate()
        elif end < 0.9:
            with contextlib.suppress(TimeoutError):
                await connection.close(timeout=dice.choice([1e-9, 1e-4]))
        # else it is forgotten
        if end < 0.9:
            assert connection.is_closed()


async def live(dsn: str, dice: random.Random) -> None:
    """Borrow now and again, and be cancelled now and again, at any point."""
    for _ in range(12):
        task = asyncio.ensure_future(borrow(dsn, dice))
        if dice.random() < 0.3:
            for _ in range(dice.randrange(60)):
                await asyncio.sleep(0)
            if dice.random() < 0.5:
                await asyncio.sleep(dice.random() * 0.004)
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[] if seed < 1 else pytest.mark.slow) for seed in range(20)])
async def test_nothing_is_lost_and_there_is_never_one_too_many(
    seed: int, postgres: PostgresServer, switch: Any, admin: asyncpg.Connection
) -> None:
    """Whatever borrowers do, the server never has more sessions than allowed, and in the end all places are free."""
    penstock_limits.configure(
        ConcurrencyConfig(rag_pool_min_size=0, rag_pool_max_size=MAX_SIZE, database_operation_timeout=20)
    )
    name = f"fuzz-{next(numbers)}"
    dsn = f"{postgres.dsn}?application_name={name}"
    borrowers = [live(dsn, random.Random(f"{seed} {number}")) for number in range(10)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of those that are forgotten
        living = asyncio.gather(*borrowers)
        most = 0
        while not living.done():
            most = max(most, await sessions(admin, name))
        await living
        pool = the_pool()
        await reached(lambda: gc.collect() >= 0 and not pool.statistics().running and not pool._background)

    assert 0 < most <= MAX_SIZE
    assert pool.statistics().queued == 0
    connections = [await penstock_pooling.connect(dsn) for _ in range(MAX_SIZE)]
    assert [await each.fetchval("SELECT 1") for each in connections] == [1] * MAX_SIZE
    assert await sessions(admin, name) == MAX_SIZE
    for connection in connections:
        await connection.close()
