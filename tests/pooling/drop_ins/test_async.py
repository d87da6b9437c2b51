"""The awaited connections of psycopg."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import penstock_pooling.psycopg
import psycopg
import psycopg.rows
import pytest
from penstock_pooling import PoolDeadlockError, PoolTimeoutError

from tests.pooling.in_modes import in_modes
from tests.pooling.waiting import reached

connect = penstock_pooling.psycopg.AsyncConnection.connect
Program = Callable[[Callable[..., Awaitable[Any]], str], Awaitable[Any]]


async def ask(connection: psycopg.AsyncConnection, query: str) -> Any:
    cursor = await connection.execute(query)
    return (await cursor.fetchone())[0]


async def outcome(awaitable: Awaitable[Any]) -> Any:
    """Return what a program gives, or how it fails."""
    try:
        return await awaitable
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return f"{type(error).__module__}.{type(error).__qualname__}: {error}"


# --- programs that do the same with the driver's own and with the drop-in


async def with_block(connect, dsn):
    async with await connect(dsn) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept_too (value int)")
        await connection.execute("TRUNCATE kept_too")
        await connection.execute("INSERT INTO kept_too VALUES (1)")
    async with await connect(dsn) as other:
        return connection.closed, await connection.close(), await ask(other, "SELECT count(*) FROM kept_too")


async def with_block_that_fails(connect, dsn):
    async with await connect(dsn) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS undone_too (value int)")
    try:
        async with await connect(dsn) as connection:
            await connection.execute("INSERT INTO undone_too VALUES (1)")
            raise KeyError
    except KeyError:
        pass
    async with await connect(dsn) as other:
        return connection.closed, await ask(other, "SELECT count(*) FROM undone_too")


async def use_after_close(connect, dsn):
    connection = await connect(dsn, autocommit=True)
    cursor = await connection.execute("SELECT 1")
    await connection.close()
    async with await connect(dsn):
        return [
            await outcome(connection.execute("SELECT 1")),
            await outcome(cursor.execute("SELECT 1")),
            await outcome(cursor.fetchone()),
            await outcome(connection.commit()),
            await outcome(connection.rollback()),
            await outcome(connection.set_autocommit(False)),
            re.sub("0x[0-9a-f]+", "", repr(connection)),
        ]


async def what_is_left(connect, dsn):
    async with await connect(dsn) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.SERIALIZABLE)
        await connection.execute("SET work_mem = '1234kB'")
        await connection.execute("CREATE TEMPORARY TABLE mine (value int)")
        await connection.execute("SELECT pg_advisory_lock(8)")
        await connection.execute("LISTEN news")
        await connection.execute("PREPARE mine AS SELECT 1")
        connection.row_factory = psycopg.rows.dict_row
    async with await connect(dsn) as connection:
        return [
            await ask(connection, "SHOW work_mem"),
            await ask(connection, "SELECT to_regclass('mine')"),
            await ask(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 8"),
            await ask(connection, "SELECT count(*) FROM pg_listening_channels()"),
            await ask(connection, "SELECT count(*) FROM pg_prepared_statements"),
            connection.isolation_level,
            connection.autocommit,
        ]


async def factories(connect, dsn):
    async with await connect(dsn, row_factory=psycopg.rows.dict_row, autocommit=True) as connection:
        first = await (await connection.execute("SELECT 1 AS one")).fetchone(), connection.autocommit
    async with await connect(dsn) as connection:
        return first, await (await connection.execute("SELECT 1 AS one")).fetchone(), connection.autocommit


async def an_open_server_cursor(connect, dsn):
    connection = await connect(dsn)
    cursor = connection.cursor("mine")
    await cursor.execute("SELECT generate_series(1, 10)")
    await connection.close()
    async with await connect(dsn) as other:
        return await outcome(cursor.fetchone()), await outcome(cursor.close()), await ask(other, "SELECT 1")


async def closed_within_its_transaction(connect, dsn):
    async def run():
        async with await connect(dsn, autocommit=True) as connection, connection.transaction():
            await connection.execute("SELECT 1")
            await connection.close()

    return await outcome(run())


async def closed_while_a_query_runs(connect, dsn):
    connection = await connect(dsn)
    query = asyncio.ensure_future(connection.execute("SELECT pg_sleep(600)"))
    while connection.info.transaction_status != psycopg.pq.TransactionStatus.ACTIVE:
        await asyncio.sleep(0)
    await connection.close()
    query.cancel()
    await outcome(asyncio.wait([query]))
    async with await connect(dsn) as other:
        return connection.closed, await ask(other, "SELECT 1")


async def a_wrong_password(connect, dsn):
    return await outcome(connect(re.sub(":[^:@]+@", ":wrong@", dsn)))


async def nobody_listens(connect, dsn):
    return await outcome(connect(host="127.0.0.1", port=1, user="me", connect_timeout=5))


async def an_ended_session(connect, dsn):
    async with await connect(dsn) as connection:
        error = await outcome(ask(connection, "SELECT pg_terminate_backend(pg_backend_pid())"))
    async with await connect(dsn) as connection:
        return error, await ask(connection, "SELECT 1")


async def forgotten(connect, dsn):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        connection = await connect(dsn)
        await ask(connection, "SELECT 1")
        del connection
        gc.collect()
    return [(each.category.__name__, re.sub("0x[0-9a-f]+", "", str(each.message))) for each in told]


PROGRAMS: list[Program] = [
    with_block,
    with_block_that_fails,
    use_after_close,
    what_is_left,
    factories,
    an_open_server_cursor,
    closed_within_its_transaction,
    closed_while_a_query_runs,
    a_wrong_password,
    nobody_listens,
    an_ended_session,
    forgotten,
]


@pytest.mark.parametrize(("mode", "run"), in_modes((each.__name__, each) for each in PROGRAMS))
async def test_a_program_does_the_same(mode: str, run: Program, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the driver's own `connect`, and with the drop-in, the first time and the next."""
    expected = await outcome(run(psycopg.AsyncConnection.connect, dsn))

    monkeypatch.setenv("PENSTOCK_MODE_POOLED_DATABASE", mode)

    for _ in range(2):
        assert await outcome(run(connect, dsn)) == expected


# --- what it adds


async def test_off_and_observe_give_the_drivers_own(own_dsn: str, monkeypatch: pytest.MonkeyPatch, pool) -> None:
    """Observed ones are counted until they are closed."""
    async with await connect(own_dsn) as connection:
        assert type(connection) is psycopg.AsyncConnection

    monkeypatch.setenv("PENSTOCK_MODE", "observe")
    async with await connect(own_dsn) as connection:
        assert type(connection) is psycopg.AsyncConnection
        assert pool().statistics().running == 1

    assert pool().statistics().running == 0


@pytest.mark.usefixtures("enforce")
async def test_each_loop_has_sessions_of_its_own(own_dsn: str, sessions) -> None:
    """And they end with it."""
    async with await connect(own_dsn) as connection:
        first = await ask(connection, "SELECT pg_backend_pid()")
    async with await connect(own_dsn) as connection:
        assert await ask(connection, "SELECT pg_backend_pid()") == first

    async def elsewhere() -> int:
        async with await connect(own_dsn) as connection:
            return await ask(connection, "SELECT pg_backend_pid()")

    assert await asyncio.to_thread(asyncio.run, elsewhere()) != first
    await reached(lambda: sessions() == 1)


@pytest.mark.usefixtures("enforce")
async def test_tasks_are_served_in_the_order_they_came(own_dsn: str, size, pool) -> None:
    """Whoever comes first is served first."""
    size(1)
    served, connection = [], await connect(own_dsn)

    async def wait(number: int) -> None:
        async with await connect(own_dsn):
            served.append(number)

    tasks = []
    for number in range(6):
        tasks.append(asyncio.create_task(wait(number)))
        await reached(lambda: pool().statistics().queued == len(tasks))
    await connection.close()
    await asyncio.gather(*tasks)

    assert served == list(range(6))


@pytest.mark.usefixtures("enforce")
async def test_a_task_that_has_all_is_told_at_once(own_dsn: str, size, events) -> None:
    """With the line that has them."""
    size(2, 600.0)
    async with await connect(own_dsn), await connect(own_dsn):
        with pytest.raises(PoolDeadlockError, match=r"would never serve.*test_async.py:\d+"):
            await connect(own_dsn)

    assert [event.name for event in events] == ["pool.deadlocked"]
    await (await connect(own_dsn)).close()


@pytest.mark.usefixtures("enforce")
async def test_a_task_that_hands_its_connection_on_may_wait(own_dsn: str, size) -> None:
    """Another gives it back."""
    size(1, 600.0)

    async def use(connection: psycopg.AsyncConnection) -> None:
        await connection.execute("SELECT 1")
        await connection.close()

    task = asyncio.create_task(use(await connect(own_dsn)))
    await (await connect(own_dsn)).close()
    await task


@pytest.mark.usefixtures("enforce")
async def test_a_full_pool_names_the_lines_that_have_its_connections(own_dsn: str, size) -> None:
    """After `database_operation_timeout`."""
    size(1, 0.05)
    done = asyncio.Event()

    async def hold() -> None:
        async with await connect(own_dsn):
            await done.wait()

    task = asyncio.create_task(hold())
    await asyncio.sleep(0)
    with pytest.raises(PoolTimeoutError, match=r"test_async.py:\d+ in .*hold"):
        await connect(own_dsn)
    done.set()
    await task


@pytest.mark.usefixtures("enforce")
async def test_a_blocking_connection_that_would_stop_its_loop_is_refused_at_once(own_dsn: str, size) -> None:
    """While its thread waits, no other coroutine could give one back."""
    size(1, 600.0)
    had, done = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        with penstock_pooling.psycopg.connect(own_dsn):
            had.set()
            await done.wait()

    task = asyncio.create_task(hold())
    await had.wait()
    with pytest.raises(PoolDeadlockError):
        penstock_pooling.psycopg.connect(own_dsn)
    done.set()
    await task


@pytest.mark.usefixtures("enforce")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of those that are forgotten
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
async def test_tasks_use_it_at_random(seed: int, own_dsn: str, size, pool, sessions) -> None:
    """Cancelled anywhere, nobody gets what another has or left, nothing is lost, and never too many are open."""
    size(3, 600.0)
    dice, in_use, seen = random.Random(seed), set(), []

    async def once(ending: str) -> None:
        connection = await connect(own_dsn)
        mine = connection.info.backend_pid
        assert mine not in in_use
        in_use.add(mine)
        try:
            assert await ask(connection, "SHOW work_mem") == "4MB"
            if ending == "setting":
                await connection.execute("SET work_mem = '1MB'")
                await connection.commit()
            if ending == "error":
                await outcome(connection.execute("SELECT 1 / 0"))
            if ending == "autocommit":
                await connection.rollback()
                await connection.set_autocommit(True)
        finally:
            in_use.discard(mine)
            if ending != "forget":
                await connection.close()

    tasks = []
    for _ in range(150):
        tasks.append(asyncio.create_task(once(dice.choice(["close", "setting", "error", "autocommit", "forget"]))))
        for _ in range(dice.randrange(4)):
            await asyncio.sleep(0)
        if dice.random() < 0.3:
            dice.choice(tasks).cancel()
        if dice.random() < 0.2:
            seen.append(await asyncio.to_thread(sessions))
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    failures = [each for each in ends if each is not None and not isinstance(each, asyncio.CancelledError)]
    del tasks, ends  # those that were cancelled remember what they had
    gc.collect()

    assert failures == []
    assert max(seen) <= 3
    await reached(lambda: pool().statistics().running == 0)  # some are still being opened
    async with await connect(own_dsn) as connection:
        assert await ask(connection, "SELECT 1") == 1
