"""A process that wants far more database connections than it may have: `python -m tests.load.borrowers DSN LOADS`.

It borrows from two pools of its own, and by the drop-in for `asyncpg.connect`; each names its sessions at the server.
"""

from __future__ import annotations

import asyncio
import sys

import penstock_pooling
from penstock_limits import ConcurrencyConfig, configure
from penstock_pooling import DatabasePoolManager, PoolSettings

MAX_SIZES = {"small": 2, "large": 5, "drop-in": 3}
BORROWERS = 40


def named(dsn: str, name: str) -> str:
    """Return a dsn whose sessions are known by a name."""
    return f"{dsn}?application_name={name}"


async def work(dsn: str, loads: int) -> None:
    """Borrow again and again, in many tasks at once."""
    configure(ConcurrencyConfig(rag_pool_min_size=0, rag_pool_max_size=MAX_SIZES["drop-in"]))
    settings = {
        name: PoolSettings(
            named(dsn, name), min_size=0, max_size=MAX_SIZES[name], acquire_timeout=None, max_lifetime=0.2
        )
        for name in ("small", "large")
    }
    async with DatabasePoolManager(settings) as pools:

        async def borrow(number: int) -> None:
            for _ in range(loads):
                async with pools.connection(("small", "large")[number % 2]) as connection:
                    await connection.fetchval("SELECT pg_sleep(0.001)")
                lent = await penstock_pooling.connect(named(dsn, "drop-in"))
                try:
                    await lent.fetchval("SELECT pg_sleep(0.001)")
                finally:
                    await lent.close()

        await asyncio.gather(*[borrow(number) for number in range(BORROWERS)])
    await penstock_pooling.close_pools()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2])))
