"""How long connections live, who has them, and how a pool grows, shrinks and ends."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import inspect
import pickle
import weakref

import asyncpg
import penstock_limits
import pytest
from penstock_limits import ConfigurationError
from penstock_pooling import (
    Pool,
    PoolDeadlockError,
    PoolPlaceError,
    PoolQueueFullError,
    PoolStatistics,
    PoolTimeoutError,
    create_pool,
)

from tests.pooling.database.counting import sessions
from tests.pooling.waiting import reached


async def test_a_pool_is_a_resource_and_an_asyncpg_pool(dsn: str) -> None:
    """Monitoring finds it; libraries that ask for a pool of asyncpg take it."""
    async with create_pool(dsn, name="rag", min_size=1, max_size=2) as pool:
        (seen,) = [each for each in penstock_limits.resources() if each.name == "rag"]
        async with pool.acquire():
            assert repr(pool) == "<Pool 'rag' enforce: 1 of 2 out, 1 open, 0 queued>"

        assert seen is pool
        assert isinstance(pool, asyncpg.Pool)
        assert (pool.kind, type(pool.statistics())) == ("pool", PoolStatistics)
        assert dsn not in repr(pool)


async def test_what_is_counted(dsn: str) -> None:
    """Waits and holds in seconds; the rest as it happens."""
    async with create_pool(dsn, min_size=0, max_size=1) as pool:
        holder = await pool.acquire()
        waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
        await reached(lambda: pool.statistics().queued == 1)
        await pool.release(holder)
        await waiting
        statistics = pool.statistics()

        assert (statistics.acquired, statistics.waited, statistics.opened, statistics.peak_running) == (2, 1, 1, 1)
        assert 0 < statistics.longest_wait == statistics.wait_seconds <= statistics.hold_seconds
        assert 0 < statistics.longest_hold < statistics.hold_seconds


async def test_a_leak_is_told_once_with_its_line_and_once_more_when_it_comes_back(dsn: str, events: list) -> None:
    """Who looks for it needs to know where, and whether it still is one."""
    async with create_pool(dsn, name="rag", min_size=2, max_size=2, leak_after=0.01) as pool:
        leaked = await pool.acquire()
        async with pool.acquire():
            await reached(lambda: len(events) == 2)
        await pool.release(leaked)

        assert [event.name for event in events] == ["pool.leaked", "pool.leaked", "pool.returned", "pool.returned"]
        assert {event.resource for event in events} == {"rag"}
        for event in events:
            assert "test_life.py:" in event.details["borrower"]
            assert "test_a_leak_is_told_once" in event.details["borrower"]
        assert pool.statistics().leaked == 2


async def test_a_leak_of_a_task_that_has_ended_says_so(dsn: str, events: list) -> None:
    """Then nobody is left to give it back."""
    async with create_pool(dsn, min_size=1, max_size=1, leak_after=0.01) as pool:

        async def leak() -> None:
            await pool.acquire()

        await asyncio.create_task(leak())
        await reached(lambda: events)

        assert events[0].details["task_ended"] is True
        await pool.close(timeout=0.01)


async def test_borrows_that_come_back_in_time_are_not_told(dsn: str, events: list) -> None:
    """One timer for all, and it keeps no pool alive."""
    pool = await create_pool(dsn, min_size=1, max_size=1, leak_after=0.5)
    for _ in range(20):
        async with pool.acquire():
            await asyncio.sleep(0.03)
    await pool.close()
    reference = weakref.ref(pool)
    del pool
    gc.collect()

    assert events == []
    assert reference() is None


async def test_an_old_connection_is_replaced_when_it_comes_back(dsn: str) -> None:
    """Not under its borrower."""
    async with create_pool(dsn, min_size=1, max_size=1, max_lifetime=0.02) as pool:
        async with pool.acquire() as connection:
            first = connection.get_server_pid()
            await reached(lambda: pool._holders[0].expires <= asyncio.get_running_loop().time())
            assert await connection.fetchval("SELECT 1") == 1
        async with pool.acquire() as connection:
            assert connection.get_server_pid() != first

        assert pool.statistics().expired >= 1


async def test_an_old_idle_connection_is_replaced_by_itself(dsn: str) -> None:
    """And the floor is kept."""
    async with create_pool(dsn, min_size=2, max_size=2, max_lifetime=0.05) as pool:
        first = {holder._con for holder in pool._holders}
        await reached(lambda: pool.get_size() == 2 and not first & {holder._con for holder in pool._holders})

        assert pool.statistics().expired >= 2
        assert pool._queue.qsize() == 2 or await pool.fetchval("SELECT 1") == 1


async def test_connections_do_not_all_end_at_the_same_time(dsn: str) -> None:
    """A tenth of their life is chance."""
    async with create_pool(dsn, min_size=5, max_size=5, max_lifetime=100) as pool:
        now = asyncio.get_running_loop().time()
        left = [holder.expires - now for holder in pool._holders]

        assert len({round(each, 3) for each in left}) > 1
        assert all(89 < each <= 100 for each in left)


async def test_connections_are_replaced_one_for_one(dsn: str, admin: asyncpg.Connection) -> None:
    """An outdated one is closed before another is opened, so the server never sees one too many."""
    settings = {"application_name": "expiring"}
    async with create_pool(dsn, min_size=1, max_size=1, server_settings=settings) as pool:
        for _ in range(20):
            await pool.expire_connections()
            async with pool.acquire():
                assert await sessions(admin, "expiring") == 1


async def test_a_pool_that_grows_serves_those_who_wait(dsn: str) -> None:
    """At once."""
    async with create_pool(dsn, min_size=1, max_size=1) as pool, pool.acquire():
        waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
        await reached(lambda: pool.statistics().queued == 1)
        pool.resize(max_size=2)

        assert await waiting == 1
        assert (pool.get_min_size(), pool.get_max_size()) == (1, 2)


async def test_a_pool_that_shrinks_closes_what_is_free_and_waits_for_the_rest(
    dsn: str, admin: asyncpg.Connection
) -> None:
    """Nobody loses the connection it has."""
    settings = {"application_name": "shrinking"}
    async with create_pool(dsn, min_size=4, max_size=4, server_settings=settings) as pool:
        first, second = await pool.acquire(), await pool.acquire()
        pool.resize(min_size=1, max_size=1)
        await reached(lambda: not pool._background)

        assert await sessions(admin, "shrinking") == 2
        assert await first.fetchval("SELECT 1") == 1

        await pool.release(first)
        await pool.release(second)
        await reached(lambda: not pool._background)

        assert await sessions(admin, "shrinking") == 1
        assert pool._queue.qsize() == len(pool._holders) == 1


async def test_a_floor_that_rises_is_filled(dsn: str) -> None:
    """In the background."""
    async with create_pool(dsn, min_size=1, max_size=3) as pool:
        pool.resize(min_size=3)

        await reached(lambda: pool.get_size() == 3)


@pytest.mark.parametrize("sizes", [{"min_size": 3}, {"max_size": 0}, {"min_size": -1}, {"max_size": 1.5}])
async def test_a_size_that_makes_no_sense_is_refused(sizes: dict, dsn: str) -> None:
    """And changes nothing."""
    async with create_pool(dsn, min_size=1, max_size=2) as pool:
        with pytest.raises(ConfigurationError, match="allowed is"):
            pool.resize(**sizes)

        assert (pool.get_min_size(), pool.get_max_size()) == (1, 2)


async def test_a_pool_that_was_resized_before_it_opens_opens_so(dsn: str) -> None:
    """Configuration may come late."""
    pool = create_pool(dsn, min_size=1, max_size=1)
    pool.resize(min_size=2, max_size=3)
    async with pool:
        assert (pool.get_size(), pool._queue.qsize()) == (2, 3)


async def test_closing_waits_for_what_is_out_and_refuses_who_waits(dsn: str) -> None:
    """Those would never be served."""
    pool = await create_pool(dsn, min_size=1, max_size=1)
    holder = await pool.acquire()
    waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
    await reached(lambda: pool.statistics().queued == 1)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(asyncpg.InterfaceError, match="pool is closing"):
        await waiting
    with pytest.raises(asyncpg.InterfaceError, match="pool is closing"):
        await pool.acquire()

    assert not closing.done()
    assert await holder.fetchval("SELECT 1") == 1

    await pool.release(holder)
    await closing


async def test_nobody_is_lent_a_connection_of_a_pool_that_began_to_close(dsn: str) -> None:
    """Not even who was handed one before, and has not run since."""
    pool = await create_pool(dsn, min_size=1, max_size=1)
    holder = await pool.acquire()
    waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
    await reached(lambda: pool.statistics().queued == 1)
    hand_on = pool._queue.put_nowait
    closing = []

    def hand_on_and_close(freed: object) -> None:
        hand_on(freed)
        if not closing:
            closing.append(asyncio.ensure_future(pool.close()))
            closing[0].get_loop()._ready.rotate(1)  # closing runs first

    pool._queue.put_nowait = hand_on_and_close
    await pool.release(holder)
    with pytest.raises(asyncpg.InterfaceError, match="pool is closing"):
        await waiting
    await closing[0]


async def test_closing_is_bounded_and_tells_what_was_still_out(dsn: str, events: list) -> None:
    """Those connections are cut off."""
    pool = await create_pool(dsn, name="rag", min_size=1, max_size=2)
    connection = await pool.acquire()
    await pool.close(timeout=0.01)

    (event,) = events
    assert (event.name, event.details["connections"]) == ("pool.abandoned", 1)
    assert "test_life.py:" in event.details["borrowers"]
    assert pool.statistics().abandoned == 1
    with pytest.raises(asyncpg.InterfaceError):
        await connection.fetchval("SELECT 1")


async def test_terminating_refuses_who_waits(dsn: str) -> None:
    """At once."""
    pool = await create_pool(dsn, min_size=1, max_size=1)
    await pool.acquire()
    waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
    await reached(lambda: pool.statistics().queued == 1)
    pool.terminate()
    with pytest.raises(asyncpg.InterfaceError, match="pool is closed"):
        await waiting


async def test_an_error_of_the_block_is_not_hidden_by_that_of_giving_back(dsn: str) -> None:
    """A broken connection cannot be reset either."""

    async def reset(connection: asyncpg.Connection) -> None:
        raise OSError("broken")

    async with create_pool(dsn, min_size=1, max_size=1, reset=reset) as pool:
        with pytest.raises(ZeroDivisionError):
            async with pool.acquire():
                raise ZeroDivisionError
        with pytest.raises(OSError, match="broken"):
            async with pool.acquire():
                pass

        assert pool.statistics().running == 0


async def test_a_pool_may_be_made_before_there_is_an_event_loop(dsn: str) -> None:
    """It belongs to that in which it is opened."""

    def make_and_use() -> int:
        pool = create_pool(dsn, min_size=1, max_size=1)

        async def use() -> int:
            async with pool:
                return await pool.fetchval("SELECT 1")

        return asyncio.run(use())

    assert await asyncio.to_thread(make_and_use) == 1


async def test_a_pool_is_used_in_its_own_event_loop_only(dsn: str) -> None:
    """A clear error, and never a hang."""

    async def use() -> None:
        for operation in (lambda: pool.fetchval("SELECT 1"), lambda: pool.release(connection), pool.close):
            with pytest.raises(PoolPlaceError, match="'rag' was opened in another event loop"):
                await operation()

    async with create_pool(dsn, name="rag", min_size=1, max_size=2) as pool, pool.acquire() as connection:
        await asyncio.to_thread(asyncio.run, use())


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_queued": -1},
        {"acquire_timeout": 0},
        {"max_lifetime": -1},
        {"leak_after": float("inf")},
        {"close_timeout": "1"},
        {"mode": "on"},
    ],
)
async def test_a_wrong_value_is_refused(wrong: dict) -> None:
    """With the pool, the key, the value and what is allowed."""
    ((key, value),) = wrong.items()
    with pytest.raises(ConfigurationError) as caught:
        create_pool("postgresql://u:secret@h/d", name="rag", **wrong)

    assert str(caught.value).startswith(f"pool 'rag': {key} = {value!r}; allowed ")


@pytest.mark.parametrize(
    "error",
    [
        PoolTimeoutError("rag", 3, 1.5, "somebody"),
        PoolTimeoutError("rag", 3, 1.5, ""),
        PoolQueueFullError("rag", 3, 3, "somebody"),
        PoolDeadlockError("rag", 2, 2, "somebody"),
        PoolPlaceError("rag", "process"),
    ],
)
def test_errors_can_be_sent_to_other_processes(error: Exception) -> None:
    """They say the same there."""
    received = pickle.loads(pickle.dumps(error))

    assert (type(received), str(received), vars(received)) == (type(error), str(error), vars(error))


def test_create_pool_takes_what_asyncpgs_takes_and_what_the_pool_takes() -> None:
    """With the same defaults."""
    ours, theirs = (inspect.signature(each).parameters for each in (create_pool, asyncpg.create_pool))
    of_the_pool = inspect.signature(Pool.__init__).parameters

    for name, parameter in theirs.items():
        assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind)
    for name in of_the_pool.keys() - {"self", "connect_args", "settings"}:
        assert ours[name].default == of_the_pool[name].default


def test_statistics_are_frozen() -> None:
    """A snapshot does not change."""
    assert dataclasses.is_dataclass(PoolStatistics)
    assert PoolStatistics.__dataclass_params__.frozen
    assert issubclass(Pool, asyncpg.Pool)


async def test_giving_back_twice_at_the_same_time_is_giving_back_once(dsn: str) -> None:
    """Cancelled in the first, and again in a `finally`: the second waits for the first."""
    async with create_pool(dsn, min_size=1, max_size=1) as pool:
        connection = await pool.acquire()
        pid = connection.get_server_pid()
        await asyncio.gather(pool.release(connection), pool.release(connection))
        connection = await pool.acquire()
        first = asyncio.create_task(pool.release(connection))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        await pool.release(connection)

        assert first.cancelled()
        async with pool.acquire() as connection:
            assert connection.get_server_pid() == pid


async def test_a_pool_that_shrinks_keeps_what_it_may_keep(dsn: str) -> None:
    """Even if all that is out comes back at the same time."""
    async with create_pool(dsn, min_size=0, max_size=5) as pool:
        connections = [await pool.acquire() for _ in range(5)]
        pool.resize(max_size=4)
        await asyncio.gather(*map(pool.release, connections))
        await reached(lambda: not pool._background)

        assert pool.get_size() == 4


async def test_a_cancelled_waiter_takes_no_place_in_the_queue(dsn: str) -> None:
    """Even before it has run."""
    async with create_pool(dsn, min_size=1, max_size=1, max_queued=1) as pool:
        holder = await pool.acquire()
        cancelled = asyncio.create_task(pool.fetchval("SELECT 1"))
        await reached(lambda: pool.statistics().queued == 1)
        waiting = asyncio.create_task(pool.fetchval("SELECT 2"))
        cancelled.cancel()
        await asyncio.wait([cancelled])
        await pool.release(holder)

        assert await waiting == 2
