"""What one borrower leaves in a session, and that the next sees nothing of it."""

from __future__ import annotations

import asyncio
import gc
import io
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import penstock_limits
import penstock_pooling
import pytest
from penstock_pooling import PoolDeadlockError
from penstock_pooling._connect.session_state import NOTHING, left_by

from tests.pooling.database.registered import statistics, the_pool
from tests.pooling.waiting import reached

# Everything that a session is asked for, to tell a fresh one from one that was used.
QUESTIONS = {
    "settings": "SELECT name, setting, source FROM pg_settings WHERE name <> 'transaction_read_only' ORDER BY name",
    "roles": "SELECT current_user, session_user, current_schemas(false)::text[]",
    "custom": "SELECT current_setting('my.own', true)",
    "temporary tables": "SELECT relname::text FROM pg_class WHERE relnamespace = pg_my_temp_schema()",
    "locks": "SELECT locktype, objid, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'",
    "channels": "SELECT pg_listening_channels()",
    "prepared": "SELECT name, statement FROM pg_prepared_statements WHERE statement NOT LIKE 'SELECT%'",
    "named": "SELECT count(*) FROM pg_prepared_statements WHERE name NOT LIKE '\\_\\_asyncpg%'",
    "statements": "SELECT count(*) FROM pg_prepared_statements",
    "cursors": "SELECT name, statement FROM pg_cursors WHERE is_holdable",
    "transaction": "SELECT pg_current_xact_id_if_assigned() IS NULL",
}

Use = Callable[[Any], Awaitable[Any]]


def sql(*queries: str) -> Use:
    async def use(connection: Any) -> None:
        for query in queries:
            await connection.execute(query)

    return use


async def _transaction(connection: Any) -> None:
    await connection.transaction().start()
    await connection.execute("CREATE TABLE never (a int)")


async def _failed_transaction(connection: Any) -> None:
    await connection.transaction().start()
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.execute("SELECT * FROM nowhere")


async def _listener(connection: Any) -> None:
    await connection.add_listener("news", print)


async def _log_listener(connection: Any) -> None:
    connection.add_log_listener(print)


async def _query_logger(connection: Any) -> None:
    connection.add_query_logger(print)


async def _codec(connection: Any) -> None:
    await connection.set_type_codec("json", encoder=str, decoder=lambda text: None, schema="pg_catalog")
    assert await connection.fetchval("SELECT '[1]'::json") is None


async def _builtin_codec(connection: Any) -> None:
    await connection.set_builtin_type_codec("json", codec_name="text", schema="pg_catalog")


async def _prepared(connection: Any) -> None:
    connection.kept = await connection.prepare("SELECT 1", name="mine")


async def _cached(connection: Any) -> None:
    for number in range(20):
        await connection.fetchval(f"SELECT $1::int + {number}", 1)


async def _cursor(connection: Any) -> None:
    await connection.transaction().start()
    cursor = await connection.cursor("SELECT generate_series(1, 9)")
    await cursor.fetch(2)


async def _own_reset_query(connection: Any) -> None:
    connection._reset_query = "SELECT 1"
    await connection.execute("SET work_mem = '1MB'")
    await connection.reset()


async def _cancelled(connection: Any) -> None:
    with pytest.raises(TimeoutError):
        await connection.fetchval("SELECT pg_sleep(60)", timeout=0.02)


LEAVINGS: dict[str, tuple[Use, str]] = {
    "a setting": (sql("SET work_mem = '1MB'"), "settings"),
    "a setting of a function": (sql("SELECT set_config('work_mem', '1MB', false)"), "settings"),
    "another search path": (sql("SET search_path = pg_catalog"), "settings"),
    "another encoding": (sql("SET client_encoding = 'latin1'"), "settings"),
    "another time zone": (sql("SET TIME ZONE 'Asia/Tokyo'"), "settings"),
    "read-only transactions": (sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"), "settings"),
    "another role": (sql("SET ROLE pg_monitor"), "settings"),
    "another user": (sql("SET SESSION AUTHORIZATION pg_monitor"), "settings"),
    "a temporary table": (sql("CREATE TEMP TABLE t (a int)"), "temporary tables"),
    "a temporary table by a query": (sql("SELECT 1 AS a INTO TEMP t"), "temporary tables"),
    "a temporary view": (sql("CREATE TEMPORARY VIEW v AS SELECT 1"), "temporary tables"),
    "an advisory lock": (sql("SELECT pg_advisory_lock(42)"), "advisory locks"),
    "a shared advisory lock": (sql("SELECT pg_try_advisory_lock_shared(42)"), "advisory locks"),
    "a statement prepared by SQL": (sql("PREPARE mine AS SELECT 1"), "prepared statements"),
    "a channel by SQL": (sql("LISTEN news"), "listeners"),
    "a held cursor": (sql("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT"), "cursors"),
    "a sequence's value": (sql("CREATE TEMP SEQUENCE s; SELECT nextval('s')"), "temporary tables"),
    "a listener": (_listener, "listeners"),
    "a codec": (_codec, "type codecs"),
    "a codec of asyncpg's": (_builtin_codec, "type codecs"),
    "a transaction": (_transaction, ""),
    "a failed transaction": (_failed_transaction, ""),
    "a transaction by SQL": (sql("BEGIN", "CREATE TABLE never (a int)"), ""),
    "a listener of notices": (_log_listener, ""),
    "a logger of queries": (_query_logger, ""),
    "a named statement": (_prepared, ""),
    "cached statements": (_cached, ""),
    "an open cursor": (_cursor, ""),
    "its own reset": (_own_reset_query, "settings"),
    "a cancelled query": (_cancelled, ""),
    "a setting of a transaction": (sql("BEGIN", "SET LOCAL work_mem = '1MB'"), ""),
}


async def _copied(connection: Any) -> None:
    await connection.copy_from_query("SELECT setseed(0.5)", output=io.BytesIO())


async def _named_by_an_argument(connection: Any) -> None:
    await connection.fetchval("SELECT set_config('my.' || $1::text, $2, false)", "own", "1")


LASTING: dict[str, tuple[Use, str]] = {
    "a setting of nobody's": (sql("SET my.own = '1'"), "my.own"),
    "one of a transaction": (sql("BEGIN", "SET LOCAL my.own = '1'", "ROLLBACK"), "my.own"),
    "one by a function": (sql("SELECT set_config('my.own', '1', true)"), "my.own"),
    "one with a quoted name": (sql('SET "my"."own" = 1'), "settings like"),
    "one with a quoted dot": (sql('SET "my.own" = 1'), "settings like"),
    "a random seed": (sql("SELECT setseed(0.5)"), "a random seed"),
    "a seed by a setting": (sql("SET seed TO 0.5"), "a random seed"),
    "a seed of a transaction": (sql("BEGIN", "SET LOCAL seed = 0.5", "COMMIT"), "a random seed"),
    "a seed with a quoted name": (sql('SET "seed" = 0.5'), "a random seed"),
    "a seed behind comments": (sql("/* a */ SET /* b /* c */ */ seed -- d\n = 0.5"), "a random seed"),
    "a seed by set_config": (sql("SELECT set_config('seed', '0.5', false)"), "a random seed"),
    "a seed of a copied query": (_copied, "a random seed"),
    "one whose name is put together": (_named_by_an_argument, "settings by name"),
    "one behind comments": (sql("SET/**/SESSION /* own */ my.own = '1'"), "my.own"),
    "one by a quoted function": (sql("SELECT \"set_config\"/**/('my.own', '1', false)"), "my.own"),
    "one whose name is escaped": (sql("SET U&\"my\\002eown\" = '1'"), "settings like"),
}


class Kept(asyncpg.Connection):
    """Has room for whatever a test leaves on it."""


async def look_at(connection: Any) -> dict[str, Any]:
    """Return all that a session says of itself, and what the object has."""
    seen: dict[str, Any] = {name: await connection.fetch(query) for name, query in QUESTIONS.items()}
    seen["json"] = await connection.fetchval("SELECT '[1]'::json")
    seen["parameters"] = repr(connection.get_settings())
    seen["python"] = (
        connection._listeners,
        connection._log_listeners,
        connection._query_loggers,
        connection._top_xact,
        connection.is_in_transaction(),
        len(connection._stmts_to_close),
        connection.get_reset_query(),
    )
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await connection.execute("SELECT lastval()")
    await (await connection.prepare("SELECT 2", name="mine")).fetchval()
    return seen


async def fresh(dsn: str) -> dict[str, Any]:
    connection = await asyncpg.connect(dsn, connection_class=Kept)
    seen = await look_at(connection)
    await connection.close()
    return seen


@pytest.mark.parametrize("kind", LEAVINGS)
async def test_the_next_borrower_sees_nothing_of_it(kind: str, dsn: str, switch: Any, events: list) -> None:
    """The session is the same, and as fresh as one of asyncpg's; what was seen of it is counted and told."""
    use, told = LEAVINGS[kind]
    before = statistics()
    connection = await penstock_pooling.connect(dsn, connection_class=Kept)
    pid = connection.get_server_pid()
    await use(connection)
    await connection.close()
    connection = await penstock_pooling.connect(dsn, connection_class=Kept)

    assert connection.get_server_pid() == pid
    assert await look_at(connection) == await fresh(dsn)
    await connection.close()
    assert statistics().cleaned - before.cleaned == bool(told)
    assert statistics().discarded == before.discarded
    cleaned = [event for event in events if event.name == "pool.session_cleaned"]
    assert bool(cleaned) == bool(told)
    if told:
        assert told in cleaned[0].details["what"]
        assert "test_connect_session.py:" in cleaned[0].details["borrower"]


@pytest.mark.parametrize("kind", LASTING)
async def test_what_nothing_takes_back_ends_the_session(kind: str, dsn: str, switch: Any, events: list) -> None:
    """The next borrower gets another session; counted and told."""
    use, told = LASTING[kind]
    before = statistics()
    connection = await penstock_pooling.connect(dsn, connection_class=Kept)
    pid = connection.get_server_pid()
    await use(connection)
    await connection.close()
    connection = await penstock_pooling.connect(dsn, connection_class=Kept)

    assert connection.get_server_pid() != pid
    assert await look_at(connection) == await fresh(dsn)
    await connection.close()
    assert statistics().discarded - before.discarded == 1
    (event,) = [event for event in events if event.name == "pool.session_discarded"]
    assert told in event.details["what"]
    assert "test_connect_session.py:" in event.details["borrower"]


async def test_a_setting_that_an_extension_knows_is_reset(dsn: str, switch: Any) -> None:
    """Its library has given it a default, so the session is as good as new."""
    connection = await penstock_pooling.connect(dsn)
    await connection.execute("DO $$ BEGIN END $$")  # loads the library of plpgsql
    await connection.execute("SET plpgsql.extra_warnings = 'all'")
    pid = connection.get_server_pid()
    await connection.close()
    connection = await penstock_pooling.connect(dsn)

    assert connection.get_server_pid() == pid
    assert await connection.fetchval("SHOW plpgsql.extra_warnings") == "none"
    await connection.close()


async def test_a_line_is_told_of_once(dsn: str, switch: Any, events: list) -> None:
    """It is counted each time."""
    before = statistics()
    for _ in range(3):
        connection = await penstock_pooling.connect(dsn)
        await connection.execute("SET work_mem = '1MB'")
        await connection.close()

    assert statistics().cleaned - before.cleaned == 3
    assert [event.name for event in events] == ["pool.session_cleaned"]


async def test_asyncpgs_own_reset_would_not_be_enough(dsn: str) -> None:
    """Role, temporary tables, prepared statements and sequences stay after it: why we ask for more."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TEMP TABLE t (a serial); PREPARE mine AS SELECT 1; INSERT INTO t VALUES (default)")
    await connection.reset()

    assert await connection.fetchval("SELECT lastval()") == 1
    assert await connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name = 'mine'") == 1
    assert await connection.fetchval("SELECT count(*) FROM t") == 1
    await connection.execute("SET ROLE pg_monitor")
    await connection.reset()
    assert await connection.fetchval("SELECT current_user::text") == "pg_monitor"
    await connection.close()


async def test_settings_of_the_connect_call_survive_the_reset(dsn: str, switch: Any) -> None:
    """They are the session's own defaults."""
    for _ in range(2):
        connection = await penstock_pooling.connect(dsn, server_settings={"application_name": "mine"})
        assert await connection.fetchval("SHOW application_name") == "mine"
        await connection.execute("SET application_name = 'other'")
        await connection.close()


async def test_a_session_that_has_no_time_to_be_reset_is_closed(dsn: str, switch: Any) -> None:
    """Its borrower hears of it only if it has set the time."""
    before = statistics()
    connection = await penstock_pooling.connect(dsn)
    pid = connection.get_server_pid()
    with pytest.raises(TimeoutError):
        await connection.close(timeout=1e-9)
    connection = await penstock_pooling.connect(dsn)

    assert connection.get_server_pid() != pid
    assert statistics().discarded - before.discarded == 1
    await connection.close()


async def test_the_deadline_of_queries_is_that_of_closing_too(
    dsn: str, switch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with asyncpg: a server that does not answer keeps nobody for longer."""
    connection = await penstock_pooling.connect(dsn, command_timeout=0.05)
    monkeypatch.setattr(the_pool(), "_patience", 3_600)

    async def hang(**_: Any) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncpg.connect_utils, "_cancel", hang)
    with pytest.raises(TimeoutError):
        await connection.fetchval("SELECT pg_sleep(60)")
    before = statistics().discarded
    await connection.close()

    assert connection.is_closed()
    assert statistics().discarded == before + 1


async def test_a_connection_that_was_killed_while_idle_is_not_lent(dsn: str, switch: Any, admin: Any) -> None:
    """The next borrower gets a fresh one."""
    connection = await penstock_pooling.connect(dsn)
    pid = connection.get_server_pid()
    await connection.close()
    pool = the_pool()
    await admin.execute(f"SELECT pg_terminate_backend({pid})")
    await reached(lambda: pool.statistics().open == 0)
    connection = await penstock_pooling.connect(dsn)

    assert connection.get_server_pid() != pid
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_what_is_still_being_cancelled_is_waited_for(dsn: str, switch: Any) -> None:
    """The session is then as good as before."""
    connection = await penstock_pooling.connect(dsn)
    pid = connection.get_server_pid()
    query = asyncio.ensure_future(connection.fetchval("SELECT pg_sleep(60)"))
    await reached(lambda: connection._stmt_exclusive_section._acquired)
    for _ in range(5):
        await asyncio.sleep(0)
    query.cancel()
    await asyncio.wait([query])
    await connection.close()
    connection = await penstock_pooling.connect(dsn)

    assert connection.get_server_pid() == pid
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


@pytest.mark.parametrize(
    ("query", "resettable", "lasting", "custom"),
    [
        ("SELECT 1", set(), set(), set()),
        ("UPDATE t SET a = 1", set(), set(), set()),
        ("UPDATE t SET c.part = 1", set(), set(), {"c.part"}),
        ("set work_mem = 1", {"settings"}, set(), set()),
        ("SELECT 1;\n SET work_mem = 1", {"settings"}, set(), set()),
        ("SET LOCAL work_mem = 1", set(), set(), set()),
        ("SET TRANSACTION READ ONLY", set(), set(), set()),
        ("SET SESSION hnsw.ef_search = 100", {"settings"}, set(), {"hnsw.ef_search"}),
        ("SELECT set_config('app.user', $1, false)", {"settings"}, set(), {"app.user"}),
        ("SELECT set_config($1, $2, false)", {"settings"}, {"settings by name"}, set()),
        ("SELECT set_config('my app.x', '', false)", {"settings"}, {"settings by name"}, set()),
        ("SELECT set_config('work_mem'::text, $1, false)", {"settings"}, set(), set()),
        ("SELECT '/*' || set_config('app.user', $1, false)", {"settings"}, set(), {"app.user"}),
        ("SELECT '--'; SET seed = 1", {"settings"}, {"a random seed"}, set()),
        ("-- SET apart\nSELECT 1", set(), set(), set()),
        ("/* */ SET work_mem = 1", {"settings"}, set(), set()),
        ('SET "work_mem" = 1', {"settings"}, set(), set()),
        ("CREATE TEMP TABLE t ()", {"temporary tables"}, set(), set()),
        ("SELECT temp FROM weather", set(), set(), set()),
        ("SELECT pg_advisory_xact_lock(1)", set(), set(), set()),
        ("PREPARE TRANSACTION 'a'", set(), set(), set()),
        ("LOAD 'auto_explain'", set(), {"loaded libraries"}, set()),
        ("SELECT dblink_connect('c', 'x')", set(), {"connections of dblink"}, set()),
    ],
)
def test_what_a_query_tells_of_what_it_leaves(query: str, resettable: set, lasting: set, custom: set) -> None:
    """It is only for telling, and for what no reset takes back: the reset itself asks nobody."""
    left = left_by(query)

    assert (left.resettable, left.lasting, left.custom) == (resettable, lasting, custom)
    assert (left is NOTHING) == (not (resettable or lasting or custom))


async def test_whoever_holds_all_and_asks_for_another_is_told_at_once(dsn: str, switch: Any) -> None:
    """In a transaction, with a prepared statement and a cursor, too; the error names the lines."""
    penstock_limits.configure(penstock_limits.ConcurrencyConfig(rag_pool_min_size=1, rag_pool_max_size=2))
    first = await penstock_pooling.connect(dsn)
    second = await penstock_pooling.connect(dsn)
    statement = await second.prepare("SELECT 1")
    async with first.transaction(), second.transaction():
        async for _ in first.cursor("SELECT generate_series(1, 3)"):
            with pytest.raises(PoolDeadlockError) as caught:
                await penstock_pooling.connect(dsn)

    assert str(caught.value).count("test_connect_session.py:") == 2
    assert str(caught.value).endswith("or raise rag_pool_max_size.")
    assert await statement.fetchval() == 1
    await first.close()
    await second.close()


async def test_whoever_has_handed_its_connection_on_may_wait(dsn: str, switch: Any) -> None:
    """Somebody else may close it."""
    penstock_limits.configure(penstock_limits.ConcurrencyConfig(rag_pool_min_size=1, rag_pool_max_size=1))
    handed_on = [await penstock_pooling.connect(dsn)]
    waiting = asyncio.ensure_future(penstock_pooling.connect(dsn))
    await reached(lambda: the_pool().statistics().queued == 1)
    await handed_on.pop().close()
    connection = await waiting
    handed_on.append(connection)
    transaction = connection.transaction()
    await transaction.start()
    handed_on.append(transaction)
    second = asyncio.ensure_future(penstock_pooling.connect(dsn))
    del connection, transaction
    await reached(lambda: the_pool().statistics().queued == 1)
    handed_on.pop()
    await handed_on.pop().close()
    await (await second).close()
    gc.collect()


async def test_whoever_waits_for_what_it_has_handed_on_is_served(dsn: str, switch: Any) -> None:
    """The same task asks again: that alone is no deadlock."""
    penstock_limits.configure(penstock_limits.ConcurrencyConfig(rag_pool_min_size=1, rag_pool_max_size=1))
    first = await penstock_pooling.connect(dsn)
    pool = the_pool()

    async def close_later(connection: Any) -> None:
        await reached(lambda: pool.statistics().queued == 1)
        await connection.close()

    closing = asyncio.create_task(close_later(first))
    del first
    second = await penstock_pooling.connect(dsn)

    assert pool.statistics().deadlocked == 0
    await closing
    await second.close()
