"""A caller that would wait for itself is told so at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest
from penstock_limits import ConcurrencyConfig, configure
from penstock_pooling import Pool, PoolDeadlockError, PoolTimeoutError, close_pools, connect, create_pool

from tests.pooling.waiting import reached


async def test_a_task_that_holds_every_connection_is_refused_another(dsn: str, events: list) -> None:
    """With the line that borrowed it, and what to do; the pool goes on."""
    async with create_pool(dsn, name="rag", min_size=1, max_size=2, acquire_timeout=None) as pool:
        async with pool.acquire(), pool.acquire():
            with pytest.raises(PoolDeadlockError, match=r"'rag' would never serve.*test_deadlock.py:\d+.*max_size"):
                await pool.fetch("SELECT 1")

        assert [event.name for event in events] == ["pool.deadlocked"]
        assert pool.statistics().deadlocked == 1
        assert await pool.fetchval("SELECT 1") == 1


async def test_it_is_told_without_a_block_too(dsn: str) -> None:
    """Nothing but the task's own variables refers to the connection."""
    async with create_pool(dsn, min_size=1, max_size=1, acquire_timeout=None) as pool:
        connection = await pool.acquire()
        with pytest.raises(PoolDeadlockError):
            await pool.acquire()
        await pool.release(connection)


async def test_whoever_is_prepared_for_a_timeout_is_for_this(dsn: str) -> None:
    """It is one, told at once."""
    async with create_pool(dsn, min_size=1, max_size=1) as pool, pool.acquire():
        with pytest.raises(TimeoutError):
            await pool.acquire(timeout=30)


async def test_tasks_that_wait_for_each_other_are_told_by_the_last_of_them(dsn: str) -> None:
    """The others get what it gives back."""
    async with create_pool(dsn, min_size=2, max_size=2, acquire_timeout=None) as pool:
        both_have_one = asyncio.Barrier(2)

        async def nested() -> str:
            async with pool.acquire():
                await both_have_one.wait()
                try:
                    async with pool.acquire():
                        return "served"
                except PoolDeadlockError:
                    return "refused"

        assert sorted(await asyncio.gather(nested(), nested())) == ["refused", "served"]


async def test_a_second_connection_that_can_be_had_is_only_counted(dsn: str) -> None:
    """As long as others are free, or will come back."""
    async with create_pool(dsn, min_size=1, max_size=2) as pool:
        async with pool.acquire(), pool.acquire():
            pass

        assert pool.statistics().nested == 1

        async def keep(until: asyncio.Event) -> None:
            async with pool.acquire():
                await until.wait()

        enough = asyncio.Event()
        other = asyncio.create_task(keep(enough))
        await reached(lambda: pool.statistics().running == 1)
        async with pool.acquire():
            asyncio.get_running_loop().call_soon(enough.set)
            async with pool.acquire():
                pass
        await other

        assert pool.statistics().deadlocked == 0


class Job:
    def __init__(self, connection: object) -> None:
        self.connection = connection


@pytest.mark.parametrize("way", ["argument", "attribute", "queue"])
async def test_a_task_that_hands_its_connections_on_may_wait(way: str, dsn: str) -> None:
    """Somebody else gives them back: an accept loop that is bounded by its pool."""
    async with create_pool(dsn, min_size=1, max_size=1, acquire_timeout=None) as pool:
        jobs: asyncio.Queue[object] = asyncio.Queue()

        async def use(connection: object = None) -> None:
            if way != "argument":
                connection = await jobs.get()
            connection = connection.connection if isinstance(connection, Job) else connection
            await connection.fetchval("SELECT 1")
            await pool.release(connection)

        tasks = []
        for _ in range(3):
            connection = await pool.acquire()
            if way == "argument":
                tasks.append(asyncio.create_task(use(connection)))
            else:
                tasks.append(asyncio.create_task(use()))
                jobs.put_nowait(Job(connection) if way == "attribute" else connection)
            del connection
        await asyncio.gather(*tasks)

        assert pool.statistics().deadlocked == 0


async def test_who_hands_on_is_looked_at_once_for_each_line(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look takes in everything in memory."""
    from penstock_pooling._asyncpg import deadlock

    looks = []
    is_kept = deadlock.is_kept
    monkeypatch.setattr(deadlock, "is_kept", lambda holder: looks.append(holder) or is_kept(holder))
    async with create_pool(dsn, min_size=1, max_size=1, acquire_timeout=None) as pool:
        tasks = []
        for _ in range(5):
            connection = await pool.acquire()
            tasks.append(asyncio.create_task(give_back(pool, connection)))
        await asyncio.gather(*tasks)

    assert len(looks) == 1


async def give_back(pool: Pool, connection: object) -> None:
    await connection.fetchval("SELECT 1")
    await pool.release(connection)


async def test_who_waits_for_its_children_times_out_and_reads_who_holds_what(dsn: str) -> None:
    """That it waits for them cannot be seen; its deadline ends it."""
    async with create_pool(dsn, min_size=1, max_size=1, acquire_timeout=0.05) as pool, pool.acquire():
        with pytest.raises(PoolTimeoutError, match="test_who_waits_for_its_children") as caught:
            await asyncio.gather(pool.fetchval("SELECT 1"))

        assert not isinstance(caught.value, PoolDeadlockError)


@pytest.mark.parametrize("way", ["exit stack", "generator", "context manager"])
async def test_a_block_that_another_task_may_leave_is_waited_for(way: str, dsn: str) -> None:
    """Who entered it is not who ends it."""
    async with create_pool(dsn, min_size=1, max_size=1, acquire_timeout=None) as pool:
        waits = asyncio.Event()

        async def connections() -> AsyncGenerator[object]:
            async with pool.acquire() as connection:
                yield connection

        async def leave(block: object) -> None:
            await reached(lambda: pool.statistics().queued == 1)
            waits.set()
            if way == "generator":
                await block.aclose()
            else:
                await block.__aexit__(None, None, None)

        if way == "exit stack":
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(pool.acquire())
                block = stack.pop_all()
        elif way == "generator":
            block = connections()
            await anext(block)
        else:
            block = contextlib.asynccontextmanager(connections)()
            await block.__aenter__()
        other = asyncio.create_task(leave(block))

        assert await pool.fetchval("SELECT 1") == 1
        assert waits.is_set()
        await other


async def test_a_connection_on_its_way_back_is_waited_for(dsn: str) -> None:
    """Its release was cut short for its borrower, and goes on."""
    goes_on = asyncio.Event()

    async def reset(connection: object) -> None:
        await goes_on.wait()

    async with create_pool(dsn, min_size=1, max_size=1, acquire_timeout=None, reset=reset) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as deadline, pool.acquire():
                deadline.reschedule(0)
        asyncio.get_running_loop().call_later(0.01, goes_on.set)

        assert await pool.fetchval("SELECT 1") == 1
        assert pool.statistics().deadlocked == 0


async def test_a_waiter_that_was_cancelled_waits_no_more(dsn: str) -> None:
    """Even if it has not run since; it is about to give back what it has."""
    async with create_pool(dsn, min_size=2, max_size=2, acquire_timeout=None) as pool:

        async def nested() -> None:
            async with pool.acquire(), pool.acquire():
                pass

        async with pool.acquire():
            other = asyncio.create_task(nested())
            await reached(lambda: pool.statistics().queued == 1)
            other.cancel()

            assert await pool.fetchval("SELECT 1") == 1
        await asyncio.wait([other])

        assert other.cancelled()


@pytest.mark.parametrize("block", ["deadline", "timeout block"])
async def test_who_would_give_up_first_is_refused(block: str, dsn: str) -> None:
    """The others wait for what it gives back; it would have waited in vain, and learns that at once."""
    async with create_pool(dsn, min_size=2, max_size=2, acquire_timeout=60) as pool:

        async def nested() -> str:
            async with pool.acquire():
                try:
                    async with asyncio.timeout(20 if block == "timeout block" else None):
                        await pool.acquire(timeout=20 if block == "deadline" else None)
                except PoolDeadlockError:
                    return "refused"

        async with pool.acquire():
            other = asyncio.create_task(nested())
            await reached(lambda: pool.statistics().queued == 1)

            assert await pool.fetchval("SELECT 1", timeout=30) == 1
        assert await other == "refused"


async def test_who_tries_again_at_once_does_not_stop_the_loop(dsn: str) -> None:
    """A refusal takes one turn of it."""
    async with create_pool(dsn, min_size=1, max_size=1) as pool, pool.acquire():
        turned = asyncio.Event()
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, turned.set)
        tries = 0
        while not turned.is_set():
            tries += 1
            with pytest.raises(PoolDeadlockError):
                await pool.acquire()

        assert tries <= 3


async def test_a_pool_that_shrinks_under_those_who_wait_tells_them(dsn: str) -> None:
    """With the last other place goes the last hope."""
    async with create_pool(dsn, min_size=2, max_size=2, acquire_timeout=None) as pool:
        other = await asyncio.create_task(borrowed(pool))

        async def shrink() -> None:
            await reached(lambda: pool.statistics().queued == 1)
            pool.resize(min_size=1, max_size=1)
            await pool.release(other)

        async with pool.acquire():
            shrinking = asyncio.create_task(shrink())
            with pytest.raises(PoolDeadlockError):
                await pool.fetchval("SELECT 1")
        await shrinking


async def borrowed(pool: Pool) -> object:
    return await pool.acquire()


async def test_a_connection_borrowed_by_wait_for_is_its_callers(dsn: str, events: list) -> None:
    """Which is in another task in Python 3.11, and told so in `pool.leaked` and here."""
    async with create_pool(dsn, min_size=1, max_size=1, acquire_timeout=None, leak_after=0.01) as pool:
        connection = await asyncio.wait_for(pool.acquire(), 30)
        with pytest.raises(PoolDeadlockError):
            await pool.acquire()
        await reached(lambda: any(event.name == "pool.leaked" for event in events))
        await pool.release(connection)

    assert [event.details["task_ended"] for event in events if event.name == "pool.leaked"] == [False]


async def test_a_connection_of_the_drop_in_that_was_cut_off_is_waited_for(dsn: str, switch: object) -> None:
    """It comes free when the server has let go of it."""
    configure(ConcurrencyConfig(rag_pool_min_size=1, rag_pool_max_size=1, database_operation_timeout=30))
    try:
        connection = await connect(dsn)
        connection.terminate()
        connection = await connect(dsn)

        assert await connection.fetchval("SELECT 1") == 1

        await connection.close()
    finally:
        await close_pools()


async def test_a_connection_that_frozen_memory_refers_to_may_be_given_back(dsn: str, frozen: list[object]) -> None:
    """No search finds what does; so nobody is refused, but a task that waits inside its own block."""
    async with create_pool(dsn, min_size=1, max_size=1, acquire_timeout=30) as pool:

        async def lend_and_wait() -> None:
            frozen.append(await pool.acquire())
            async with pool.acquire():
                pass

        waiting = asyncio.create_task(lend_and_wait())
        await reached(lambda: pool.statistics().queued == 1)
        await pool.release(frozen.pop())
        await waiting

        async with pool.acquire():
            with pytest.raises(PoolDeadlockError):
                await pool.fetchval("SELECT 1")
