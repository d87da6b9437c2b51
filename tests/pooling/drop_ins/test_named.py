"""Named pools of psycopg connections and of SQLAlchemy engines, behind the same manager."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading

import penstock_limits
import psycopg
import pytest
from penstock_limits import ConcurrencyConfig, ConcurrencyManager, ConfigurationError
from penstock_pooling import (
    DatabasePoolManager,
    PoolDeadlockError,
    PoolPlaceError,
    PoolQueueFullError,
    PoolSettings,
    PoolTimeoutError,
)
from penstock_pooling._named.named_pool import NamedPool
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tests.limits.sources import Source
from tests.pooling.waiting import reached

DRIVERS = ["psycopg", "sqlalchemy+psycopg", "sqlalchemy+asyncpg"]


@pytest.fixture(params=DRIVERS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def settings(kind: str, dsn: str):
    """Make settings for a driver."""
    driver, _, awaited = kind.partition("+")
    told = dsn.replace("postgresql:", f"postgresql+{awaited}:") if awaited else dsn

    def make(**more) -> PoolSettings:
        return PoolSettings(told, driver=driver, **({"min_size": 1, "max_size": 2} | more))

    return make


async def ask(connection, query: str = "SELECT pg_backend_pid()"):
    if isinstance(connection, psycopg.AsyncConnection):
        return (await (await connection.execute(query)).fetchone())[0]
    return await connection.scalar(text(query))


async def do(connection, statement: str) -> None:
    await connection.execute(text(statement) if isinstance(connection, AsyncConnection) else statement)


async def test_a_named_pool_lends_connections_of_its_driver(kind: str, settings) -> None:
    """The same session, one after the other, as it was when it was opened."""
    async with DatabasePoolManager({"rag": settings()}) as pools:
        pids = set()
        for _ in range(4):
            async with pools.connection("rag") as connection:
                assert isinstance(connection, psycopg.AsyncConnection if kind == "psycopg" else AsyncConnection)
                assert await ask(connection, "SHOW work_mem") == "4MB"
                await do(connection, "SET work_mem = '1MB'")
                pids.add(await ask(connection))
                await connection.commit()

        told = pools.pool("rag").statistics()
        assert len(pids) == 1
        assert (told.running, told.open, told.idle, told.min_size, told.max_running) == (0, 1, 1, 1, 2)
        assert told.discarded == 0


async def test_connections_are_got_and_released_in_two_steps(settings) -> None:
    """Releasing one twice does no harm."""
    async with DatabasePoolManager({"rag": settings()}) as pools:
        connection = await pools.get_connection("rag")
        assert await ask(connection)
        await pools.release_connection("rag", connection)
        await pools.release_connection("rag", connection)

        assert pools.pool("rag").statistics().running == 0


async def test_min_size_is_opened_at_the_start_and_a_wrong_dsn_is_told(kind: str, settings, monkeypatch) -> None:
    """Without the dsn in the message."""
    async with DatabasePoolManager({"rag": settings(min_size=2)}) as pools:
        assert pools.pool("rag").statistics().idle == 2

    driver = kind.partition("+")[0]
    with pytest.raises(ConfigurationError, match="is not shown") as caught:
        await DatabasePoolManager({"rag": PoolSettings("sesame=", driver=driver)}).initialize_pools()
    assert "sesame" not in str(caught.value)

    with pytest.raises(ConfigurationError, match="command_timeout = 1; allowed with the driver psycopg is None"):
        PoolSettings(driver="psycopg", command_timeout=1)
    with pytest.raises(ConfigurationError, match="one of: asyncpg, psycopg, sqlalchemy"):
        PoolSettings(driver="mysql")


async def test_a_pool_is_a_resource_from_its_opening_to_its_end(kind: str, settings) -> None:
    """What could not be made or opened never is one, though its error is kept, and it with that."""

    def shown() -> list[object]:
        return [each for each in penstock_limits.resources() if each.name == "shown"]

    unreadable = PoolSettings("sesame=", driver=kind.partition("+")[0])
    for wrong, error in ((unreadable, ConfigurationError), (settings(password="wrong"), Exception)):
        with pytest.raises(error) as caught:
            await DatabasePoolManager({"shown": wrong}).initialize_pools()
        assert shown() == []
        del caught

    async with DatabasePoolManager({"shown": settings()}) as pools:
        pool = pools.pool("shown")
        assert shown() == [pool]
    assert shown() == []
    assert pool.statistics().open == 0


async def test_a_server_that_refuses_is_told_by_the_driver(settings, dsn: str) -> None:
    """And no place is lost."""
    password = dsn.split(":")[2].split("@", maxsplit=1)[0]
    with pytest.raises(Exception, match="password authentication failed"):
        await DatabasePoolManager({"rag": settings(password="wrong")}).initialize_pools()

    asked = []

    async def tell() -> str:
        asked.append(password)
        return password

    async with (
        DatabasePoolManager({"rag": settings(password=tell)}) as pools,
        pools.connection("rag"),
        pools.connection("rag"),
    ):
        assert len(asked) == 2  # once for each that was opened


async def test_callers_wait_their_turn_and_no_longer_than_they_would(settings) -> None:
    """With the lines that have the connections."""
    async with DatabasePoolManager({"rag": settings(max_size=1, max_queued=1)}) as pools:
        done, held = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with pools.connection("rag"):
                held.set()
                await done.wait()

        task = asyncio.create_task(hold())
        await held.wait()
        with pytest.raises(
            PoolTimeoutError, match=r"'rag' lent no connection within 0.05 s.*test_named.py:\d+ in .*hold"
        ):
            await pools.get_connection("rag", timeout=0.05)
        waiting = asyncio.create_task(pools.get_connection("rag", timeout=30))
        await reached(lambda: pools.pool("rag").statistics().queued == 1)
        with pytest.raises(PoolQueueFullError):
            await pools.get_connection("rag")
        done.set()
        await task
        await pools.release_connection("rag", await waiting)

        told = pools.pool("rag").statistics()
        assert (told.timed_out, told.rejected, told.waited, told.running) == (1, 1, 1, 0)


async def test_a_task_that_would_wait_for_itself_is_told(settings) -> None:
    """At once."""
    async with DatabasePoolManager({"rag": settings(max_size=1)}) as pools, pools.connection("rag"):
        with pytest.raises(PoolDeadlockError, match=r"test_named.py:\d+"):
            async with pools.connection("rag"):
                pass


async def test_a_manager_resizes_them(settings) -> None:
    """Whoever waits gets what there is more."""
    async with DatabasePoolManager({"rag": settings(min_size=0, max_size=1)}) as pools:
        manager = ConcurrencyManager(pools=pools)
        pools.resize("rag", min_size=0, max_size=1)
        async with manager.connection("rag"):
            waiting = asyncio.create_task(pools.get_connection("rag"))
            await reached(lambda: pools.pool("rag").statistics().queued == 1)
            manager.reload(ConcurrencyConfig(rag_pool_min_size=0, rag_pool_max_size=2))
            await pools.release_connection("rag", await waiting)


async def test_closing_waits_and_cuts_off_what_does_not_come_back(settings, events) -> None:
    """Whoever waits is refused; nobody gets one afterwards, until it is opened again."""
    pools = DatabasePoolManager({"rag": settings(max_size=1, close_timeout=0.05)})
    await pools.initialize_pools()
    pool, connection = pools.pool("rag"), await pools.get_connection("rag")

    async def wait() -> None:
        await pool.acquire()

    waiting = asyncio.create_task(wait())
    await reached(lambda: pool.statistics().queued == 1)
    await pools.close()

    with pytest.raises(RuntimeError, match="'rag' is closed"):
        await waiting
    with pytest.raises(RuntimeError, match="not open"):
        await pools.get_connection("rag")
    assert "pool.abandoned" in [event.name for event in events]
    assert pool.statistics().abandoned == 1
    with pytest.raises(Exception, match=r"clos|terminat|lost"):
        await ask(connection)
    await connection.close()

    async with pools, pools.connection("rag") as connection:
        assert await ask(connection)


async def test_it_belongs_to_its_loop(settings) -> None:
    """Elsewhere it says so."""
    async with DatabasePoolManager({"rag": settings()}) as pools:

        async def elsewhere() -> None:
            await pools.get_connection("rag")

        with pytest.raises(PoolPlaceError):
            await asyncio.to_thread(asyncio.run, elsewhere())


async def test_modes_are_those_of_the_capability(settings, kind: str) -> None:
    """Off connects for each borrower, observe counts, enforce pools; a change takes effect while it runs."""
    source = Source("off", "pooled-database")
    penstock_limits.set_mode_source(source)
    async with DatabasePoolManager({"rag": settings(max_size=1)}, mode=None) as pools:

        async def pids() -> int:
            found = set()
            for _ in range(3):
                async with pools.connection("rag") as connection:
                    found.add(await ask(connection))
            return len(found)

        pool = pools.pool("rag")
        assert await pids() == 3
        assert pool.statistics().acquired == 0
        source.turn("observe")
        assert await pids() == 3
        assert (pool.statistics().acquired, pool.statistics().would_reuse) == (3, 2)
        source.turn("enforce")
        assert await pids() == 1
        source.turn("off")
        await reached(lambda: pool.statistics().open == 0)


async def test_sessions_of_the_orm_use_the_engine_of_a_pool(dsn: str) -> None:
    """With the same bound."""
    url = dsn.replace("postgresql:", "postgresql+asyncpg:")
    settings = PoolSettings(url, driver="sqlalchemy", min_size=0, max_size=1)
    async with (
        DatabasePoolManager({"rag": settings}) as pools,
        AsyncSession(pools.pool("rag").engine) as session,
    ):
        assert await session.scalar(text("SELECT 1")) == 1
        with pytest.raises(PoolDeadlockError):
            await pools.get_connection("rag")


async def test_a_block_of_psycopg_commits_or_rolls_back(dsn: str) -> None:
    """As psycopg's own does."""
    async with DatabasePoolManager({"rag": PoolSettings(dsn, driver="psycopg")}) as pools:
        async with pools.connection("rag") as connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS named (value int)")
            await connection.execute("TRUNCATE named")
            await connection.execute("INSERT INTO named VALUES (1)")
        with contextlib.suppress(KeyError):
            async with pools.connection("rag") as connection:
                await connection.execute("INSERT INTO named VALUES (2)")
                raise KeyError
        async with pools.connection("rag") as connection:
            assert await ask(connection, "SELECT count(*) FROM named") == 1


async def test_closing_that_is_cancelled_cuts_off(settings, dsn: str) -> None:
    """As asyncpg's does: nothing stays open that nobody could close any more."""
    pools = DatabasePoolManager({"rag": settings(min_size=2, max_size=2)})
    await pools.initialize_pools()
    pool, connection = pools.pool("rag"), await pools.get_connection("rag")
    closing = asyncio.create_task(pools.close())
    await reached(pool.is_closing)
    closing.cancel()
    await asyncio.wait([closing])

    told = pool.statistics()
    assert (told.running, told.open, told.abandoned) == (0, 0, 1)
    with contextlib.suppress(Exception):  # it is cut off
        await pool.release(connection)


async def test_a_session_that_the_server_has_just_ended_is_not_lent(settings, dsn: str) -> None:
    """Although the event loop has not had the time to see it."""
    async with DatabasePoolManager({"rag": settings(max_size=1)}) as pools:
        async with pools.connection("rag") as connection:
            pid = await ask(connection)
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 30_000)", (pid,))
        async with pools.connection("rag") as connection:
            assert await ask(connection) != pid


@pytest.mark.slow
async def test_a_pool_that_another_thread_resizes_loses_no_place(settings) -> None:
    """Whoever gets a place from that thread has it, and gives it back."""
    async with DatabasePoolManager({"rag": settings(min_size=0, max_size=1)}) as pools:
        over = threading.Event()

        def resize() -> None:
            for size in itertools.cycle((1, 2, 3, 4)):
                if over.is_set():
                    return
                pools.resize("rag", min_size=0, max_size=size)

        async def use() -> None:
            for _ in range(40):
                async with pools.connection("rag"):
                    await asyncio.sleep(0)

        thread = threading.Thread(target=resize)
        thread.start()
        try:
            await asyncio.gather(*(use() for _ in range(10)))
        finally:
            over.set()
            await asyncio.to_thread(thread.join)

        assert pools.pool("rag").statistics().running == 0


@pytest.mark.parametrize("kind", ["asyncpg", *DRIVERS], indirect=True)
async def test_closing_leaves_no_query_running_at_the_server(settings, dsn: str, events) -> None:
    """What is cut off is cancelled, as the server would go on with it; it is told of once."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        pools = DatabasePoolManager({"rag": settings(max_size=1, close_timeout=0.01)})
        await pools.initialize_pools()
        pool, connection = pools.pool("rag"), await pools.get_connection("rag")
        running = asyncio.create_task(do(connection, "SELECT pg_sleep(600) /* left */"))
        await reached(lambda: admin.execute(LEFT).fetchone()[0] == 1)
        await pools.close()

        await reached(lambda: admin.execute(LEFT).fetchone()[0] == 0)
        assert isinstance((await asyncio.gather(running, return_exceptions=True))[0], Exception)
        assert pool.statistics().abandoned == 1
        assert [event.name for event in events].count("pool.abandoned") == 1
        with contextlib.suppress(Exception):  # it is cut off
            await pool.release(connection)


LEFT = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%/* left */' AND state = 'active'"


async def test_a_mode_that_changes_while_a_pool_is_opened_counts(settings, monkeypatch) -> None:
    """It keeps nothing then: nobody has told it, as it is no resource yet."""
    source = Source("enforce", "pooled-database")
    penstock_limits.set_mode_source(source)
    keep, manager = NamedPool._keep, DatabasePoolManager({"rag": settings(min_size=2)}, mode=None)

    def keep_and_switch_off(pool, session) -> None:
        keep(pool, session)
        source.turn("off")

    monkeypatch.setattr(NamedPool, "_keep", keep_and_switch_off)
    async with manager as pools:
        assert pools.pool("rag").statistics().idle == 0
