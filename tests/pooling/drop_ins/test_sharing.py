"""One pool for each set of arguments, and what becomes of a session that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from concurrent.futures import ThreadPoolExecutor

import penstock_limits
import penstock_pooling.psycopg
import penstock_pooling.psycopg2
import psycopg
import pytest
from penstock_limits import ConcurrencyConfig

from tests.limits.sources import Source
from tests.pooling.drop_ins.drivers import Driver, ask
from tests.pooling.waiting import PATIENCE, until


def pid(connection) -> int:
    return ask(connection, "SELECT pg_backend_pid()")


def closed(connection) -> int:
    """Close a connection; return its process."""
    found = pid(connection)
    connection.close()
    return found


def test_off_is_the_drivers_own_call(driver: Driver, own_dsn: str, pool) -> None:
    """Of the same type, with nothing counted."""
    with contextlib.closing(driver.connect(own_dsn)) as connection:
        assert type(connection) is driver.connection

    with pytest.raises(ValueError, match="not enough"):  # there is none
        pool()


def test_observe_counts_what_a_pool_would_have_done(driver: Driver, own_dsn: str, pool, size, monkeypatch) -> None:
    """And gives the driver's own connections."""
    monkeypatch.setenv("PENSTOCK_MODE", "observe")
    size(2)
    driver.connect(own_dsn).close()
    connections = [driver.connect(own_dsn) for _ in range(3)]

    assert {type(each) for each in connections} == {driver.connection}
    told = pool().statistics()
    assert (told.mode, told.acquired, told.opened, told.running) == ("observe", 4, 4, 3)
    assert (told.would_reuse, told.would_wait, told.peak_running) == (2, 1, 3)

    for connection in connections:
        connection.close()

    assert pool().statistics().running == 0


@pytest.mark.usefixtures("enforce")
def test_a_session_is_lent_again(driver: Driver, own_dsn: str, pool, sessions) -> None:
    """In a connection of the driver's class."""
    first = closed(driver.connect(own_dsn))
    connection = driver.connect(own_dsn)

    assert isinstance(connection, driver.connection)
    assert pid(connection) == first
    assert sessions() == 1

    connection.close()

    told = pool().statistics()
    assert (told.running, told.idle, told.open, told.acquired, told.opened) == (0, 1, 1, 2, 1)
    assert told.discarded == 0


@pytest.mark.usefixtures("enforce")
def test_other_arguments_have_another_pool(driver: Driver, own_dsn: str, monkeypatch) -> None:
    """And another type of the same value is another argument; so is the environment that completes them."""
    first = closed(driver.connect(own_dsn))

    assert closed(driver.connect(own_dsn, connect_timeout=10)) != first
    assert closed(driver.connect(own_dsn, connect_timeout="10")) != first
    assert closed(driver.connect(own_dsn)) == first

    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1MB")

    assert closed(driver.connect(own_dsn)) != first


@pytest.mark.usefixtures("enforce")
def test_a_pool_is_named_after_its_server_and_never_tells_a_secret(driver: Driver, own_dsn: str, pool, size) -> None:
    """In its name, its repr, and its errors."""
    size(1, 0.01)
    password = own_dsn.split(":")[2].split("@", maxsplit=1)[0]
    connection = driver.connect(own_dsn)
    with pytest.raises(TimeoutError) as caught:
        driver.connect(own_dsn)

    server = own_dsn.split("@")[1].split("?", maxsplit=1)[0]
    assert server in pool().name
    for told in (repr(pool()), str(caught.value), repr(caught.value), pool().name):
        assert password not in told
    connection.close()


@pytest.mark.usefixtures("enforce")
def test_arguments_that_cannot_be_hashed_make_the_old_call(driver: Driver, own_dsn: str) -> None:
    """Which says what it thinks of them."""
    with pytest.raises(driver.module.Error):
        driver.connect(own_dsn, connect_timeout=[])


@pytest.mark.usefixtures("enforce")
def test_a_session_that_the_server_closed_is_replaced(driver: Driver, own_dsn: str, dsn: str, sessions) -> None:
    """Before anybody gets it."""
    first = closed(driver.connect(own_dsn))
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (first,))
    until(lambda: sessions() == 0)

    assert closed(driver.connect(own_dsn)) != first


@pytest.mark.usefixtures("enforce")
def test_what_cannot_be_undone_ends_the_session(driver: Driver, own_dsn: str, pool) -> None:
    """And is counted."""
    connection = driver.connect(own_dsn)
    cursor = connection.cursor("left_open")
    cursor.execute("SELECT 1")
    first = pid(connection)
    if driver.name == "psycopg":
        connection._num_transactions = 1  # as in a `with connection.transaction()`
        cursor.close()
    connection.close()
    cursor.close()

    assert closed(driver.connect(own_dsn)) != first
    assert pool().statistics().discarded == 1


@pytest.mark.usefixtures("enforce")
def test_a_forgotten_connection_gives_its_place_back(driver: Driver, own_dsn: str, pool, size, recwarn) -> None:
    """And its session ends with it, as ever."""
    size(1)
    first = pid(connection := driver.connect(own_dsn))
    del connection
    gc.collect()

    assert closed(driver.connect(own_dsn)) != first
    assert pool().statistics().running == 0


@pytest.mark.usefixtures("enforce")
def test_close_pools_closes_what_nobody_has_now_and_the_rest_later(
    driver: Driver, own_dsn: str, pool, sessions
) -> None:
    """And they may be used again."""
    out, idle = driver.connect(own_dsn), driver.connect(own_dsn)
    first = pid(out)
    idle.close()
    close_pools = getattr(penstock_pooling, driver.name).close_pools
    close_pools()

    until(lambda: sessions() == 1)
    assert pid(out) == first

    out.close()

    until(lambda: sessions() == 0)
    assert closed(driver.connect(own_dsn)) != first


@pytest.mark.usefixtures("enforce")
def test_old_sessions_and_idle_ones_are_closed(driver: Driver, own_dsn: str, pool, sessions, monkeypatch) -> None:
    """A session is not lent when its time has come; one that nobody needs is closed at the next use of any pool."""
    from penstock_pooling._drop_ins import registry
    from penstock_pooling._sessions import sessions as kept

    first = closed(driver.connect(own_dsn))
    pool()._idle[0].expires = time.monotonic()
    second = closed(driver.connect(own_dsn))

    assert second != first
    assert pool().statistics().expired == 1

    monkeypatch.setattr(kept, "IDLE", -1.0)
    monkeypatch.setattr(registry, "SWEEP_EVERY", -1.0)
    with contextlib.closing(driver.connect(f"{own_dsn}&connect_timeout=10")):
        until(lambda: sessions() == 1)


def test_turning_it_off_closes_what_was_kept(driver: Driver, own_dsn: str, sessions) -> None:
    """What is out is closed when it comes back, and new connections are the driver's own."""
    source = Source("enforce", "pooled-database")
    penstock_limits.set_mode_source(source)
    driver.connect(own_dsn).close()
    connection = driver.connect(own_dsn)
    other = driver.connect(own_dsn)
    other.close()
    source.turn("off")

    until(lambda: sessions() == 1)
    connection.close()

    until(lambda: sessions() == 0)
    with contextlib.closing(driver.connect(own_dsn)) as connection:
        assert type(connection) is driver.connection


@pytest.mark.usefixtures("enforce")
def test_a_smaller_configuration_takes_effect_when_sessions_come_back(
    driver: Driver, own_dsn: str, sessions, size
) -> None:
    """And a larger one at once."""
    size(3)
    connections = [driver.connect(own_dsn) for _ in range(3)]
    size(1)
    for connection in connections:
        connection.close()

    until(lambda: sessions() <= 1)
    size(4)
    connections = [driver.connect(own_dsn) for _ in range(4)]

    assert sessions() == 4
    for connection in connections:
        connection.close()


@pytest.mark.usefixtures("enforce")
def test_a_reference_kept_after_close_reaches_nobody_elses_session(driver: Driver, own_dsn: str) -> None:
    """Whoever has an old connection or a cursor in hand finds it closed, whoever has the session now."""
    old = driver.connect(own_dsn)
    cursor = old.cursor()
    first = pid(old)
    old.close()
    new = driver.connect(own_dsn)
    with pytest.raises(driver.module.Error):
        cursor.execute("SET work_mem = '1MB'")
    old.close()

    assert old is not new
    assert old.closed
    assert not new.closed
    assert pid(new) == first or driver.name == "psycopg2"
    new.close()


@pytest.mark.usefixtures("enforce")
def test_the_configuration_that_holds_says_how_many(driver: Driver, own_dsn: str, pool) -> None:
    """`rag_pool_max_size`, 20 unless it says otherwise."""
    driver.connect(own_dsn).close()

    assert pool().statistics().max_running == ConcurrencyConfig().rag_pool_max_size


UNIQUE = "CREATE TABLE IF NOT EXISTS late_check (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"
TWICE = "INSERT INTO late_check VALUES (1), (1)"  # which fails when it is committed


@pytest.mark.parametrize("what", ["the server ends it", "the commit fails"])
@pytest.mark.usefixtures("enforce")
def test_a_block_gives_its_session_back_whatever_ends_it(what: str, dsn: str, own_dsn: str, pool) -> None:
    """Also while its caller has the connection in a variable still."""
    connections = []

    def use() -> None:
        with penstock_pooling.psycopg.connect(own_dsn) as connection:
            connections.append(connection)
            if what == "the server ends it":
                end(connection, dsn)
            connection.execute(TWICE)

    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(UNIQUE)
    with pytest.raises(psycopg.Error):
        use()

    assert connections[0].closed
    assert pool().statistics().running == 0


@pytest.mark.parametrize("what", ["the server ends it", "the commit fails", "it is cancelled"])
@pytest.mark.usefixtures("enforce")
async def test_an_awaited_block_gives_its_session_back_whatever_ends_it(
    what: str, dsn: str, own_dsn: str, pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise."""
    connections = []

    async def use() -> None:
        async with await penstock_pooling.psycopg.AsyncConnection.connect(own_dsn) as connection:
            connections.append(connection)
            if what == "the server ends it":
                end(connection, dsn)
            if what == "it is cancelled":
                monkeypatch.setattr(connection, "commit", cancelled)
            else:
                await connection.execute(TWICE)

    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(UNIQUE)
    with pytest.raises(asyncio.CancelledError if what == "it is cancelled" else psycopg.Error):
        await use()

    assert connections[0].closed
    assert pool().statistics().running == 0


def end(connection, dsn: str) -> None:
    """Have the server end a session, and wait until it has."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 30_000)", (connection.info.backend_pid,))


async def cancelled() -> None:
    raise asyncio.CancelledError


@pytest.mark.usefixtures("enforce")
def test_each_environment_has_a_pool_of_its_own(driver: Driver, own_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a variable is a setting of the session."""
    zones = []
    for zone in ("Asia/Tokyo", "Europe/Rome"):
        monkeypatch.setenv("PGTZ", zone)
        connection = driver.connect(own_dsn)
        zones.append(ask(connection, "SHOW timezone"))
        connection.close()

    assert zones == ["Asia/Tokyo", "Europe/Rome"]


@pytest.mark.usefixtures("enforce")
def test_what_is_opened_after_the_environment_has_changed_is_for_nobody_else(
    driver: Driver, own_dsn: str, pool, size, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller waits, a variable changes, and what it gets is not kept for those who ask as it did."""
    size(1, 600.0)
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    first = driver.connect(own_dsn)
    places = pool()
    with ThreadPoolExecutor(1) as executor:
        second = executor.submit(driver.connect, own_dsn)
        until(lambda: places.statistics().queued == 1)
        monkeypatch.setenv("PGTZ", "Europe/Rome")
        places.end_idle()  # so that it is closed when it comes back
        first.close()
        connection = second.result(PATIENCE)
    assert ask(connection, "SHOW timezone") == "Europe/Rome"
    connection.close()
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    again = driver.connect(own_dsn)

    assert ask(again, "SHOW timezone") == "Asia/Tokyo"
    again.close()
