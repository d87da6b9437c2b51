"""However many tasks, pools and processes want connections, the server never sees more than are configured."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from penstock_pooling.testing import PostgresServer

from tests.load.borrowers import MAX_SIZES

ROOT = Path(__file__).parents[2]
PROCESSES = 3
SEEN = """
    SELECT application_name, count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1
"""


async def borrowers(dsn: str, loads: int) -> asyncio.subprocess.Process:
    """Start a process that borrows."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.load.borrowers", dsn, str(loads)),
        cwd=ROOT,
        env=os.environ | {"PENSTOCK_MODE_POOLED_DATABASE": "enforce"},
        stderr=asyncio.subprocess.PIPE,
    )


async def watched(dsn: str, ends: asyncio.Task[Any]) -> Counter[str]:
    """Return how many connections were open at most, of each name and in all, until somebody has ended."""
    most: Counter[str] = Counter()
    observer = await asyncpg.connect(dsn)
    try:
        while not ends.done():
            seen = Counter(dict(await observer.fetch(SEEN)))
            most |= Counter(all=seen.total())
            del seen[""]  # who is not let in yet
            most |= seen
            await asyncio.sleep(0)
    finally:
        await observer.close()
    return most


async def hold(dsn: str, processes: int, loads: int) -> Counter[str]:
    started = [await borrowers(dsn, loads) for _ in range(processes)]
    try:
        ends = asyncio.ensure_future(asyncio.gather(*[process.communicate() for process in started]))
        most = await watched(dsn, ends)
        assert [process.returncode for process in started] == [0] * processes, [e.decode() for _, e in await ends]
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
    return most


@pytest.mark.parametrize("processes", [1, pytest.param(PROCESSES, marks=pytest.mark.slow)])
def test_the_server_never_sees_more_connections_than_are_configured(processes: int) -> None:
    """Each pool of each process its own maximum, while connections get old and are replaced, and all of it is used."""
    with PostgresServer(max_connections=100) as server:
        most = asyncio.run(hold(server.dsn, processes, loads=10 * processes))

    allowed = {name: size * processes for name, size in (MAX_SIZES | {"all": sum(MAX_SIZES.values())}).items()}
    assert {name: number for name, number in most.items() if number > allowed[name]} == {}
    assert most.keys() == allowed.keys()
    assert most["all"] > allowed["all"] / 2
