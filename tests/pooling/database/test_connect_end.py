"""How a connection of the drop-in ends, and what its place, its pool, its loop and its process make of that."""

from __future__ import annotations

import asyncio
import gc
import itertools
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path
from typing import Any

import asyncpg
import penstock_limits
import penstock_pooling
import pytest
from penstock_limits import ConcurrencyConfig
from penstock_pooling import PoolPlaceError
from penstock_pooling._asyncpg.forks import forks
from penstock_pooling.testing import PostgresServer

from tests.pooling.database.counting import sessions
from tests.pooling.database.registered import open_pools, statistics, the_pool
from tests.pooling.waiting import reached

RUNNING = "SELECT state FROM pg_stat_activity WHERE pid = $1"

numbers = itertools.count()


@pytest.fixture(autouse=True)
def small(switch: Any) -> None:
    """One connection for each pool, for which nobody waits long."""
    penstock_limits.configure(ConcurrencyConfig(rag_pool_min_size=0, rag_pool_max_size=1))


@pytest.fixture
def dsn(postgres: PostgresServer) -> str:
    """Each test has a name of its own at the server, which may still be busy with what another has cut off."""
    return f"{postgres.dsn}?application_name=test-{next(numbers)}"


def name_in(dsn: str) -> str:
    return dsn.rpartition("=")[2]


def dropped() -> int:
    return statistics().dropped


def calls() -> tuple[int, int]:
    return statistics().pooled, statistics().unpooled


# --- its place


async def test_closing_twice_gives_back_once(dsn: str) -> None:
    """The second does no harm to the next borrower, who has the session now."""
    first = await penstock_pooling.connect(dsn)
    await first.close()
    second = await penstock_pooling.connect(dsn)
    await first.close()
    first.terminate()

    assert first.is_closed()
    assert not second.is_closed()
    assert await second.fetchval("SELECT 1") == 1
    assert the_pool().statistics().running == 1
    await second.close()


async def test_what_a_closed_connection_made_is_closed_too(dsn: str) -> None:
    """Statements, cursors and transactions of the last borrower do not reach into the session of the next."""
    first = await penstock_pooling.connect(dsn)
    statement = await first.prepare("SELECT 1")
    transaction = first.transaction()
    await transaction.start()
    cursor = await first.cursor("SELECT generate_series(1, 9)")
    await first.close()
    second = await penstock_pooling.connect(dsn)
    async with second.transaction():
        for use in (statement.fetchval, transaction.commit, transaction.rollback, lambda: cursor.fetch(1)):
            with pytest.raises(asyncpg.InterfaceError, match="the underlying connection is closed"):
                await use()
        assert second.is_in_transaction()
    with pytest.raises(asyncpg.InterfaceError):
        await first.execute("SELECT 1")
    await second.close()


async def test_closing_at_the_same_time_gives_back_once(dsn: str) -> None:
    """Whoever comes second has nothing to do."""
    connection = await penstock_pooling.connect(dsn)
    await asyncio.gather(*(connection.close() for _ in range(3)))

    assert (the_pool().statistics().running, the_pool().statistics().idle) == (0, 1)


async def test_terminating_frees_the_place_when_the_server_has_let_go(dsn: str, admin: Any) -> None:
    """So whoever waits never makes one too many."""
    first = await penstock_pooling.connect(dsn)
    waiting = asyncio.ensure_future(penstock_pooling.connect(dsn))
    await reached(lambda: the_pool().statistics().queued == 1)
    pid = first.get_server_pid()
    first.terminate()
    assert first.is_closed()
    second = await waiting

    assert second.get_server_pid() != pid
    assert await sessions(admin, name_in(dsn)) == 1
    for _ in range(20):
        second.terminate()
        assert the_pool().statistics().running == 1
        await reached(lambda: the_pool().statistics().running == 0)
        assert await sessions(admin, name_in(dsn)) == 0
        second = await penstock_pooling.connect(dsn)
    await second.close()


async def test_terminating_below_a_query_frees_the_place(dsn: str) -> None:
    """The query's caller is told; the server is not waited for."""
    first = await penstock_pooling.connect(dsn)
    query = asyncio.ensure_future(first.fetchval("SELECT pg_sleep(60)"))
    await reached(lambda: first._stmt_exclusive_section._acquired)
    first.terminate()
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await query
    second = await penstock_pooling.connect(dsn)

    assert await second.fetchval("SELECT 1") == 1
    await second.close()


async def test_terminating_after_a_query_that_took_too_long_cancels_it(dsn: str, admin: Any) -> None:
    """Before the request for that was on its way; the place comes free when the server has let go, and no sooner."""

    async def used() -> None:
        try:
            await first.fetchval("SELECT pg_sleep(60)")
        finally:
            first.terminate()

    first = await penstock_pooling.connect(dsn)
    query = asyncio.ensure_future(used())
    while await admin.fetchval(RUNNING, first.get_server_pid()) != "active":
        await asyncio.sleep(0.001)
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await query
    second = await penstock_pooling.connect(dsn)

    assert await sessions(admin, name_in(dsn)) == 1
    await second.close()


async def test_a_forgotten_connection_gives_its_place_back_and_is_told(dsn: str, events: list) -> None:
    """With the line that has borrowed it; Python warns as ever."""
    before = dropped()
    connection = await penstock_pooling.connect(dsn)
    pid = connection.get_server_pid()
    with pytest.warns(ResourceWarning, match="unclosed connection <asyncpg.connection.Connection"):
        del connection
    second = await penstock_pooling.connect(dsn)

    assert second.get_server_pid() != pid
    assert dropped() == before + 1
    (event,) = events
    assert event.name == "pool.dropped"
    assert "test_connect_end.py:" in event.details["borrower"]
    await second.close()


async def test_one_that_is_forgotten_in_a_cycle_is_found_in_any_thread(dsn: str) -> None:
    """The collector runs where it likes; the pool is told in its own loop."""
    connection = await penstock_pooling.connect(dsn)
    cycle: list[Any] = [connection]
    cycle.append(cycle)
    del connection, cycle
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread = threading.Thread(target=gc.collect)
        thread.start()
        thread.join()
    second = await penstock_pooling.connect(dsn)

    assert await second.fetchval("SELECT 1") == 1
    await second.close()


async def test_one_that_is_forgotten_with_its_transaction_is_looked_for(dsn: str) -> None:
    """The two refer to each other; whoever waits for the place has Python's collector look at once."""

    async def forget() -> None:
        connection = await penstock_pooling.connect(dsn)
        await connection.transaction().start()

    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(3):
                await asyncio.create_task(forget())
            connection = await penstock_pooling.connect(dsn)
    finally:
        gc.enable()

    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_a_connection_that_nobody_got_gives_its_place_back(dsn: str) -> None:
    """Its caller was cancelled when it had been lent already."""
    connecting = asyncio.ensure_future(penstock_pooling.connect(dsn))
    await asyncio.wait([connecting])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del connecting
        gc.collect()
    second = await penstock_pooling.connect(dsn)

    assert await second.fetchval("SELECT 1") == 1
    await second.close()


async def test_a_connection_that_the_server_closes_gives_its_place_back(dsn: str, admin: Any) -> None:
    """Before its borrower notices; the next gets a fresh one."""
    first = await penstock_pooling.connect(dsn)
    await admin.execute(f"SELECT pg_terminate_backend({first.get_server_pid()})")
    await reached(first.is_closed)
    second = await penstock_pooling.connect(dsn)

    with pytest.raises(asyncpg.InterfaceError, match="connection is closed"):
        await first.fetchval("SELECT 1")
    await first.close()
    first.terminate()
    assert not second.is_closed()
    assert await second.fetchval("SELECT 1") == 1
    assert the_pool().statistics().running == 1
    await second.close()


async def test_a_cancelled_close_gives_back_all_the_same(dsn: str) -> None:
    """Who closes is told that it was cancelled; the session is made fresh, and lent again."""
    first = await penstock_pooling.connect(dsn)
    pid = first.get_server_pid()
    closing = asyncio.ensure_future(first.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert first.is_closed()
    second = await penstock_pooling.connect(dsn)

    assert second.get_server_pid() == pid
    await second.close()


async def test_a_class_that_cannot_be_made_loses_no_place(dsn: str) -> None:
    """Its error comes out, and the session goes back."""

    class Broken(asyncpg.Connection):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await penstock_pooling.connect(dsn, connection_class=Broken)
    gc.collect()
    connection = await penstock_pooling.connect(dsn)

    assert the_pool().statistics().running == 1
    await connection.close()


async def test_a_connection_is_closed_in_its_own_loop_only(dsn: str) -> None:
    """A clear error, and it stays as it was."""
    connection = await penstock_pooling.connect(dsn)

    def close_elsewhere() -> None:
        with pytest.raises(PoolPlaceError, match="another event loop"):
            asyncio.run(connection.close())

    await asyncio.to_thread(close_elsewhere)
    assert await connection.fetchval("SELECT 1") == 1
    await asyncio.to_thread(connection.terminate)
    second = await penstock_pooling.connect(dsn)
    assert await second.fetchval("SELECT 1") == 1
    await second.close()


# --- its pool


async def test_closing_the_pools_waits_for_what_is_out(dsn: str, admin: Any) -> None:
    """And the next call makes a new one."""
    connection = await penstock_pooling.connect(dsn)
    closing = asyncio.ensure_future(penstock_pooling.close_pools())
    await reached(lambda: the_pool().is_closing())
    assert await connection.fetchval("SELECT 1") == 1
    assert not closing.done()
    await connection.close()
    await closing

    assert await sessions(admin, name_in(dsn)) == 0
    connection = await penstock_pooling.connect(dsn)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    await penstock_pooling.close_pools()
    await penstock_pooling.close_pools()
    assert await sessions(admin, name_in(dsn)) == 0


async def test_a_caller_that_waits_while_the_pools_are_closed_gets_its_connection(dsn: str) -> None:
    """From the pool that the next call makes, as it could have come a moment later; its deadline goes on."""
    first = await penstock_pooling.connect(dsn)
    waiting = asyncio.ensure_future(penstock_pooling.connect(dsn))
    await reached(lambda: the_pool().statistics().queued == 1)
    counted = calls()
    closing = asyncio.ensure_future(penstock_pooling.close_pools())
    second = await waiting

    assert await second.fetchval("SELECT 1") == 1
    assert calls() == counted
    await second.close()
    await first.close()
    await closing
    await penstock_pooling.close_pools()


async def test_closing_the_pools_is_bounded(dsn: str, admin: Any, events: list) -> None:
    """What is still out is cut off, and told; its borrower finds it closed."""
    connection = await penstock_pooling.connect(dsn)
    await penstock_pooling.close_pools(timeout=0.01)

    assert [event.name for event in events] == ["pool.abandoned"]
    assert connection.is_closed()
    await connection.close()
    connection.terminate()


# --- its loop


def test_the_end_of_a_loop_closes_what_is_idle(dsn: str) -> None:
    """And leaves what is out to its borrower; nothing is warned of but what asyncpg would warn of."""

    async def use() -> list[Any]:
        first, other = await penstock_pooling.connect(dsn), await penstock_pooling.connect(dsn, command_timeout=5)
        await other.close()
        return [first]

    left = asyncio.run(use())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        left.clear()
        gc.collect()

    assert {each.category for each in caught} == {ResourceWarning}
    connections = [each for each in caught if "unclosed connection <asyncpg." in str(each.message)]
    assert len(connections) == 1
    assert asyncio.run(count(dsn)) == 0


async def count(dsn: str) -> int:
    """Return how many sessions of a test the server has, after it had time to notice that they end."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "admin"})
    try:
        for _ in range(1_000):
            if not (found := await sessions(connection, name_in(dsn))):
                break
        return found
    finally:
        await connection.close()


def test_a_generator_that_has_a_connection_gives_it_back_while_the_loop_ends(dsn: str) -> None:
    """Asynchronous generators are finished at the same time as the pools."""
    states = []

    async def rows() -> Any:
        connection = await penstock_pooling.connect(dsn)
        try:
            async with connection.transaction():
                async for row in connection.cursor("SELECT generate_series(1, 9)"):
                    yield row
        finally:
            await connection.close()
            states.append(connection.is_closed())

    async def use() -> Any:
        generator = rows()
        await anext(generator)
        return generator

    generator = asyncio.run(use())

    assert states == [True]
    assert asyncio.run(count(dsn)) == 0
    del generator


def test_a_task_that_has_a_connection_gives_it_back_when_it_is_cancelled(dsn: str) -> None:
    """At the end of the loop, as `asyncio.run` ends it."""
    states = []

    async def work() -> None:
        connection = await penstock_pooling.connect(dsn)
        try:
            await connection.fetchval("SELECT pg_sleep(60)")
        finally:
            await connection.close()
            states.append(connection.is_closed())

    async def use() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await reached(lambda: the_pool().statistics().running == 1)
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_soon(repr, task)

    asyncio.run(use())

    assert states == [True]
    assert asyncio.run(count(dsn)) == 0


def test_each_loop_has_a_pool(dsn: str) -> None:
    """One after the other, and at the same time in threads."""

    async def use() -> int:
        connection = await penstock_pooling.connect(dsn)
        value = await connection.fetchval("SELECT 1")
        await connection.close()
        return value

    assert [asyncio.run(use()) for _ in range(3)] == [1, 1, 1]
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(asyncio.run(use()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [1] * 4
    assert asyncio.run(count(dsn)) == 0


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_loop_that_is_closed_by_hand_leaves_nothing_behind(dsn: str) -> None:
    """Its pools go when another loop connects; nobody hangs."""

    async def use() -> None:
        await (await penstock_pooling.connect(dsn)).close()

    for _ in range(3):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(use())
        loop.close()
        del loop
    asyncio.run(use())
    gc.collect()

    assert open_pools() == []
    assert asyncio.run(count(dsn)) == 0


def test_the_end_of_a_loop_of_uvloop_closes_what_is_idle(dsn: str) -> None:
    """It finishes asynchronous generators, too."""
    uvloop = pytest.importorskip("uvloop")

    async def use() -> int:
        connection = await penstock_pooling.connect(dsn)
        value: int = await connection.fetchval("SELECT 1")
        await connection.close()
        return value

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(use()) == 1
        assert runner.run(use()) == 1
    assert asyncio.run(count(dsn)) == 0


def test_a_call_after_the_end_is_the_old_one(dsn: str) -> None:
    """There is nobody any more who would close a pool."""

    async def use() -> Any:
        connection = await penstock_pooling.connect(dsn)
        kind = type(connection)
        await connection.close()
        return kind

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(use()) is not asyncpg.Connection
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert loop.run_until_complete(use()) is asyncpg.Connection
    loop.close()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert loop.run_until_complete(use()) is asyncpg.Connection
    loop.close()


# --- its process


def run(program: str, dsn: str, tmp_path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(program))
    environment = {"PENSTOCK_MODE": "enforce", "DSN": dsn, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, *flags, str(file)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.parametrize("flags", [(), ("-W", "always"), ("-W", "error")])
def test_the_end_of_a_program_prints_nothing(flags: tuple[str, ...], dsn: str, tmp_path: Path) -> None:
    """Nor does it wait."""
    program = """
        import asyncio, os, penstock_pooling

        async def main():
            asyncio.get_running_loop().slow_callback_duration = 60.0  # a slow machine is not what this is about
            connections = [await penstock_pooling.connect(os.environ["DSN"]) for _ in range(3)]
            for connection in connections:
                await connection.close()

        asyncio.run(main())
    """
    ended = run(program, dsn, tmp_path, *flags)

    assert (ended.stdout, ended.stderr) == ("", "")


def test_a_program_that_exits_with_a_connection_out_prints_nothing(dsn: str, tmp_path: Path) -> None:
    """As with asyncpg, unless it is asked to warn."""
    program = """
        import asyncio, os, penstock_pooling

        async def main():
            global kept, idle
            kept = await penstock_pooling.connect(os.environ["DSN"])
            idle = await penstock_pooling.connect(os.environ["DSN"])
            await idle.close()

        asyncio.run(main())
    """
    ended = run(program, dsn, tmp_path)

    assert (ended.stdout, ended.stderr) == ("", "")
    assert asyncio.run(count(dsn)) == 0


async def test_the_loop_that_a_child_inherits_gets_pools_of_its_own(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of its parent are kept as they are."""
    first = await penstock_pooling.connect(dsn)
    parents = the_pool()
    monkeypatch.setattr(forks, "count", forks.count + 1)
    second = await penstock_pooling.connect(dsn)

    assert second.get_server_pid() != first.get_server_pid()
    await second.close()
    await penstock_pooling.close_pools()
    await first.close()
    assert first.is_closed()
    monkeypatch.undo()
    assert parents.statistics().running == 1
    parents.terminate()


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")
def test_a_forked_child_has_pools_of_its_own_and_leaves_its_parents_alone(dsn: str, tmp_path: Path) -> None:
    """Whatever it does with what it inherited."""
    program = """
        import asyncio, gc, os, penstock_pooling, warnings

        warnings.simplefilter("ignore")
        dsn = os.environ["DSN"]

        async def use():
            connection = await penstock_pooling.connect(dsn)
            pid = connection.get_server_pid()
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
            return pid

        async def child(inherited):
            await inherited[0].close()
            inherited[1].terminate()
            del inherited[:]
            gc.collect()
            print("child", await use(), flush=True)

        def main():
            loop = asyncio.new_event_loop()
            idle = loop.run_until_complete(use())
            out = [loop.run_until_complete(penstock_pooling.connect(dsn)) for _ in range(3)]
            pids = [each.get_server_pid() for each in out]
            process = os.fork()
            if not process:
                asyncio.run(child(out))
                os._exit(0)
            assert os.waitpid(process, 0)[1] == 0
            for connection in out:
                assert loop.run_until_complete(connection.fetchval("SELECT 1")) == 1
                loop.run_until_complete(connection.close())
            assert loop.run_until_complete(use()) in pids
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            print("parent", idle in pids, *pids)

        main()
    """
    ended = run(program, dsn, tmp_path)

    words = ended.stdout.split()
    assert words[0] == "child"
    assert words[2:4] == ["parent", "True"]
    assert words[1] not in words[4:]
    assert ended.stderr == ""
    assert asyncio.run(count(dsn)) == 0
