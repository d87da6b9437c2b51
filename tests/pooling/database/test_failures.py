"""The server dies, moves, is too small, hides behind a pooler; the process forks."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial

import asyncpg
import penstock_pooling
import psycopg
import pytest
from penstock_limits import ConfigurationError
from penstock_pooling import DatabasePoolManager, Pool, PoolPlaceError, PoolSettings, PoolTimeoutError, create_pool
from penstock_pooling.testing import PostgresServer

from tests.pooling.database.counting import sessions
from tests.pooling.database.pgbouncer import PgBouncer
from tests.pooling.waiting import reached

# The last is what asyncpg says of a connection whose server has just said its last words.
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, asyncpg.InternalClientError)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that the test may harm."""
    with PostgresServer(max_connections=20) as server:
        yield server


async def test_a_pool_survives_a_server_that_is_killed_under_load(server: PostgresServer, record_property) -> None:
    """Every caller is told, no connection and no place is lost, and it goes on by itself when the server is back."""
    async with create_pool(server.dsn, min_size=2, max_size=5, server_settings={"application_name": "load"}) as pool:
        loop, stop, served, failed = asyncio.get_running_loop(), False, [], []

        async def work() -> None:
            while not stop:
                try:
                    await pool.fetchval("SELECT pg_sleep(0.001)")
                    served.append(loop.time())
                except LOST:
                    failed.append(loop.time())
                    await asyncio.sleep(0.001)

        workers = [asyncio.create_task(work()) for _ in range(20)]
        await reached(lambda: len(served) > 100)
        for _ in range(2):
            await asyncio.to_thread(server.kill)
            failures = len(failed)
            await reached(lambda: len(failed) > failures + 20)  # noqa: B023 - it is waited for
            await asyncio.to_thread(server.start)
            began = loop.time()
            await reached(lambda: served[-1] > began)  # noqa: B023 - it is waited for
            record_property("seconds to recover", served[-1] - began)
            print(f"served again {served[-1] - began:.3f} s after the server was back")  # noqa: T201 - who runs it with -s wants to know
        stop = True
        await asyncio.gather(*workers)
        await reached(lambda: pool._maintenance_task is None)

        statistics = pool.statistics()
        assert (statistics.running, statistics.queued) == (0, 0)
        assert pool._queue.qsize() == len(pool._holders) == 5
        connection = await asyncpg.connect(server.dsn)
        assert await sessions(connection, "load") == pool.get_size() <= 5
        await connection.close()


@pytest.mark.parametrize("timeout", [None, 0.05], ids=["default deadline", "deadline of its own"])
async def test_a_server_that_stalls_costs_its_callers_no_more_than_their_deadline(
    timeout: float | None, server: PostgresServer, events: list
) -> None:
    """A connection whose reset gets no answer is cut off, and its place is free again."""
    wrong: list[dict] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: wrong.append(context))
    async with create_pool(server.dsn, min_size=1, max_size=1, acquire_timeout=0.1) as pool:
        connection = await pool.acquire(timeout=timeout and 5.0)
        stopped = server.pid, connection.get_server_pid()  # one takes new connections, one answers this one
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises((TimeoutError, asyncpg.ConnectionDoesNotExistError)):
                await pool.release(connection, timeout=timeout)
            with pytest.raises(PoolTimeoutError, match="could not connect to its server within"):
                await pool.acquire()
            assert pool.statistics().running == 0
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        assert await pool.fetchval("SELECT 1", timeout=30) == 1

    assert [event.name for event in events].count("pool.stalled") == (timeout is None)
    assert wrong == []


async def test_the_server_never_sees_more_connections_than_the_maximum(
    server: PostgresServer, admin: asyncpg.Connection
) -> None:
    """Over several pools, while connections age, expire and are cut off."""
    own = await asyncpg.connect(server.dsn)
    names = ("one", "two")
    async with (
        create_pool(server.dsn, min_size=1, max_size=3, max_lifetime=0.03, server_settings=app("one")) as one,
        create_pool(server.dsn, min_size=2, max_size=4, max_queries=5, server_settings=app("two")) as two,
    ):
        most = dict.fromkeys(names, 0)
        stop = asyncio.Event()

        async def watch() -> None:
            while not stop.is_set():
                for name in names:
                    most[name] = max(most[name], await sessions(own, name))

        watching = asyncio.create_task(watch())

        async def work(pool: Pool) -> None:
            for number in range(30):
                async with pool.acquire() as connection:
                    await connection.fetchval("SELECT pg_sleep(0.001)")
                    if number % 7 == 0:
                        await connection.close()

        await asyncio.gather(*(work(pool) for pool in (one, two) for _ in range(10)))
        stop.set()
        await watching
    await own.close()

    assert 0 < most["one"] <= 3
    assert 0 < most["two"] <= 4


def app(name: str) -> dict[str, str]:
    return {"application_name": name}


async def test_a_pool_that_its_server_can_never_fill_is_refused_at_the_start(
    server: PostgresServer, admin: asyncpg.Connection
) -> None:
    """With both numbers; a limit of the user counts as well."""
    with pytest.raises(ConfigurationError, match="pool 'rag': max_size = 50; its server allows at most 20 connections"):
        await create_pool(server.dsn, name="rag", min_size=1, max_size=50)
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 3 PASSWORD 'few'")
    few = f"postgresql://few:few@127.0.0.1:{server.port}/postgres"
    with pytest.raises(ConfigurationError, match="max_size = 4; its server allows at most 3 connections"):
        await create_pool(few, min_size=1, max_size=4)
    async with create_pool(few, min_size=1, max_size=3) as pool:
        assert await pool.fetchval("SELECT 1") == 1
    async with create_pool(few, min_size=1, max_size=4, check_server=False) as pool:
        assert await pool.fetchval("SELECT 1") == 1
    await connection.close()


async def test_a_pool_that_its_server_cannot_fill_now_is_told(server: PostgresServer, events: list) -> None:
    """Others have connections, too."""
    async with (
        create_pool(server.dsn, min_size=10, max_size=10) as _,
        create_pool(server.dsn, name="rag", min_size=1, max_size=15),
    ):
        (event,) = [each for each in events if each.name == "pool.oversized"]

    assert event.resource == "rag"
    assert event.details["max_size"] == 15
    assert event.details["others"] >= 10
    assert event.details["allowed"] == 20


async def test_an_ordinary_role_is_told_of_the_connections_of_others(events: list) -> None:
    """Of which it does not see what they do; those kept for others are none that it may have."""
    with PostgresServer(max_connections=20, settings={"reserved_connections": 4}) as server:
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("CREATE ROLE ordinary LOGIN PASSWORD 'ordinary'")
        await connection.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 6 PASSWORD 'few'")
        ordinary = server.dsn.partition("@")[2].join(("postgresql://ordinary:ordinary@", ""))
        few = ordinary.replace("ordinary", "few")
        with pytest.raises(ConfigurationError, match="max_size = 14; its server allows at most 13 connections"):
            await create_pool(ordinary, min_size=1, max_size=14)
        async with create_pool(server.dsn, min_size=5, max_size=5), create_pool(ordinary, min_size=1, max_size=8):
            (event,) = [each for each in events if each.name == "pool.oversized"]
        async with create_pool(server.dsn, min_size=5, max_size=5), create_pool(few, min_size=1, max_size=6):
            pass
        await connection.close()

    assert (event.details["others"], event.details["allowed"]) == (6, 13)
    assert len([each for each in events if each.name == "pool.oversized"]) == 1


async def pooler(server_port: int) -> asyncio.Server:
    """Open a port behind which each connection seems to be one of another process than the server's."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, alter: bool) -> None:
        try:
            while chunk := await reader.read(65_536):
                at = chunk.find(KEY) if alter else -1
                if at >= 0:
                    chunk = chunk[: at + 5] + b"\0\6\x78\x32" + chunk[at + 9 :]
                writer.write(chunk)
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", server_port)
        passing = pass_on(reader, there[1], alter=False), pass_on(there[0], writer, alter=True)
        await asyncio.gather(*passing, return_exceptions=True)

    return await asyncio.start_server(serve, "127.0.0.1", 0)


KEY = b"K\0\0\0\x0c"


async def test_a_pooler_is_known_before_anybody_has_a_connection(postgres: PostgresServer, events: list) -> None:
    """Those who ask at the same time wait for the first, and nothing is opened twice but that."""
    server = await pooler(postgres.port)
    dsn = postgres.dsn.replace(str(postgres.port), str(server.sockets[0].getsockname()[1]))

    async def cached(pool: Pool, together: asyncio.Barrier) -> int:
        async with pool.acquire() as connection:
            await together.wait()
            assert await connection.fetchval("SELECT $1::int + 1", 1) == 2
            return connection._con._config.statement_cache_size

    async with server, create_pool(dsn, min_size=0, max_size=3) as pool:
        together = asyncio.Barrier(3)
        assert await asyncio.gather(*(cached(pool, together) for _ in range(3))) == [0, 0, 0]
        assert [event.name for event in events] == ["pool.pooler_detected"]
        assert pool.get_size() == pool.statistics().opened == 3  # none is outdated
        server.close()


async def test_behind_a_pooler_a_connect_function_is_called_as_it_was(postgres: PostgresServer, events: list) -> None:
    """It may not know other arguments."""
    server = await pooler(postgres.port)
    dsn = postgres.dsn.replace(str(postgres.port), str(server.sockets[0].getsockname()[1]))

    async def connect(*, loop: object, connection_class: type, record_class: type) -> asyncpg.Connection:
        return await asyncpg.connect(dsn, loop=loop, connection_class=connection_class, record_class=record_class)

    async with server, Pool(connect=connect, min_size=1, max_size=1) as pool:
        assert await pool.fetchval("SELECT 1") == 1
        server.close()

    assert [event.details["statement_cache_size"] for event in events] == [None]


async def test_a_slow_setup_is_named_where_connecting_takes_too_long(dsn: str) -> None:
    """It may be the server, or what the program does with each connection."""

    async def setup(connection: object) -> None:
        await asyncio.Event().wait()

    async with create_pool(dsn, min_size=1, max_size=1, setup=setup, acquire_timeout=0.05) as pool:
        with pytest.raises(PoolTimeoutError, match=r"within 0\.05 s, with what `init` and `setup` do"):
            await pool.acquire()


async def test_a_server_that_cannot_say_what_it_allows_is_used_all_the_same(dsn: str, monkeypatch) -> None:
    """Some only speak PostgreSQL's language."""
    from penstock_pooling._asyncpg import server

    monkeypatch.setattr(server, "_QUESTION", "SELECT no_such_column")
    async with create_pool(dsn, min_size=1, max_size=2) as pool:
        assert await pool.fetchval("SELECT 1") == 1


async def test_of_several_hosts_the_next_takes_over(server: PostgresServer) -> None:
    """By asyncpg's own lists of hosts."""
    with PostgresServer() as standby:
        first, second = server.dsn.partition("@"), standby.dsn.partition("@")
        hosts = f"{first[2].removesuffix('/postgres')},{second[2]}"
        user = await asyncpg.connect(standby.dsn)
        await user.execute(f"ALTER ROLE postgres PASSWORD '{first[0].rpartition(':')[2]}'")
        await user.close()
        settings = PoolSettings(f"{first[0]}@{hosts}", min_size=1, max_size=2, target_session_attrs="primary")
        async with DatabasePoolManager({"rag": settings}) as pools:
            pool = pools.pool("rag")
            assert await pool.fetchval("SHOW port") == str(server.port)

            await asyncio.to_thread(server.kill)

            assert await again(pool, "SHOW port") == str(standby.port)


async def again(pool: Pool, query: str) -> object:
    """Ask until a connection is not one to the dead server."""
    while True:
        try:
            return await pool.fetchval(query)
        except LOST:
            await asyncio.sleep(0.001)


def child(pool: Pool, results: multiprocessing.Queue) -> None:
    async def use() -> str:
        try:
            await pool.fetchval("SELECT 1")
        except PoolPlaceError as error:
            return str(error)
        return "used"

    results.put(asyncio.run(use()))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_fork_of_the_process_cannot_use_the_pool_and_does_it_no_harm(dsn: str) -> None:
    """A clear error, and never a hang."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    async with create_pool(dsn, name="rag", min_size=1, max_size=2) as pool:
        process = context.Process(target=child, args=(pool, results))
        process.start()
        said = await asyncio.to_thread(results.get, timeout=30)
        await asyncio.to_thread(process.join)

        assert said.startswith("pool 'rag' was opened in another process")
        assert await pool.fetchval("SELECT 1") == 1


@pytest.mark.parametrize("what", ["terminate", "terminate the connection", "query", "close the connection", "release"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_fork_cannot_do_anything_to_the_connections_of_its_parent(what: str, dsn: str) -> None:
    """They share the socket, and what watches it: the parent would not hear of its next answer."""
    async with create_pool(dsn, name="rag", min_size=1, max_size=1) as pool, pool.acquire() as connection:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            said = "nothing"
            try:
                if what == "terminate":
                    pool.terminate()
                elif what == "terminate the connection":
                    connection.terminate()
                else:
                    ways = {"query": connection.fetchval, "release": pool.release, "close the connection": leave}
                    argument = "SELECT 1" if what == "query" else connection
                    ways[what](argument).send(None)
            except BaseException as error:  # noqa: BLE001 - it is told in the parent
                said = repr(error)
            finally:
                os.write(writing, said.encode())
                os._exit(0)
        os.waitpid(pid, 0)
        said = os.read(reading, 10_000).decode()
        os.close(reading)
        os.close(writing)

        assert said.startswith("nothing" if what == "terminate the connection" else "PoolPlaceError('rag', 'process')")
        async with asyncio.timeout(30):
            assert await connection.fetchval("SELECT 1") == 1


async def leave(connection: asyncpg.Connection) -> None:
    await connection.close()


@pytest.mark.skipif(not shutil.which("pgbouncer"), reason="pgbouncer is not installed")
async def test_behind_pgbouncer_nothing_is_prepared_for_later(server: PostgresServer, events: list) -> None:
    """In transaction pooling the next query may go to another session."""
    with PgBouncer(server.dsn) as bouncer:
        async with create_pool(bouncer.dsn, name="rag", min_size=3, max_size=50) as pool:

            async def work() -> None:
                for number in range(30):
                    assert await pool.fetchval("SELECT $1::int", number) == number

            await asyncio.gather(*(work() for _ in range(20)))

        assert [event.name for event in events] == ["pool.pooler_detected"]
        assert pool._connect_kwargs["statement_cache_size"] == 0


@pytest.mark.parametrize("way", ["block", "terminate", "close"])
async def test_a_connection_that_comes_back_busy_is_ended_before_its_place_is_free(
    way: str, dsn: str, admin: asyncpg.Connection
) -> None:
    """Its query is cancelled, which would go on for long at the server; there are never more than the maximum."""
    async with create_pool(dsn, min_size=1, max_size=1, acquire_timeout=30, server_settings=app("busy")) as pool:
        for _ in range(3):
            with pytest.raises(asyncpg.InterfaceError) if way == "block" else contextlib.nullcontext():
                async with pool.acquire() as connection:
                    query = asyncio.create_task(connection.execute("SELECT pg_sleep(600)"))
                    while not await admin.fetchval(ACTIVE):
                        await asyncio.sleep(0.001)
                    if way != "block":
                        ended = getattr(connection, way)()
                        await (ended or asyncio.sleep(0))
            assert isinstance((await asyncio.gather(query, return_exceptions=True))[0], Exception)
            async with pool.acquire():
                assert await sessions(admin, "busy") == 1


ACTIVE = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'busy' AND state = 'active'"


@pytest.mark.parametrize("way", ["pool", "connect"])
async def test_a_session_that_the_server_has_just_ended_is_not_lent(
    way: str, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the event loop has not had the time to see it."""
    monkeypatch.setenv("PENSTOCK_MODE_POOLED_DATABASE", "enforce")
    monkeypatch.setattr("penstock_pooling._asyncpg.pool.LOOK_AFTER", 0.0)
    async with create_pool(dsn, min_size=1, max_size=1) as pool:
        lend = pool.acquire if way == "pool" else partial(penstock_pooling.connect, dsn)
        connection = await lend()
        pid = connection.get_server_pid()
        await (pool.release(connection) if way == "pool" else connection.close())
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 30_000)", (pid,))

        connection = await lend()
        assert await connection.fetchval("SELECT pg_backend_pid()") != pid
        await (pool.release(connection) if way == "pool" else connection.close())
    await penstock_pooling.close_pools()


async def test_a_session_that_was_told_something_while_idle_is_lent(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came was not its end."""
    monkeypatch.setattr("penstock_pooling._asyncpg.pool.LOOK_AFTER", 0.0)
    async with create_pool(dsn, min_size=1, max_size=1) as pool:
        pid = await pool.fetchval("SELECT pg_backend_pid()")
        (holder,) = pool._holders
        holder._news = lambda: True

        assert await pool.fetchval("SELECT pg_backend_pid()") == pid


@pytest.mark.parametrize("way", ["cancelled", "deadline"])
async def test_a_connect_that_is_given_up_keeps_its_place_until_it_has_ended(
    way: str, dsn: str, admin: asyncpg.Connection
) -> None:
    """The server may have the session already; it is lent to the next."""
    connected, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(connection: asyncpg.Connection) -> None:
        connected.set()
        await goes_on.wait()

    async with create_pool(
        dsn, min_size=0, max_size=1, check_server=False, init=slow, server_settings=app("slow")
    ) as pool:
        first = asyncio.create_task(borrowed(pool, 0.05 if way == "deadline" else None))
        await connected.wait()
        if way == "cancelled":
            first.cancel()
        with pytest.raises((asyncio.CancelledError, PoolTimeoutError)):
            await first
        second = asyncio.create_task(pool.fetchval("SELECT pg_backend_pid()"))
        await reached(lambda: pool.statistics().queued == 1)
        most = await sessions(admin, "slow")
        goes_on.set()

        assert await second
        assert (most, pool.statistics().opened, pool.statistics().running) == (1, 1, 0)


async def borrowed(pool: Pool, timeout: float | None) -> None:
    async with pool.acquire(timeout=timeout):
        pass


async def test_a_connect_that_hangs_costs_its_place_for_a_while_only(dsn: str) -> None:
    """Then it is cut off; a pool that is closed or cut off meanwhile does not wait for it."""
    hangs, goes_on = asyncio.Event(), asyncio.Event()

    async def hang(connection: asyncpg.Connection) -> None:
        if not goes_on.is_set():
            hangs.set()
            await asyncio.Event().wait()

    for ends in ("patience", "terminate", "close"):
        hangs.clear(), goes_on.clear()
        async with create_pool(dsn, min_size=0, max_size=1, check_server=False, init=hang) as pool:
            pool._patience = 0.01
            caller = asyncio.create_task(pool.fetchval("SELECT 1"))
            await hangs.wait()
            if ends == "patience":
                caller.cancel()
                goes_on.set()
                assert await pool.fetchval("SELECT 2") == 2
            elif ends == "terminate":
                pool.terminate()
            else:
                await pool.close(timeout=0.01)
            with pytest.raises((asyncio.CancelledError, asyncpg.InterfaceError)):
                await caller


async def test_cancelled_connects_are_never_more_than_the_maximum(server: PostgresServer) -> None:
    """As the server sees them, while callers come and are cancelled at any moment."""
    own, most, stop = await asyncpg.connect(server.dsn), 0, asyncio.Event()

    async def watch() -> None:
        nonlocal most
        while not stop.is_set():
            most = max(most, await own.fetchval(OTHERS))

    async def work(pool: Pool, seed: int) -> None:
        for number in range(20):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((seed * 7 + number * 3) % 29 / 1_000), pool.acquire() as connection:
                    await connection.execute("SELECT 1")
                    await connection.close()

    async with create_pool(server.dsn, min_size=0, max_size=3) as pool:
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(work(pool, seed) for seed in range(12)))
        await reached(lambda: pool._queue.qsize() == len(pool._holders) == 3)
        stop.set()
        await watching
        assert await pool.fetchval("SELECT 1") == 1
    await own.close()

    assert 0 < most <= 3


OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


async def test_an_idle_connection_that_is_closed_keeps_its_place_until_it_has_ended(
    dsn: str, admin: asyncpg.Connection
) -> None:
    """Whoever comes at that moment waits for the server to let go."""
    async with create_pool(
        dsn, min_size=0, max_size=1, max_inactive_connection_lifetime=600, server_settings=app("idle")
    ) as pool:
        for _ in range(20):
            await pool.execute("SELECT 1")
            (holder,) = pool._holders
            holder._maybe_cancel_inactive_callback()
            holder._deactivate_inactive_connection()
            assert pool.get_size() == pool._queue.qsize() == 0
            async with pool.acquire():
                assert await sessions(admin, "idle") == 1
