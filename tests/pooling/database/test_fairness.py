"""Who gets a connection that came free."""

from __future__ import annotations

import asyncio
import random

import asyncpg
import pytest
from penstock_pooling import Pool, PoolQueueFullError, PoolTimeoutError, create_pool

from tests.pooling.waiting import reached


async def queued(pool: Pool, callers: int, order: list[int]) -> list[asyncio.Task[None]]:
    """Let callers wait, one after the other, that note when they are served."""

    async def call(number: int) -> None:
        async with pool.acquire() as connection:
            order.append(number)
            assert await connection.fetchval("SELECT 1") == 1

    tasks = []
    for number in range(callers):
        tasks.append(asyncio.create_task(call(number)))
        await reached(lambda: pool.statistics().queued == len(tasks))
    return tasks


@pytest.mark.parametrize("way", ["release", "close", "terminate", "remote close", "reset fails"])
async def test_a_freed_connection_goes_to_the_longest_waiter_whatever_frees_it(
    way: str, dsn: str, admin: asyncpg.Connection
) -> None:
    """Nobody is passed over, and newcomers wait behind."""
    async with create_pool(dsn, min_size=1, max_size=1) as pool:
        connection, order = await pool.acquire(), []
        waiting = await queued(pool, 3, order)

        if way == "close":
            await connection.close()
        elif way == "terminate":
            connection.terminate()
        elif way == "remote close":
            await admin.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            await reached(lambda: connection._con is None)
        elif way == "reset fails":
            connection._con._protocol.abort()
        await pool.release(connection)
        newcomer = asyncio.create_task(pool.fetchval("SELECT 2"))
        await asyncio.gather(*waiting)

        assert order == [0, 1, 2]
        assert await newcomer == 2
        assert pool.statistics().running == 0


async def test_a_newcomer_does_not_overtake_a_waiter_that_has_not_resumed(dsn: str) -> None:
    """The connection is the waiter's as soon as it is free."""
    async with create_pool(dsn, min_size=1, max_size=1) as pool:
        holder, order = await pool.acquire(), []
        waiting = await queued(pool, 1, order)
        await pool.release(holder)
        async with pool.acquire():
            order.append("newcomer")
        await asyncio.gather(*waiting)

        assert order == [0, "newcomer"]


async def test_who_is_cancelled_with_a_connection_in_hand_passes_it_on(dsn: str) -> None:
    """It was handed to a task that never ran again."""
    async with create_pool(dsn, min_size=1, max_size=1) as pool:
        holder, order = await pool.acquire(), []
        first, second = await queued(pool, 2, order)
        hand_on = pool._queue.put_nowait

        def hand_on_and_cancel(holder: object) -> None:
            hand_on(holder)
            first.cancel()

        pool._queue.put_nowait = hand_on_and_cancel
        await pool.release(holder)
        await asyncio.wait([first, second])

        assert first.cancelled()
        assert order == [1]
        assert pool.statistics().idle == 1


async def test_who_is_cancelled_while_it_waits_leaves_the_queue(dsn: str) -> None:
    """The others keep their order."""
    async with create_pool(dsn, min_size=1, max_size=1) as pool:
        holder, order = await pool.acquire(), []
        waiting = await queued(pool, 3, order)
        waiting[1].cancel()
        await asyncio.wait(waiting[1:2])

        assert pool.statistics().queued == 2

        await pool.release(holder)
        await asyncio.gather(waiting[0], waiting[2])

        assert order == [0, 2]


async def test_a_full_queue_refuses_at_once_and_names_the_borrowers(dsn: str, events: list) -> None:
    """The message says who is out, and what to do."""
    async with create_pool(dsn, name="rag", min_size=1, max_size=1, max_queued=1) as pool:
        holder = await pool.acquire()
        waiting = await queued(pool, 1, [])
        with pytest.raises(PoolQueueFullError, match=r"'rag'.* 1 of 1 callers wait.*test_fairness.py:\d+ in test_a_"):
            await pool.acquire()
        await pool.release(holder)
        await asyncio.gather(*waiting)

        assert [event.name for event in events] == ["pool.rejected"]
        assert pool.statistics().rejected == 1


@pytest.mark.parametrize("operation", ["acquire", "fetch", "fetchval", "fetchrow", "execute"])
async def test_nothing_waits_beyond_the_default_deadline(operation: str, dsn: str, events: list) -> None:
    """Also what borrows a connection by itself."""
    async with create_pool(dsn, name="rag", min_size=1, max_size=1, acquire_timeout=0.01) as pool:
        holder = await pool.acquire()
        arguments = () if operation == "acquire" else ("SELECT 1",)

        async def ask() -> None:
            await getattr(pool, operation)(*arguments)

        with pytest.raises(PoolTimeoutError, match=r"'rag' lent no connection within 0.01 s.*test_fairness.py:\d+"):
            await asyncio.create_task(ask())
        assert [event.name for event in events] == ["pool.timed_out"]
        await pool.release(holder, timeout=30)

        assert pool.statistics().timed_out == 1
        async with pool.acquire(timeout=30) as connection:
            assert await connection.fetchval("SELECT 1") == 1


async def test_a_server_that_does_not_answer_is_waited_for_as_long_as_for_a_connection() -> None:
    """The deadline covers the wait and the opening, and the error tells them apart."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        pool = create_pool(f"postgresql://u:secret@127.0.0.1:{port}/d", min_size=0, max_size=1, name="rag")
        async with pool:
            pool._patience = 0.01
            with pytest.raises(PoolTimeoutError, match=r"could not connect to its server within 0\.05 s") as caught:
                await pool.acquire(timeout=0.05)

            assert "secret" not in str(caught.value)
            await reached(lambda: pool._queue.qsize() == 1)  # when the connect has been given up, too


async def test_a_hundred_workers_on_ten_connections_wait_their_turn_and_not_more(dsn: str) -> None:
    """While one waits, each of the others is served at most once; with asyncpg's own pool it is 4 to 5 times."""
    async with create_pool(dsn, min_size=10, max_size=10) as pool:
        served, passed_by = 0, []

        async def work() -> None:
            nonlocal served
            for _ in range(20):
                before = served
                async with pool.acquire() as connection:
                    served += 1
                    passed_by.append(served - before)
                    await connection.execute("SELECT pg_sleep(0.001)")

        await asyncio.gather(*(work() for _ in range(100)))

        assert max(passed_by) <= 100


def watch_order(pool: Pool) -> list[object]:
    """Return a list that gets every waiter that another one has overtaken."""
    line, overtaken = [], []
    join, leave, pop = pool._queue.join, pool._queue.leave, pool._queue._pop

    def joining(waiter: object, task: object, deadline: float) -> None:
        line.append(waiter)
        join(waiter, task, deadline)

    def leaving(waiter: object) -> None:
        if waiter in line:
            line.remove(waiter)
        leave(waiter)

    def popping() -> object:
        waiter = pop()
        overtaken.extend(each for each in line[: line.index(waiter)] if not each.done())
        line.remove(waiter)
        return waiter

    pool._queue.join, pool._queue.leave, pool._queue._pop = joining, leaving, popping
    return overtaken


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
async def test_a_storm_of_cancellations_loses_no_connection_and_no_order(seed: int, dsn: str) -> None:
    """Callers that come, go, are cancelled, close and terminate what they hold, under a pool that is resized."""
    chance = random.Random(seed)
    async with create_pool(dsn, min_size=1, max_size=3, acquire_timeout=None, max_lifetime=0.05) as pool:
        overtaken = watch_order(pool)

        async def call() -> None:
            async with pool.acquire(timeout=chance.choice([None, None, 0.001, 1.0])) as connection:
                for _ in range(chance.randrange(3)):
                    await connection.execute(chance.choice(["SELECT 1", "SELECT pg_sleep(0.002)"]))
                what = chance.random()
                if what < 0.1:
                    await connection.close()
                elif what < 0.2:
                    connection.terminate()

        tasks: list[asyncio.Task[None]] = []
        for _ in range(300):
            what = chance.random()
            if what < 0.6:
                tasks.append(asyncio.create_task(call()))
            elif what < 0.8 and tasks:
                chance.choice(tasks).cancel()
            elif what < 0.83:
                pool.resize(max_size=chance.randint(1, 5))
            else:
                await asyncio.sleep(chance.choice([0, 0, 0.001]))
        results = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [each for each in results if isinstance(each, Exception) and not isinstance(each, TimeoutError)]
        await reached(lambda: pool._maintenance_task is None and not pool._background)

        assert errors == []
        assert overtaken == []
        statistics = pool.statistics()
        assert (statistics.running, statistics.queued) == (0, 0)
        assert pool._borrowers.having == {}
        assert pool._queue.qsize() == len(pool._holders) == pool.get_max_size()
        assert await pool.fetchval("SELECT 1") == 1
