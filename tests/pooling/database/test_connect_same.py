"""What programs see of a connection of the drop-in: the same as of one of asyncpg's."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import gc
import inspect
import io
import pickle
import types
import warnings
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import asyncpg
import penstock_pooling
import pytest

from tests.pooling.in_modes import in_modes

Connect = Callable[..., Awaitable[Any]]

PROGRAMS: dict[str, Callable[[Connect, str], Awaitable[Any]]] = {}


def program(function: Callable[[Connect, str], Awaitable[Any]]) -> Callable[[Connect, str], Awaitable[Any]]:
    """Have a function run with every way to connect; it returns or raises what a program would see."""
    PROGRAMS[function.__name__] = function
    return function


# --- use


@program
async def fetches(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    try:
        return (
            await connection.fetch("SELECT generate_series(1, 3) AS n"),
            await connection.fetchrow("SELECT 1 AS a, 'x' AS b"),
            await connection.fetchval("SELECT $1::int + 1", 41),
            await connection.fetchmany("SELECT $1::int AS n", [(1,), (2,)]),
            await connection.execute("SELECT 1"),
        )
    finally:
        await connection.close()


@program
async def executes_many_and_copies(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    await connection.execute("CREATE TEMP TABLE t (a int, b text)")
    await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(1, "one"), (2, "two")])
    copied = await connection.copy_records_to_table("t", records=[(3, "three")])
    table, query = io.BytesIO(), io.BytesIO()
    statuses = (
        await connection.copy_from_table("t", output=table),
        await connection.copy_from_query("SELECT a FROM t ORDER BY a", output=query),
        await connection.copy_to_table("t", source=io.BytesIO(b"4\tfour\n")),
    )
    rows = await connection.fetch("SELECT * FROM t ORDER BY a")
    await connection.close()
    return copied, statuses, table.getvalue(), query.getvalue(), rows


@program
async def commits_and_rolls_back(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    await connection.execute("CREATE TEMP TABLE t (a int)")
    async with connection.transaction():
        await connection.execute("INSERT INTO t VALUES (1)")
        inside = connection.is_in_transaction()
        with contextlib.suppress(ZeroDivisionError):
            async with connection.transaction():
                await connection.execute("INSERT INTO t VALUES (2)")
                raise ZeroDivisionError
    rows = await connection.fetch("SELECT a FROM t")
    outside = connection.is_in_transaction()
    await connection.close()
    return inside, outside, rows


@program
async def iterates_over_a_cursor(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    async with connection.transaction():
        rows = [row["n"] async for row in connection.cursor("SELECT generate_series(1, 120) AS n")]
        cursor = await connection.cursor("SELECT generate_series(1, 9) AS n")
        await cursor.forward(2)
        fetched = await cursor.fetch(2)
    await connection.close()
    return rows, fetched


@program
async def prepares(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    statement = await connection.prepare("SELECT $1::int * 2 AS n", name="doubling")
    seen = statement.get_name(), statement.get_query(), statement.get_parameters(), await statement.fetchval(4)
    await connection.close()
    return seen


@program
async def listens(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def hear(whose: Any, pid: int, channel: str, payload: str) -> None:
        heard.set_result((whose is connection, pid == connection.get_server_pid(), channel, payload))

    await connection.add_listener("news", hear)
    await connection.execute("NOTIFY news, 'hello'")
    result = await heard
    await connection.remove_listener("news", hear)
    await connection.close()
    return result


@program
async def logs(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    notices: asyncio.Queue[Any] = asyncio.Queue()
    queries: asyncio.Queue[Any] = asyncio.Queue()
    connection.add_log_listener(lambda whose, message: notices.put_nowait((whose is connection, message.message)))
    with connection.query_logger(queries.put_nowait):
        await connection.execute("DO $$ BEGIN RAISE NOTICE 'noticed'; END $$")
    seen = await notices.get(), (await queries.get()).query
    await connection.close()
    return seen


@program
async def converts_types(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    await connection.set_type_codec("json", encoder=str, decoder=lambda text: ("json", text), schema="pg_catalog")
    seen = [await connection.fetchval("SELECT '[1]'::json"), await connection.fetchval("SELECT ARRAY['[1]'::json]")]
    await connection.reset_type_codec("json", schema="pg_catalog")
    seen.append(await connection.fetchval("SELECT '[1]'::json"))
    await connection.close()
    return seen


@program
async def has_settings(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn, server_settings={"application_name": "mine", "search_path": "pg_catalog"})
    seen = (
        await connection.fetchval("SHOW application_name"),
        await connection.fetchval("SHOW search_path"),
        connection.get_settings().application_name,
        connection.get_settings().client_encoding,
        connection.get_server_version(),
    )
    await connection.close()
    return seen


@program
async def resets(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    await connection.execute("SET statement_timeout = 5000")
    query = connection.get_reset_query()
    await connection.reset()
    seen = query, await connection.fetchval("SHOW statement_timeout")
    await connection.close()
    return seen


@program
async def alters_a_type(connect: Connect, dsn: str) -> Any:
    """Each connection must see the type as it is when it is opened."""
    seen = []
    for definition in ("a int", "a text, b text"):
        connection = await connect(dsn)
        await connection.execute(f"DROP TYPE IF EXISTS altered; CREATE TYPE altered AS ({definition})")
        await connection.close()
        connection = await connect(dsn)
        values = "1" if definition == "a int" else "'x', 'y'"
        async with connection.transaction():
            seen.append(await connection.fetchval(f"SELECT ROW({values})::altered"))
        await connection.close()
    return [tuple(each) for each in seen]


@program
async def adds_to_a_type(connect: Connect, dsn: str) -> Any:
    """What one connection knows of a type is not in the way of another that sees it grown."""
    connection = await connect(dsn)
    await connection.execute("DROP TYPE IF EXISTS grown; CREATE TYPE grown AS (a int)")
    seen = [await connection.fetchval("SELECT ROW(1)::grown")]
    await connection.close()
    connection = await connect(dsn)
    await connection.execute("ALTER TYPE grown ADD ATTRIBUTE b text")
    await connection.close()
    connection = await connect(dsn)
    async with connection.transaction():
        seen.append(await connection.fetchval("SELECT ROW(1, 'x')::grown"))
    await connection.close()
    return [tuple(each) for each in seen]


@program
async def alters_a_table(connect: Connect, dsn: str) -> Any:
    """No plan of a connection that was closed is in the way of another."""
    connection = await connect(dsn)
    await connection.execute("DROP TABLE IF EXISTS growing; CREATE TABLE growing (a int)")
    await connection.fetch("SELECT * FROM growing")
    await connection.close()
    connection = await connect(dsn)
    await connection.execute("ALTER TABLE growing ADD COLUMN b int")
    await connection.close()
    connection = await connect(dsn)
    async with connection.transaction():
        rows = await connection.fetch("SELECT * FROM growing")
    await connection.execute("DROP TABLE growing")
    await connection.close()
    return rows


class Loud(asyncpg.Connection):
    """A user's class of connections, with variables, methods and ends of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[str] = []

    async def fetchval(self, query: str, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(query)
        return await super().fetchval(query, *args, **kwargs)

    async def shout(self, word: str) -> str:
        return (await self.fetchval("SELECT $1::text", word)).upper()

    async def close(self, *, timeout: float | None = None) -> None:
        self.seen.append("closing")
        await super().close(timeout=timeout)


class Slotted(asyncpg.Connection):
    """Another, with slots."""

    __slots__ = ("mine",)


class Abrupt(asyncpg.Connection):
    """One that reaches past its parents."""

    async def close(self, *, timeout: float | None = None) -> None:
        await asyncpg.Connection.close(self, timeout=timeout)


@program
async def uses_a_class_of_its_own(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn, connection_class=Loud)
    shouted = await connection.shout("hello")
    await connection.close()
    seen = list(connection.seen)
    again = await connect(dsn, connection_class=Loud)
    fresh = list(again.seen)
    await again.close()
    return shouted, seen, fresh, isinstance(connection, Loud), type(connection).__name__


@program
async def uses_a_class_with_slots(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn, connection_class=Slotted)
    connection.mine = 1
    await connection.close()
    return connection.mine, isinstance(connection, Slotted)


@program
async def uses_a_class_that_closes_past_us(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn, connection_class=Abrupt)
    await connection.close()
    return connection.is_closed()


class MyRecord(asyncpg.Record):
    """A user's class of rows."""


@program
async def uses_records_of_its_own(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn, record_class=MyRecord)
    row = await connection.fetchrow("SELECT 1 AS a")
    await connection.close()
    return type(row), row


@program
async def looks_like_one(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    seen = repr(connection).partition(" at ")[0], isinstance(connection, asyncpg.Connection), type(connection).__name__
    public = {name for name in dir(asyncpg.Connection) if not name.startswith("_")} <= set(dir(connection))
    await connection.close()
    return seen, public


@program
async def sets_an_attribute(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    try:
        connection.anything = 1
    finally:
        await connection.close()


@program
async def cancels_a_query(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(connection.fetchval("SELECT pg_sleep(60)"), 0.05)
    seen = await connection.fetchval("SELECT 1")
    with contextlib.suppress(TimeoutError):
        await connection.fetchval("SELECT pg_sleep(60)", timeout=0.05)
    await connection.close()
    return seen, connection.is_closed()


@program
async def has_deadlines_for_queries(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn, command_timeout=0.05)
    try:
        await connection.fetchval("SELECT pg_sleep(60)")
    finally:
        await connection.close()


@program
async def shares_a_connection(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    results = await asyncio.gather(*(connection.fetchval("SELECT 1") for _ in range(3)), return_exceptions=True)
    await connection.close()
    return [type(each) for each in results]


# --- ends


@program
async def closes_twice(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    before = connection.is_closed()
    return before, await connection.close(), connection.is_closed(), await connection.close(), connection.terminate()


@program
async def terminates(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    connection.terminate()
    return connection.is_closed(), connection.terminate(), await connection.close(), connection.is_closed()


@program
async def terminates_below_a_query(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    query = asyncio.ensure_future(connection.fetchval("SELECT pg_sleep(60)"))
    await sleeping(connect, dsn, connection.get_server_pid())
    connection.terminate()
    return await query


@program
async def closes_below_a_query(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    query = asyncio.ensure_future(connection.fetchval("SELECT pg_sleep(60)"))
    await sleeping(connect, dsn, connection.get_server_pid())
    await connection.close()
    return await query


async def sleeping(connect: Connect, dsn: str, pid: int) -> None:
    """Wait until a session sleeps, as its query says."""
    other = await connect(dsn)
    while await other.fetchval("SELECT wait_event FROM pg_stat_activity WHERE pid = $1", pid) != "PgSleep":
        pass
    await other.close()


@program
async def closes_in_no_time(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    try:
        await connection.close(timeout=0)
    finally:
        assert connection.is_closed()


@program
async def closes_in_time(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    return await connection.close(timeout=30)


@program
async def is_told_of_the_end(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    told: asyncio.Queue[Any] = asyncio.Queue()
    connection.add_termination_listener(lambda whose: told.put_nowait(whose is connection))
    await connection.close()
    return await told.get()


@program
async def is_killed(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    told: asyncio.Queue[Any] = asyncio.Queue()
    connection.add_termination_listener(told.put_nowait)
    try:
        await connection.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
    except asyncpg.PostgresError as error:
        seen = type(error)
    await told.get()
    closed = connection.is_closed()
    await connection.close()
    return seen, closed


@program
async def closes_in_a_transaction(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn)
    async with connection.transaction():
        await connection.close()


@program
async def is_forgotten(connect: Connect, dsn: str) -> Any:
    gc.collect()  # what other tests have forgotten warns of itself
    connection = await connect(dsn)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del connection
        gc.collect()
    return [
        (each.category, "unclosed connection <asyncpg.connection.Connection" in str(each.message)) for each in caught
    ]


def _after(use: Callable[[Any], Any], end: str) -> Callable[[Connect, str], Awaitable[Any]]:
    async def run(connect: Connect, dsn: str) -> Any:
        connection = await connect(dsn)
        await connection.fetchval("SELECT 1")
        ended = connection.close() if end == "close" else connection.terminate()
        if ended is not None:
            await ended
        used = use(connection)
        return await used if inspect.isawaitable(used) else used

    return run


USES: dict[str, Callable[[Any], Any]] = {
    "add_listener": lambda connection: connection.add_listener("c", print),
    "add_log_listener": lambda connection: connection.add_log_listener(print),
    "add_query_logger": lambda connection: connection.add_query_logger(print),
    "add_termination_listener": lambda connection: connection.add_termination_listener(print),
    "copy_from_query": lambda connection: connection.copy_from_query("SELECT 1", output=io.BytesIO()),
    "copy_from_table": lambda connection: connection.copy_from_table("pg_class", output=io.BytesIO()),
    "copy_records_to_table": lambda connection: connection.copy_records_to_table("t", records=[(1,)]),
    "copy_to_table": lambda connection: connection.copy_to_table("t", source=io.BytesIO(b"1")),
    "cursor": lambda connection: connection.cursor("SELECT 1"),
    "execute": lambda connection: connection.execute("SELECT 1"),
    "execute with arguments": lambda connection: connection.execute("SELECT $1::int", 1),
    "executemany": lambda connection: connection.executemany("SELECT $1::int", [(1,)]),
    "fetch": lambda connection: connection.fetch("SELECT 1"),
    "fetchmany": lambda connection: connection.fetchmany("SELECT $1::int", [(1,)]),
    "fetchrow": lambda connection: connection.fetchrow("SELECT 1"),
    "fetchval": lambda connection: connection.fetchval("SELECT 1"),
    "get_reset_query": lambda connection: connection.get_reset_query(),
    "get_server_pid": lambda connection: connection.get_server_pid() > 0,
    "get_server_version": lambda connection: connection.get_server_version(),
    "get_settings": lambda connection: connection.get_settings().client_encoding,
    "is_closed": lambda connection: connection.is_closed(),
    "is_in_transaction": lambda connection: connection.is_in_transaction(),
    "prepare": lambda connection: connection.prepare("SELECT 1"),
    "reload_schema_state": lambda connection: connection.reload_schema_state(),
    "remove_listener": lambda connection: connection.remove_listener("c", print),
    "remove_log_listener": lambda connection: connection.remove_log_listener(print),
    "reset": lambda connection: connection.reset(),
    "reset_type_codec": lambda connection: connection.reset_type_codec("json"),
    "set_builtin_type_codec": lambda connection: connection.set_builtin_type_codec("json", codec_name="text"),
    "set_type_codec": lambda connection: connection.set_type_codec("json", encoder=str, decoder=str),
    "transaction": lambda connection: connection.transaction(),
}
for name, use in USES.items():
    for end in ("close", "terminate"):
        PROGRAMS[f"{name} after {end}"] = _after(use, end)

# --- arguments


@program
async def has_the_wrong_password(connect: Connect, dsn: str) -> Any:
    return await connect(dsn, user="nobody", password="wrong")


@program
async def finds_no_database(connect: Connect, dsn: str) -> Any:
    return await connect(dsn, database="none")


@program
async def finds_no_server(connect: Connect, dsn: str) -> Any:
    return await connect(host="127.0.0.1", port=1, user="u", database="d")


@program
async def has_an_unknown_argument(connect: Connect, dsn: str) -> Any:
    return await connect(dsn, min_size=3)


@program
async def has_two_positional_arguments(connect: Connect, dsn: str) -> Any:
    return await connect(dsn, "127.0.0.1")


@program
async def has_two_dsns(connect: Connect, dsn: str) -> Any:
    return await connect(dsn, dsn=dsn)


@program
async def has_its_dsn_by_name(connect: Connect, dsn: str) -> Any:
    connection = await connect(dsn=dsn)
    seen = await connection.fetchval("SELECT 1")
    await connection.close()
    return seen


@program
async def has_a_wrong_class(connect: Connect, dsn: str) -> Any:
    return await connect(dsn, connection_class=int)


@program
async def has_a_wrong_record_class(connect: Connect, dsn: str) -> Any:
    return await connect(dsn, record_class=int)


@program
async def has_a_wrong_dsn(connect: Connect, dsn: str) -> Any:
    return await connect("mysql://u:secret@h/d")


@program
async def has_wrong_statement_caches(connect: Connect, dsn: str) -> Any:
    return await connect(dsn, statement_cache_size=True)


@program
async def has_no_time(connect: Connect, dsn: str) -> Any:
    return await connect(dsn, timeout=0)


@program
async def has_a_wrong_time(connect: Connect, dsn: str) -> Any:
    return await connect(dsn, timeout="soon")


@program
async def is_a_coroutine_function(connect: Connect, dsn: str) -> Any:
    coroutine = connect(dsn)
    coroutine.close()
    partly = functools.partial(connect, dsn)
    known = [inspect.iscoroutinefunction(each) for each in (connect, partly)]
    copied = pickle.loads(pickle.dumps(connect)) is connect, copy.deepcopy(connect) is connect
    kept = (connect.__name__, inspect.isfunction(inspect.unwrap(connect)), callable(connect), bool(connect.__doc__))
    return asyncio.iscoroutinefunction(connect), known, inspect.iscoroutine(coroutine), copied, kept


@program
async def is_mocked(connect: Connect, dsn: str) -> Any:
    module = types.SimpleNamespace(connect=connect)
    with mock.patch.object(module, "connect", autospec=True):
        module.connect.return_value = "specified"
        specified = await module.connect(dsn)
    with mock.patch.object(module, "connect", return_value="patched") as patched:
        return specified, await module.connect(dsn), isinstance(patched, mock.AsyncMock)


async def outcome(run: Callable[[Connect, str], Awaitable[Any]], connect: Connect, dsn: str) -> tuple[str, Any]:
    try:
        return "returns", await run(connect, dsn)
    except Exception as error:  # noqa: BLE001 - which is what is compared
        return "raises", type(error)


@pytest.mark.parametrize(("mode", "name"), in_modes((name, name) for name in PROGRAMS))
async def test_a_program_sees_the_same(name: str, mode: str, dsn: str, switch: Any) -> None:
    """It returns the same, or raises the same; with a session that was used before, too, and again."""
    switch.turn(mode)
    expected = await outcome(PROGRAMS[name], asyncpg.connect, dsn)
    used = await penstock_pooling.connect(dsn)
    await used.fetch("SELECT 1")
    await used.close()

    for _ in range(2):
        assert await outcome(PROGRAMS[name], penstock_pooling.connect, dsn) == expected
