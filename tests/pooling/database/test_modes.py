"""Off, observe and enforce."""

from __future__ import annotations

import asyncio

import asyncpg
import penstock_limits
import pytest
from penstock_limits import Mode
from penstock_pooling import create_pool

from tests.limits.sources import Source
from tests.pooling.database.counting import sessions
from tests.pooling.waiting import reached

SETTINGS = {"application_name": "modes"}
CAPABILITY = "pooled-database"


@pytest.mark.parametrize("mode", ["off", "observe"])
async def test_without_pooling_each_borrower_has_a_connection_of_its_own(
    mode: str, dsn: str, admin: asyncpg.Connection
) -> None:
    """Opened when it comes, closed when it goes, without any limit."""
    async with create_pool(dsn, mode=mode, min_size=1, max_size=1, server_settings=SETTINGS) as pool:
        assert await sessions(admin, "modes") == 0

        async with pool.acquire() as first, pool.acquire() as second:
            assert first.get_server_pid() != second.get_server_pid()
            assert await sessions(admin, "modes") == 2

        assert await sessions(admin, "modes") == 0
        assert len(pool._holders) == 1


async def test_observing_counts_what_a_pool_would_have_done(dsn: str) -> None:
    """Off counts only what is out."""
    for mode, expected in (("observe", (2, 1, 3)), ("off", (0, 0, 0))):
        async with create_pool(dsn, mode=mode, min_size=1, max_size=1, max_queued=1) as pool:
            for _ in range(2):  # the first would have found the connection open, and so would the second
                async with pool.acquire():
                    pass
            async with pool.acquire(), pool.acquire(), pool.acquire():
                assert pool.statistics().running == 3
            statistics = pool.statistics()

            assert (statistics.would_wait, statistics.would_reject) == expected[:2]
            assert statistics.acquired == statistics.opened == 5
            assert (statistics.would_reuse > 0) == (mode == "observe")


async def test_without_pooling_there_is_no_deadline_but_the_callers(dsn: str) -> None:
    """Before, there was none either."""
    async with create_pool(dsn, mode="off", min_size=1, max_size=1, acquire_timeout=1e-9) as pool:
        assert await pool.fetchval("SELECT 1") == 1
        with pytest.raises(TimeoutError):
            await pool.acquire(timeout=1e-9)

        assert pool.statistics().running == 0


async def test_a_pool_without_a_mode_follows_its_capability(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off until told otherwise; the environment goes first."""
    pool = create_pool(dsn, mode=None)

    assert pool.mode is Mode.OFF

    penstock_limits.set_mode_source(Source("observe", CAPABILITY))

    assert pool.mode is Mode.OBSERVE

    monkeypatch.setenv("PENSTOCK_MODE_POOLED_DATABASE", "enforce")

    assert pool.mode is Mode.ENFORCE


async def test_switching_off_lets_those_who_wait_connect(dsn: str, admin: asyncpg.Connection) -> None:
    """And closes the pool's connections, each as it comes back."""
    source = Source("enforce", CAPABILITY)
    penstock_limits.set_mode_source(source)
    async with create_pool(dsn, mode=None, min_size=2, max_size=2, server_settings=SETTINGS) as pool:
        first, second = await pool.acquire(), await pool.acquire()
        waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
        await reached(lambda: pool.statistics().queued == 1)
        await pool.release(second)
        waiting_too = [asyncio.create_task(pool.fetchval("SELECT 1")) for _ in range(3)]
        await asyncio.sleep(0)
        source.turn("off")

        assert await asyncio.gather(waiting, *waiting_too) == [1] * 4

        await pool.release(first)
        await reached(lambda: not pool._background)

        assert await sessions(admin, "modes") == 0


async def test_switching_on_fills_the_pool_and_bounds_it(dsn: str, admin: asyncpg.Connection) -> None:
    """What was opened before is closed when it comes back."""
    source = Source("off", CAPABILITY)
    penstock_limits.set_mode_source(source)
    async with create_pool(dsn, mode=None, min_size=2, max_size=2, server_settings=SETTINGS) as pool:
        before = await pool.acquire()
        source.turn("enforce")
        async with pool.acquire(), pool.acquire():
            with pytest.raises(TimeoutError):
                await pool.acquire(timeout=0.01)
        await pool.release(before)
        await reached(lambda: pool._maintenance_task is None and pool.get_size() == 2)

        assert await sessions(admin, "modes") == 2
        assert len(pool._holders) == pool._queue.qsize() == 2


async def test_modes_that_flip_under_load_lose_nothing(dsn: str, admin: asyncpg.Connection) -> None:
    """The mode is read at the entry and travels with the connection."""
    source = Source("enforce", CAPABILITY)
    penstock_limits.set_mode_source(source)
    async with create_pool(dsn, mode=None, min_size=1, max_size=2, server_settings=SETTINGS) as pool:

        async def work() -> None:
            for _ in range(10):
                assert await pool.fetchval("SELECT 1") == 1

        workers = [asyncio.create_task(work()) for _ in range(10)]
        for mode in ("off", "enforce", "observe", "enforce", "off", "enforce"):
            await asyncio.sleep(0.02)
            source.turn(mode)
        await asyncio.gather(*workers)
        await reached(lambda: not pool._background and pool._maintenance_task is None)

        statistics = pool.statistics()
        assert (statistics.running, statistics.queued, statistics.acquired) == (0, 0, 100)
        assert len(pool._holders) == pool._queue.qsize() == 2
        assert await sessions(admin, "modes") <= 2


async def test_a_mode_that_changes_after_the_end_of_the_loop_does_no_harm(dsn: str) -> None:
    """The pool is still in the registry."""
    source = Source("enforce", CAPABILITY)
    penstock_limits.set_mode_source(source)
    pool = create_pool(dsn, mode=None, min_size=0, max_size=1)

    async def leave_open() -> None:
        await pool

    await asyncio.to_thread(asyncio.run, leave_open())
    source.turn("off")

    assert pool.mode is Mode.OFF
