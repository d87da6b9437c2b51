"""One engine of SQLAlchemy for each set of arguments."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import penstock_pooling.sqlalchemy
import pytest
import sqlalchemy
from penstock_pooling import PoolDeadlockError, PoolTimeoutError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from tests.pooling.waiting import PATIENCE, until

create_engine = penstock_pooling.sqlalchemy.create_engine
create_async_engine = penstock_pooling.sqlalchemy.create_async_engine
PID = text("SELECT pg_backend_pid()")


@pytest.fixture(autouse=True)
def closed_engines():
    yield
    penstock_pooling.sqlalchemy.close_pools()


@pytest.fixture(params=["psycopg", "psycopg2"])
def url(request: pytest.FixtureRequest, own_dsn: str) -> str:
    return own_dsn.replace("postgresql:", f"postgresql+{request.param}:")


@pytest.fixture(params=["psycopg", "asyncpg"])
def async_url(request: pytest.FixtureRequest, own_dsn: str) -> str:
    told = own_dsn.replace("postgresql:", f"postgresql+{request.param}:")
    return told.split("?", maxsplit=1)[0] if request.param == "asyncpg" else told


def pid(engine: sqlalchemy.Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(PID)


async def pid_async(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(PID)


def test_off_is_sqlalchemys_own(url: str) -> None:
    """A new engine for each call."""
    first, second = create_engine(url), create_engine(url)

    assert first is not second
    assert type(first.pool) is sqlalchemy.QueuePool


def test_observe_counts_and_gives_sqlalchemys_own(url: str, pool, monkeypatch: pytest.MonkeyPatch, size) -> None:
    """With what a pool would have done."""
    monkeypatch.setenv("PENSTOCK_MODE", "observe")
    size(1)
    engine, other = create_engine(url), create_engine(url)
    with engine.connect(), other.connect():
        assert pool().statistics().running == 2

    told = pool().statistics()
    assert (told.running, told.acquired, told.would_wait, told.would_reuse) == (0, 2, 1, 1)
    assert type(engine.pool) is sqlalchemy.QueuePool
    engine.dispose()
    other.dispose()


@pytest.mark.usefixtures("enforce")
def test_the_same_arguments_give_the_same_engine(url: str) -> None:
    """Whatever the sizes it was told; others give others."""
    engine = create_engine(url, pool_size=1, max_overflow=0)

    assert create_engine(url, pool_size=1, max_overflow=0) is engine
    assert create_engine(url) is not engine
    assert create_engine(sqlalchemy.make_url(url)) is not engine
    assert isinstance(engine, sqlalchemy.Engine)


@pytest.mark.usefixtures("enforce")
def test_dispose_is_harmless(url: str) -> None:
    """Whoever uses the engine at the same time does not notice."""
    engine = create_engine(url)
    first = pid(engine)
    with engine.connect() as connection:
        create_engine(url).dispose()
        engine.execution_options(isolation_level="AUTOCOMMIT").dispose()

        assert connection.scalar(PID) == first

    assert pid(engine) == first


@pytest.mark.usefixtures("enforce")
@pytest.mark.parametrize(
    "arguments", [{"connect_args": {"connect_timeout": 10}}, {"poolclass": NullPool}], ids=["unhashable", "own pool"]
)
def test_what_cannot_be_shared_is_sqlalchemys_own(arguments: dict, url: str) -> None:
    """An argument that cannot be hashed, and a pool of the program's own choice."""
    engine = create_engine(url, **arguments)

    assert create_engine(url, **arguments) is not engine
    pid(engine)
    engine.dispose()


@pytest.mark.usefixtures("enforce")
def test_sqlite_is_left_alone() -> None:
    """There is nothing to pool."""
    assert create_engine("sqlite://") is not create_engine("sqlite://")


@pytest.mark.usefixtures("enforce")
def test_a_connection_comes_back_as_it_was_opened(url: str, pool) -> None:
    """Settings, temporary tables, locks and listeners of the session are gone, and the session is the same."""
    engine = create_engine(url)
    with engine.connect() as connection:
        first = connection.scalar(PID)
        connection.execute(text("SET work_mem = '1234kB'"))
        connection.execute(text("CREATE TEMPORARY TABLE mine (value int)"))
        connection.execute(text("SELECT pg_advisory_lock(9)"))
        connection.execute(text("LISTEN news"))
        connection.commit()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert connection.scalar(PID) == first
        assert connection.scalar(text("SHOW work_mem")) == "4MB"
        assert connection.scalar(text("SELECT to_regclass('mine')")) is None
        assert connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 9")) == 0
        assert connection.scalar(text("SELECT count(*) FROM pg_listening_channels()")) == 0
    with engine.connect() as connection:
        assert connection.connection.dbapi_connection.autocommit is False
        assert connection.scalar(PID) == first

    assert pool().statistics().discarded == 0


@pytest.mark.usefixtures("enforce")
def test_statements_prepared_by_the_driver_go_on(url: str) -> None:
    """Psycopg prepares what is run often, and keeps account of it over many borrowers."""
    engine = create_engine(url)
    for number in range(20):
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT CAST(:number AS int)"), {"number": number}) == number


@pytest.mark.usefixtures("enforce")
def test_sessions_of_the_orm_use_it(url: str, sessions) -> None:
    """And open one connection, one after the other."""
    for _ in range(3):
        with Session(create_engine(url)) as session, session.begin():
            session.execute(text("SELECT 1"))

    assert sessions() == 1


@pytest.mark.usefixtures("enforce")
def test_a_connection_that_the_server_closed_is_replaced(url: str, own_dsn: str, sessions) -> None:
    """Before anybody gets it."""
    first = pid(create_engine(url))
    other = sqlalchemy.create_engine(url)
    with other.connect() as admin:
        admin.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": first})
    other.dispose()
    until(lambda: sessions() == 0)

    assert pid(create_engine(url)) != first


@pytest.mark.usefixtures("enforce")
def test_a_thread_that_has_all_is_told_at_once(url: str, size) -> None:
    """With the line that has them."""
    size(1, 600.0)
    with (
        create_engine(url).connect(),
        pytest.raises(PoolDeadlockError, match=r"test_engines.py:\d+ in test_a_thread_that_has_all"),
    ):
        create_engine(url).connect()


@pytest.mark.usefixtures("enforce")
def test_a_full_pool_says_who_has_its_connections(url: str, size) -> None:
    """After `database_operation_timeout`, and no more are open than may be."""
    size(1, 0.05)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with create_engine(url).connect():
            held.set()
            done.wait(PATIENCE)

    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(hold)
        held.wait(PATIENCE)
        with pytest.raises(PoolTimeoutError, match="hold"):
            create_engine(url).connect()
        done.set()
        future.result(PATIENCE)


@pytest.mark.usefixtures("enforce")
def test_threads_never_open_more_than_they_may(url: str, size, sessions, pool) -> None:
    """However many there are."""
    size(3, 600.0)

    def work(_: int) -> int:
        with create_engine(url).begin() as connection:
            return connection.scalar(text("SELECT 1 FROM pg_sleep(0.001)"))

    with ThreadPoolExecutor(10) as executor:
        assert sum(executor.map(work, range(100))) == 100

    assert sessions() == pool().statistics().open <= 3


@pytest.mark.usefixtures("enforce")
async def test_each_loop_has_an_engine(async_url: str) -> None:
    """And the same one for the same arguments; `dispose()` is harmless there, too."""
    engine = create_async_engine(async_url)
    first = await pid_async(engine)
    await engine.dispose()

    assert create_async_engine(async_url) is engine
    assert await pid_async(engine) == first

    def elsewhere() -> AsyncEngine:
        async def create() -> AsyncEngine:
            await pid_async(create_async_engine(async_url))
            return create_async_engine(async_url)

        return asyncio.run(create())

    assert await asyncio.to_thread(elsewhere) is not engine


@pytest.mark.usefixtures("enforce")
async def test_an_awaited_connection_comes_back_as_it_was_opened(async_url: str, pool) -> None:
    """The session is the same, and clean."""
    engine, pids = create_async_engine(async_url), set()
    for _ in range(8):
        async with AsyncSession(engine) as session:
            pids.add(await session.scalar(PID))
            assert await session.scalar(text("SHOW work_mem")) == "4MB"
            assert await session.scalar(text("SELECT to_regclass('mine')")) is None
            await session.execute(text("SET work_mem = '1234kB'"))
            await session.execute(text("CREATE TEMPORARY TABLE mine (value int)"))
            await session.execute(text("SELECT CAST(:number AS int)"), {"number": 1})
            await session.commit()

    assert len(pids) == 1
    assert pool().statistics().discarded == 0


@pytest.mark.usefixtures("enforce")
async def test_a_task_that_has_all_is_told_at_once(async_url: str, size) -> None:
    """And others wait for their turn."""
    size(1, 600.0)
    engine = create_async_engine(async_url)
    async with engine.connect():
        with pytest.raises(PoolDeadlockError, match=r"test_engines.py:\d+ in test_a_task_that_has_all"):
            await engine.connect()

    assert len(await asyncio.gather(*(pid_async(engine) for _ in range(5)))) == 5


@pytest.mark.usefixtures("enforce")
async def test_cancelled_tasks_lose_no_place(async_url: str, size, pool) -> None:
    """Whether they wait, or use what they got."""
    size(2, 600.0)
    engine = create_async_engine(async_url)

    async def use() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(600)"))

    tasks = [asyncio.create_task(use()) for _ in range(6)]
    while pool().statistics().queued < 4:
        await asyncio.sleep(0.001)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert pool().statistics().running == 0
    assert await pid_async(engine)


def test_where_no_loop_runs_it_is_sqlalchemys_own(async_url: str, enforce: None) -> None:
    """An engine for awaiting belongs to a loop."""
    assert create_async_engine(async_url) is not create_async_engine(async_url)


PROGRAM = """
import asyncio, sys
import penstock_pooling.sqlalchemy
from sqlalchemy import text

def run(url):
    with penstock_pooling.sqlalchemy.create_engine(url).connect() as connection:
        connection.execute(text("SELECT 1"))

async def run_async(url):
    async with penstock_pooling.sqlalchemy.create_async_engine(url).connect() as connection:
        await connection.execute(text("SELECT 1"))

dsn = sys.argv[1]
run(dsn.replace("postgresql:", "postgresql+psycopg:"))
run(dsn.replace("postgresql:", "postgresql+psycopg2:"))
asyncio.run(run_async(dsn.replace("postgresql:", "postgresql+psycopg:")))
asyncio.run(run_async(dsn.replace("postgresql:", "postgresql+asyncpg:")))
"""


def test_the_end_of_a_program_and_of_a_loop_leaves_nothing_to_complain_of(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that nobody has are closed."""
    monkeypatch.setenv("PENSTOCK_MODE", "enforce")
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, dsn], capture_output=True, text=True, timeout=60
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
