"""How long callers wait for a connection: `python -m benchmarks.fairness` compares asyncpg's pool with ours.

A hundred workers share ten connections and hold each for ten milliseconds. In a fair pool, a caller waits for one
cycle: the time in which everybody is served once.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import penstock_pooling
from penstock_pooling.testing import PostgresServer
from rich.console import Console
from rich.table import Table

WORKERS, CONNECTIONS, TURNS = 100, 10, 50
MOST = 1.5  # cycles, for 99.9 % of the waits
POOLS: dict[str, Callable[..., Any]] = {
    "asyncpg.Pool": asyncpg.create_pool,
    "penstock_pooling.Pool": penstock_pooling.create_pool,
}


@dataclass(frozen=True)
class Waits:
    """How a pool did.

    Attributes:
        served: Connections lent each second.
        cycle: Seconds in which everybody is served once.
        most: What 99.9 % of the callers waited at most, in cycles.
    """

    served: float
    cycle: float
    most: float


async def measure(create_pool: Callable[..., Any], dsn: str) -> Waits:
    """Let the workers work."""
    async with create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        loop = asyncio.get_running_loop()
        waits: list[float] = []

        async def work() -> None:
            for _ in range(TURNS):
                began = loop.time()
                async with pool.acquire() as connection:
                    waits.append(loop.time() - began)
                    await connection.execute("SELECT pg_sleep(0.01)")

        began = loop.time()
        await asyncio.gather(*(work() for _ in range(WORKERS)))
        elapsed = loop.time() - began
    waits.sort()
    return Waits(len(waits) / elapsed, elapsed / TURNS, waits[int(len(waits) * 0.999)] / (elapsed / TURNS))


def main() -> int:
    """Measure both pools, and tell whether ours keeps to its bar."""
    with PostgresServer() as server:
        measured = {name: asyncio.run(measure(create_pool, server.dsn)) for name, create_pool in POOLS.items()}
    table = Table(title=f"{WORKERS} workers on {CONNECTIONS} connections", title_justify="left")
    for heading in ("pool", "lent per second", "cycle, ms", "99.9 % wait at most, cycles"):
        table.add_column(heading)
    for name, waits in measured.items():
        table.add_row(name, f"{waits.served:,.0f}", f"{waits.cycle * 1e3:.0f}", f"{waits.most:.2f}")
    Console().print(table)
    return int(measured["penstock_pooling.Pool"].most > MOST)


if __name__ == "__main__":
    sys.exit(main())
