"""Programs do the same with a driver's own `connect` and with the drop-in, off and enforced."""

from __future__ import annotations

import contextlib
import gc
import re
import warnings
from collections.abc import Callable
from typing import Any

import psycopg
import psycopg.rows
import psycopg2.extensions
import psycopg2.extras
import pytest

from tests.pooling.drop_ins.drivers import DRIVERS, Driver, ask, do
from tests.pooling.in_modes import in_modes

Program = Callable[[Callable[..., Any], str], Any]
PROGRAMS: dict[str, list[Program]] = {"psycopg": [], "psycopg2": []}


def program(*drivers: str) -> Callable[[Program], Program]:
    def enter(function: Program) -> Program:
        for driver in drivers or PROGRAMS:
            PROGRAMS[driver].append(function)
        return function

    return enter


def outcome(function: Callable[[], Any]) -> Any:
    """Return what a program gives, or how it fails."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        text = re.sub(r"0x[0-9a-f]+|backend \d+|PID \d+", "", str(error))
        return f"{type(error).__module__}.{type(error).__qualname__}: {text}"


@program()
def with_block(connect, dsn):
    with connect(dsn) as connection:
        do(connection, "CREATE TABLE IF NOT EXISTS kept (value int)")
        do(connection, "TRUNCATE kept")
        do(connection, "INSERT INTO kept VALUES (1)")
    closed = connection.closed
    connection.close()
    with contextlib.closing(connect(dsn)) as other:
        return closed, ask(other, "SELECT count(*) FROM kept")


@program()
def with_block_that_fails(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        do(connection, "CREATE TABLE IF NOT EXISTS undone (value int)")
        connection.commit()
    with contextlib.suppress(KeyError), connect(dsn) as connection:
        do(connection, "INSERT INTO undone VALUES (1)")
        raise KeyError
    closed = connection.closed
    connection.close()
    with contextlib.closing(connect(dsn)) as other:
        return closed, ask(other, "SELECT count(*) FROM undone")


@program()
def with_block_again(connect, dsn):
    connection = connect(dsn)
    with connection:
        first = ask(connection, "SELECT 1")
    again = outcome(lambda: connection.__enter__() and None)
    connection.close()
    return first, again, outcome(lambda: connection.__enter__() and None)


@program()
def use_after_close(connect, dsn):
    connection = connect(dsn)
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    fetched = connection.cursor()
    fetched.execute("SELECT 2")
    connection.close()
    return [
        connection.closed,
        connection.close(),
        connection.closed,
        outcome(connection.cursor),
        outcome(connection.commit),
        outcome(connection.rollback),
        outcome(lambda: cursor.execute("SELECT 1")),
        outcome(lambda: cursor.executemany("SELECT %s", [(1,)])),
        outcome(fetched.fetchone),
        outcome(connection.cancel),
        outcome(connection.fileno),
        outcome(lambda: setattr(connection, "autocommit", True)),
        outcome(lambda: setattr(connection, "isolation_level", 2)),
        outcome(lambda: connection.tpc_recover()),
        outcome(cursor.close),
        re.sub("0x[0-9a-f]+", "", repr(connection)),
    ]


@program()
def use_after_close_in_autocommit(connect, dsn):
    connection = connect(dsn)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    connection.close()
    with contextlib.closing(connect(dsn)):  # which may have the same session
        return outcome(lambda: cursor.execute("SELECT 1"))


@program()
def a_setting(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        do(connection, "SET work_mem = '1234kB'")
        do(connection, "SET search_path = nowhere")
        connection.commit()
    with contextlib.closing(connect(dsn)) as connection:
        return ask(connection, "SHOW work_mem"), ask(connection, "SHOW search_path")


@program()
def a_temporary_table(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        do(connection, "CREATE TEMPORARY TABLE mine (value int)")
        connection.commit()
    with contextlib.closing(connect(dsn)) as connection:
        return outcome(lambda: ask(connection, "SELECT count(*) FROM mine"))


@program()
def an_advisory_lock(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        ask(connection, "SELECT pg_advisory_lock(%s)", 7)
        connection.commit()
    with contextlib.closing(connect(dsn)) as connection:
        return ask(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7")


@program()
def a_listener(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        do(connection, "LISTEN news")
        connection.commit()
    with contextlib.closing(connect(dsn)) as connection:
        return ask(connection, "SELECT count(*) FROM pg_listening_channels()")


@program()
def a_prepared_statement(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        do(connection, "PREPARE mine AS SELECT 1")
        connection.commit()
    with contextlib.closing(connect(dsn)) as connection:
        return outcome(lambda: ask(connection, "EXECUTE mine"))


@program()
def an_open_transaction(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        do(connection, "CREATE TABLE IF NOT EXISTS forgotten (value int)")
        connection.commit()
        do(connection, "INSERT INTO forgotten VALUES (1)")
    with contextlib.closing(connect(dsn)) as connection:
        return ask(connection, "SELECT count(*) FROM forgotten")


@program()
def a_transaction_begun_by_hand(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        connection.autocommit = True
        do(connection, "BEGIN")
        do(connection, "CREATE TABLE never (value int)")
    with contextlib.closing(connect(dsn)) as connection:
        return outcome(lambda: ask(connection, "SELECT count(*) FROM never"))


@program()
def an_aborted_transaction(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        first = outcome(lambda: do(connection, "SELECT 1 / 0"))
        second = outcome(lambda: do(connection, "SELECT 1"))
    with contextlib.closing(connect(dsn)) as connection:
        return first, second, ask(connection, "SELECT 1")


@program()
def how_transactions_are_made(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        connection.isolation_level = 2  # its number means another level in each driver
        if isinstance(connection, psycopg.Connection):
            connection.read_only = True
        else:
            connection.readonly = True
        connection.deferrable = True
        changed = ask(connection, "SHOW transaction_isolation"), ask(connection, "SHOW transaction_read_only")
    with contextlib.closing(connect(dsn)) as connection:
        return (
            changed,
            ask(connection, "SHOW transaction_isolation"),
            ask(connection, "SHOW transaction_read_only"),
            connection.isolation_level,
            connection.deferrable,
            connection.autocommit,
        )


@program()
def autocommit(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        connection.autocommit = True
        ask(connection, "SELECT 1")
    with contextlib.closing(connect(dsn)) as connection:
        before = connection.autocommit
        ask(connection, "SELECT 1")
        status = connection.info.transaction_status
        return before, int(status)


@program()
def an_encoding(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        do(connection, "SET client_encoding = 'LATIN1'")
        if not isinstance(connection, psycopg.Connection):
            connection.rollback()
            connection.set_client_encoding("LATIN1")
        connection.commit()
        first = ask(connection, "SELECT 'ä'")
    with contextlib.closing(connect(dsn)) as connection:
        return (
            first,
            ask(connection, "SHOW client_encoding"),
            ask(connection, "SELECT 'ä€'"),
            str(connection.info.encoding),
        )


@program()
def dates(connect, dsn):
    dsn = f"{dsn}?options=-c%20datestyle%3DGerman"
    for _ in range(2):
        with contextlib.closing(connect(dsn)) as connection:
            shown = ask(connection, "SHOW datestyle"), outcome(lambda: ask(connection, "SELECT '2024-02-01'::date"))
            connection.rollback()
            do(connection, "SET datestyle TO 'SQL'")
            connection.commit()
    return shown


@program()
def a_named_cursor(connect, dsn):
    connection = connect(dsn)
    cursor = connection.cursor("mine")
    cursor.execute("SELECT generate_series(1, 10)")
    first = cursor.fetchone()
    connection.close()
    with contextlib.closing(connect(dsn)) as other:
        then = outcome(cursor.fetchone), outcome(cursor.close)
        return first, then, ask(other, "SELECT count(*) FROM pg_cursors")


@program()
def a_named_cursor_that_is_closed(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection, connection.cursor("mine") as cursor:
        cursor.execute("SELECT generate_series(1, 10)")
        return cursor.fetchmany(3)


@program()
def a_cursor_that_outlives_its_connection(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT generate_series(1, 3)")
    with contextlib.closing(connect(dsn)) as other:
        return outcome(cursor.fetchall), ask(other, "SELECT 1")


@program()
def a_wrong_password(connect, dsn):
    return outcome(lambda: connect(re.sub(":[^:@]+@", ":wrong@", dsn)))


@program()
def an_unknown_database(connect, dsn):
    return outcome(lambda: connect(dsn, dbname="nowhere"))


@program()
def nobody_listens(connect, dsn):
    return outcome(lambda: connect(host="127.0.0.1", port=1, user="me", connect_timeout=5))


@program()
def an_unknown_parameter(connect, dsn):
    return outcome(lambda: connect(dsn, surprise=1))


@program()
def no_dsn_at_all(connect, dsn):
    return outcome(lambda: connect("this is none"))


@program()
def an_ended_session(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        error = outcome(lambda: ask(connection, "SELECT pg_terminate_backend(pg_backend_pid())"))
        then = outcome(lambda: ask(connection, "SELECT 1"))
        closed = bool(connection.closed)
    with contextlib.closing(connect(dsn)) as connection:
        return error, then, closed, ask(connection, "SELECT 1")


@program()
def two_phases(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        xid = connection.xid(1, "mine", "branch")
        connection.tpc_begin(xid)
        ask(connection, "SELECT 1")
        connection.tpc_rollback()
    connection = connect(dsn)
    connection.tpc_begin(connection.xid(1, "open", "branch"))
    ask(connection, "SELECT 1")
    connection.close()
    with contextlib.closing(connect(dsn)) as connection:
        return outcome(lambda: connection.tpc_recover())


@program()
def forgotten(connect, dsn):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        connection = connect(dsn)
        ask(connection, "SELECT 1")
        del connection
        gc.collect()
    return [(each.category.__name__, re.sub("0x[0-9a-f]+", "", str(each.message))) for each in told]


@program("psycopg")
def factories(connect, dsn):
    class Own(psycopg.Cursor): ...

    with connect(dsn, row_factory=psycopg.rows.dict_row, cursor_factory=Own, autocommit=True) as connection:
        first = connection.execute("SELECT 1 AS one").fetchone(), type(connection.cursor()).__name__
    with connect(dsn, prepare_threshold=None) as connection:
        connection.row_factory = psycopg.rows.scalar_row
        second = connection.execute("SELECT 1").fetchone(), connection.prepare_threshold
    with connect(dsn) as connection:
        return first, second, connection.execute("SELECT 1").fetchone(), connection.prepare_threshold


@program("psycopg")
def adapters(connect, dsn):
    class Seven(psycopg.adapt.Loader):
        def load(self, data):
            return 7

    with connect(dsn) as connection:
        connection.adapters.register_loader("int4", Seven)
        first = connection.execute("SELECT 1").fetchone()
        with connect(dsn, context=connection) as other:
            second = other.execute("SELECT 1").fetchone()
    with connect(dsn) as connection:
        return first, second, connection.execute("SELECT 1").fetchone()


@program("psycopg")
def notices(connect, dsn):
    heard = []
    for _ in range(2):
        with connect(dsn) as connection:
            connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
            connection.execute("DO $$ BEGIN RAISE NOTICE 'listen'; END $$")
    return heard


@program("psycopg")
def closed_within_its_transaction(connect, dsn):
    def run():
        with connect(dsn, autocommit=True) as connection, connection.transaction():
            connection.execute("SELECT 1")
            connection.close()

    first = outcome(run)
    with connect(dsn) as connection:
        return first, connection.execute("SELECT 1").fetchone()


@program("psycopg")
def closed_within_a_pipeline(connect, dsn):
    def run():
        with connect(dsn, autocommit=True) as connection, connection.pipeline():
            connection.execute("SELECT 1")
            connection.close()

    first = outcome(run)
    with connect(dsn) as connection:
        return first, connection.execute("SELECT 1").fetchone()


@program("psycopg")
def closed_within_a_copy(connect, dsn):
    def run():
        with (
            connect(dsn) as connection,
            connection.cursor().copy("COPY (SELECT generate_series(1, 10000)) TO STDOUT") as copy,
        ):
            copy.read()
            connection.close()

    first = outcome(run)
    with connect(dsn) as connection:
        return first, connection.execute("SELECT 1").fetchone()


@program("psycopg")
def prepared_by_use(connect, dsn):
    for _ in range(2):
        with connect(dsn, prepare_threshold=0) as connection:
            connection.execute("SELECT %s::int", (1,))
            count = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    return count


@program("psycopg2")
def factories_of_cursors(connect, dsn):
    with contextlib.closing(connect(dsn, cursor_factory=psycopg2.extras.RealDictCursor)) as connection:
        first = ask_row(connection)
    with contextlib.closing(connect(dsn)) as connection:
        second = ask_row(connection)
        connection.cursor_factory = psycopg2.extras.DictCursor
        third = type(ask_row(connection)).__name__
    with contextlib.closing(connect(dsn)) as connection:
        return dict(first), second, third, ask_row(connection), connection.cursor_factory


def ask_row(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS one")
        return cursor.fetchone()


@program("psycopg2")
def a_type_of_the_connection(connect, dsn):
    seven = psycopg2.extensions.new_type((23,), "SEVEN", lambda value, cursor: 7)
    with contextlib.closing(connect(dsn)) as connection:
        psycopg2.extensions.register_type(seven, connection)
        first = ask(connection, "SELECT 1")
    with contextlib.closing(connect(dsn)) as connection:
        return first, ask(connection, "SELECT 1")


@program("psycopg2")
def what_the_server_says(connect, dsn):
    for _ in range(2):
        with contextlib.closing(connect(dsn)) as connection:
            before = list(connection.notices), list(connection.notifies)
            do(connection, "DO $$ BEGIN RAISE NOTICE 'listen'; END $$")
            after = list(connection.notices)
    return before, after


@program("psycopg2")
def a_connection_factory(connect, dsn):
    with contextlib.closing(connect(dsn, psycopg2.extras.DictConnection)) as connection:
        return type(connection).__name__, ask(connection, "SELECT 1")


@program("psycopg2")
def an_asynchronous_connection(connect, dsn):
    connection = connect(dsn, async_=True)
    psycopg2.extras.wait_select(connection)
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    psycopg2.extras.wait_select(connection)
    found = cursor.fetchone()
    connection.close()
    return found


@program("psycopg2")
def a_large_object(connect, dsn):
    with contextlib.closing(connect(dsn)) as connection:
        large = connection.lobject()
        large.write("text")
    return outcome(lambda: large.write("more"))


@program("psycopg2")
def more_use_after_close(connect, dsn):
    connection = connect(dsn)
    connection.close()
    names = [
        "get_backend_pid",
        "get_dsn_parameters",
        "get_transaction_status",
        "isexecuting",
        "lobject",
        "poll",
        "reset",
        "xid",
    ]
    return [outcome(getattr(connection, name)) for name in names], outcome(
        lambda: connection.set_session(autocommit=True)
    )


CASES = [[(f"{driver.name}-{each.__name__}", (driver, each)) for each in PROGRAMS[driver.name]] for driver in DRIVERS]


@pytest.mark.parametrize(("mode", "run"), [case for each in CASES for case in in_modes(each)])
def test_a_program_does_the_same(
    mode: str, run: tuple[Driver, Program], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the driver's own `connect`, and with the drop-in, the first time and the next."""
    driver, program = run
    expected = outcome(lambda: program(driver.own_connect, dsn))

    monkeypatch.setenv("PENSTOCK_MODE_POOLED_DATABASE", mode)

    for _ in range(2):
        assert outcome(lambda: program(driver.connect, dsn)) == expected
