"""The drop-in for asyncpg.connect: its modes, and which pool an argument leads to."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import pickle
import ssl
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import penstock_limits
import penstock_pooling
import pytest
from penstock_limits import ConcurrencyConfig
from penstock_pooling import PoolTimeoutError
from penstock_pooling._connect.arguments import ConnectArguments
from penstock_pooling._connect.room import MANY, drop_in, room_here
from penstock_pooling.testing import PostgresServer

from tests.pooling.database.counting import sessions
from tests.pooling.database.registered import pools, statistics
from tests.pooling.waiting import reached

numbers = itertools.count()


def configure(max_size: int, timeout: float = 10.0) -> None:
    penstock_limits.configure(
        ConcurrencyConfig(rag_pool_min_size=0, rag_pool_max_size=max_size, database_operation_timeout=timeout)
    )


@pytest.fixture
def own_dsn(dsn: str) -> str:
    """One with a name of its own at the server, which may still be busy with what another test has cut off."""
    return f"{dsn}?application_name=connect-{next(numbers)}"


def name_in(dsn: str) -> str:
    return dsn.rpartition("=")[2]


# --- modes


async def test_off_is_the_old_call(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function gets the same arguments, and what it returns comes back; only a counter moves."""
    calls = []

    def connect(*args: Any, **arguments: Any) -> object:
        calls.append((args, arguments))
        return returned

    returned, arguments = object(), {"user": "u", "ssl": object(), "nonsense": []}
    monkeypatch.setattr(asyncpg, "connect", connect)
    before = statistics().off

    assert penstock_pooling.connect(dsn, **arguments) is returned
    assert penstock_pooling.connect() is returned
    assert penstock_pooling.connect(dsn=dsn, user="u") is returned
    assert penstock_pooling.connect(None) is returned
    assert calls == [((dsn,), arguments), ((), {}), ((), {"dsn": dsn, "user": "u"}), ((None,), {})]
    assert statistics().off == before + 4
    assert pools() == []


@pytest.mark.parametrize(("mode", "unequal"), [("observe", {}), ("enforce", {"passfile": bytearray()})])
@pytest.mark.parametrize("named", [{}, {"dsn": "postgresql://h/d"}, {"host": "h"}])
@pytest.mark.parametrize("positional", [(), (None,), ("postgresql://h/d",), ("postgresql://h/d", "two")])
async def test_asyncpg_gets_what_was_given_and_how_it_was_given(
    positional: Any, named: Any, mode: str, unequal: Any, switch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By position what was given so, and nothing that was not given, where no pool serves."""
    calls = []

    async def connect(*args: Any, **arguments: Any) -> None:
        calls.append((args, arguments))
        raise OSError

    monkeypatch.setattr(asyncpg, "connect", connect)
    switch.turn(mode)
    with pytest.raises(OSError):
        await penstock_pooling.connect(*positional, **named, **unequal)

    assert calls == [(positional, {**named, **unequal})]


async def test_a_dsn_by_name_leads_to_the_same_pool(dsn: str, switch: Any) -> None:
    """It is the same dsn."""
    await (await penstock_pooling.connect(dsn)).close()
    await (await penstock_pooling.connect(dsn=dsn)).close()

    assert len(pools()) == 1


async def test_off_returns_asyncpgs_own(dsn: str) -> None:
    """No class of ours is about."""
    connection = await penstock_pooling.connect(dsn)

    assert type(connection) is asyncpg.Connection
    await connection.close()


async def test_observe_returns_asyncpgs_own_and_counts_what_a_pool_would_have_done(dsn: str, switch: Any) -> None:
    """Connections that are out, that would have been waited for, that one would have had open."""
    switch.turn("observe")
    configure(max_size=2)
    connections = [await penstock_pooling.connect(dsn) for _ in range(3)]
    (pool,) = pools()
    full = pool.statistics()
    for connection in connections:
        await connection.close()
    await reached(lambda: pool.statistics().running == 0)
    await (await penstock_pooling.connect(dsn)).close()

    assert {type(each) for each in connections} == {asyncpg.Connection}
    assert (full.mode, full.running, full.open, full.peak_running, full.would_wait, full.would_reuse) == (
        "observe",
        3,
        3,
        3,
        1,
        1,
    )
    assert pool.statistics().would_reuse == 2
    assert pool.statistics().acquired == 4
    assert pool.statistics().hold_seconds > 0
    assert statistics().observed >= 4


async def test_observe_counts_callers_that_come_at_once(dsn: str, switch: Any) -> None:
    """One that is still connecting would have had its place; one that fails has it no more."""
    switch.turn("observe")
    configure(max_size=2)
    connections = await asyncio.gather(*(penstock_pooling.connect(dsn) for _ in range(6)))
    (pool,) = pools()

    counted = pool.statistics()
    assert (counted.running, counted.peak_running, counted.would_wait, counted.would_reuse) == (6, 6, 4, 4)
    for connection in connections:
        await connection.close()
    await reached(lambda: pool.statistics().running == 0)
    assert pool.is_unused()


@pytest.mark.parametrize("end", [OSError, asyncio.CancelledError])
async def test_observe_forgets_a_caller_that_could_not_connect(
    end: Any, dsn: str, switch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place would be free for the next; only that it came is counted."""
    switch.turn("observe")
    configure(max_size=1)

    async def connect(*args: Any, **arguments: Any) -> None:
        raise end

    monkeypatch.setattr(asyncpg, "connect", connect)
    for _ in range(3):
        with pytest.raises(end):
            await penstock_pooling.connect(dsn)

    (pool,) = pools()
    assert (pool.statistics().would_wait, pool.statistics().acquired, pool.is_unused()) == (0, 0, True)


async def test_enforce_lends_what_is_open(own_dsn: str, switch: Any, admin: Any) -> None:
    """One session serves one borrower after the other; nothing is opened that nobody has asked for."""
    pids = set()
    for _ in range(3):
        connection = await penstock_pooling.connect(own_dsn)
        pids.add(connection.get_server_pid())
        await connection.close()

    assert len(pids) == 1
    assert await sessions(admin, name_in(own_dsn)) == 1
    (pool,) = pools()
    assert (pool.statistics().acquired, pool.statistics().opened, pool.get_min_size()) == (3, 1, 0)


async def test_a_connection_that_is_out_is_closed_for_good_when_the_mode_is_switched_off(
    own_dsn: str, switch: Any, admin: Any
) -> None:
    """And what was idle at once; the next call is the old one."""
    idle, out = await penstock_pooling.connect(own_dsn), await penstock_pooling.connect(own_dsn)
    await idle.close()
    switch.turn("off")
    await reached(lambda: pools()[0].statistics().open == 1)
    assert await out.fetchval("SELECT 1") == 1
    await out.close()

    assert await sessions(admin, name_in(own_dsn)) == 0
    connection = await penstock_pooling.connect(own_dsn)
    assert type(connection) is asyncpg.Connection
    await connection.close()


async def test_a_mode_that_does_not_tell_is_looked_at_when_a_connection_comes_back(
    own_dsn: str, monkeypatch: pytest.MonkeyPatch, admin: Any
) -> None:
    """Such as that of the environment."""
    monkeypatch.setenv("PENSTOCK_MODE_POOLED_DATABASE", "enforce")
    connection = await penstock_pooling.connect(own_dsn)
    monkeypatch.setenv("PENSTOCK_MODE_POOLED_DATABASE", "off")
    await connection.close()

    assert await sessions(admin, name_in(own_dsn)) == 0


@pytest.mark.parametrize("mode", ["off", "observe"])
async def test_a_connection_that_was_opened_before_is_not_pooled_when_the_mode_is_switched_on(
    mode: str, own_dsn: str, switch: Any, admin: Any
) -> None:
    """It is closed as ever."""
    switch.turn(mode)
    connection = await penstock_pooling.connect(own_dsn)
    switch.turn("enforce")
    await connection.close()

    assert await sessions(admin, name_in(own_dsn)) == 0


async def test_a_caller_that_waits_goes_on_when_the_mode_is_switched_off(own_dsn: str, switch: Any, admin: Any) -> None:
    """With a connection that is closed after it."""
    configure(max_size=1)
    first = await penstock_pooling.connect(own_dsn)
    waiting = asyncio.ensure_future(penstock_pooling.connect(own_dsn))
    await reached(lambda: pools()[0].statistics().queued == 1)
    switch.turn("off")
    second = await waiting

    assert await second.fetchval("SELECT 1") == 1
    await second.close()
    await first.close()
    assert await sessions(admin, name_in(own_dsn)) == 0


# --- waiting


async def test_a_full_pool_lets_wait_as_long_as_the_configuration_says(dsn: str, switch: Any) -> None:
    """Then it tells whose lines have the connections."""
    configure(max_size=1)
    held = [await penstock_pooling.connect(dsn)]
    configure(max_size=1, timeout=0.05)
    with pytest.raises(PoolTimeoutError) as caught:
        await penstock_pooling.connect(dsn)

    assert isinstance(caught.value, TimeoutError)
    assert caught.value.allowed == 0.05
    assert "test_connect.py:" in str(caught.value)
    assert "_connect.py" not in str(caught.value).replace("test_connect.py", "")
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert "raise rag_pool_max_size or database_operation_timeout" in str(error)
    await held[0].close()


async def test_a_server_that_does_not_answer_is_told_with_what_to_raise(switch: Any) -> None:
    """It is the configuration's deadline, of which the pool's user knows."""
    configure(max_size=1, timeout=0.05)
    gone = asyncio.Event()

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1_000):
            pass
        writer.close()
        gone.set()

    server = await asyncio.start_server(stay_silent, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(PoolTimeoutError, match=r"could not connect .* raise database_operation_timeout"):
        await penstock_pooling.connect(f"postgresql://u:p@127.0.0.1:{port}/d?sslmode=disable")
    await gone.wait()
    server.close()


async def test_a_callers_own_deadline_goes_before_if_it_is_shorter(dsn: str, switch: Any) -> None:
    """A longer one does not: the configuration bounds all."""
    configure(max_size=1)
    held = [await penstock_pooling.connect(dsn)]
    configure(max_size=1, timeout=0.05)
    for timeout, allowed in ((0.02, 0.02), (60, 0.05), (None, 0.05)):
        with pytest.raises(PoolTimeoutError) as caught:
            await penstock_pooling.connect(dsn, timeout=timeout)
        assert caught.value.allowed == allowed

    assert len(pools()) == 1
    await held[0].close()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda coroutine: coroutine,
        asyncio.ensure_future,
        lambda coroutine: asyncio.wait_for(coroutine, 30),
        lambda coroutine: asyncio.gather(coroutine),
    ],
)
async def test_a_borrower_is_known_by_the_line_that_has_called(wrap: Any, dsn: str, switch: Any) -> None:
    """In whatever task the connection is then opened."""
    lent = await wrap(penstock_pooling.connect(dsn))
    (pool,) = pools()

    assert "test_connect.py:" in pool._out()
    assert "test_a_borrower_is_known" in pool._out()
    for connection in lent if isinstance(lent, list) else [lent]:
        await connection.close()


async def test_a_new_configuration_resizes_at_the_next_call(own_dsn: str, switch: Any, admin: Any) -> None:
    """Smaller and greater."""
    configure(max_size=3)
    connections = [await penstock_pooling.connect(own_dsn) for _ in range(3)]
    configure(max_size=1, timeout=0.02)
    with pytest.raises(PoolTimeoutError):
        await penstock_pooling.connect(own_dsn)
    for connection in connections:
        await connection.close()
    assert await sessions(admin, name_in(own_dsn)) == 1
    configure(max_size=2)
    connections = [await penstock_pooling.connect(own_dsn) for _ in range(2)]

    assert pools()[0].get_max_size() == 2
    for connection in connections:
        await connection.close()


# --- arguments


async def test_each_set_of_arguments_has_a_pool(dsn: str, switch: Any) -> None:
    """However they are put; a dictionary counts by what is in it."""
    same: list[dict[str, Any]] = [
        {"server_settings": {"application_name": "a", "work_mem": "1MB"}},
        {"server_settings": {"work_mem": "1MB", "application_name": "a"}},
        {"server_settings": {"work_mem": "1MB", "application_name": "a"}, "timeout": 5},
        {"server_settings": {"work_mem": "1MB", "application_name": "a"}, "connection_class": Mine},
        {"server_settings": {"work_mem": "1MB", "application_name": "a"}, "loop": asyncio.get_running_loop()},
    ]
    others: list[dict[str, Any]] = [
        {},
        {"server_settings": {"application_name": "b", "work_mem": "1MB"}},
        {"statement_cache_size": 0},
        {"command_timeout": 1},
        {"command_timeout": 1.0},
        {"record_class": MyRecord},
    ]
    for arguments in same:
        await (await penstock_pooling.connect(dsn, **arguments)).close()
    assert len(pools()) == 1
    for arguments in others:
        await (await penstock_pooling.connect(dsn, **arguments)).close()

    assert len(pools()) == 1 + len(others)
    host, names = f"{urlsplit(dsn).netloc.rpartition('@')[2]}/postgres", {pool.name for pool in pools()}
    assert names == {host, *(f"{host} #{number}" for number in range(2, 8))}


async def test_a_dictionary_that_is_changed_later_does_not_change_the_pool(dsn: str, switch: Any) -> None:
    """The pool has a copy, from which it opens its next connection."""
    settings = {"application_name": "before"}
    first = await penstock_pooling.connect(dsn, server_settings=settings)
    settings["application_name"] = "after"
    second = await penstock_pooling.connect(dsn, server_settings={"application_name": "before"})

    assert await second.fetchval("SHOW application_name") == "before"
    assert len(pools()) == 1
    await first.close()
    await second.close()


async def test_what_asyncpg_reads_from_the_environment_counts_as_an_argument(
    dsn: str, switch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read at each call, as ever."""
    parts = urlsplit(dsn)
    monkeypatch.setenv("PGHOST", str(parts.hostname))
    monkeypatch.setenv("PGPORT", str(parts.port))
    monkeypatch.setenv("PGUSER", str(parts.username))
    monkeypatch.setenv("PGPASSWORD", str(parts.password or ""))
    monkeypatch.setenv("PGDATABASE", "postgres")
    await (await penstock_pooling.connect()).close()
    monkeypatch.setenv("PGDATABASE", "template1")
    connection = await penstock_pooling.connect()

    assert await connection.fetchval("SELECT current_database()::text") == "template1"
    assert {pool.name for pool in pools()} == {f"{parts.hostname}/postgres", f"{parts.hostname}/template1"}
    await connection.close()


class Mine(asyncpg.Connection):
    """A user's."""


class MyRecord(asyncpg.Record):
    """A user's, too."""


class Unequal:
    """Cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise ValueError

    def __hash__(self) -> int:
        return 1


async def get_password() -> str:
    return "secret"


class Secrets:
    """Where a password comes from."""

    def password(self) -> str:
        return "secret"


@pytest.mark.parametrize("make", [bytearray, set, Unequal, object], ids=lambda make: make.__name__)
async def test_an_argument_that_cannot_be_compared_is_for_the_old_call(
    make: Any, dsn: str, switch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted."""

    async def connect(*args: Any, **arguments: Any) -> str:
        return "asyncpg's"

    monkeypatch.setattr(asyncpg, "connect", connect)
    before = statistics().unpooled
    for _ in range(3):
        assert await penstock_pooling.connect(dsn, passfile=make()) == "asyncpg's"

    assert statistics().unpooled == before + 3
    assert pools() == []


class Slots:
    """A password from a place of the user's, to which there can be no weak reference."""

    __slots__ = ("_password",)

    def __init__(self, password: str | None) -> None:
        self._password = password

    def __call__(self) -> str | None:
        return self._password


@pytest.mark.parametrize("mode", ["observe", "enforce"])
async def test_an_argument_without_weak_references_connects(mode: str, dsn: str, switch: Any) -> None:
    """As it does without us."""
    switch.turn(mode)
    password = Slots(urlsplit(dsn).password)
    for _ in range(2):
        connection = await penstock_pooling.connect(dsn, password=password)
        assert type(connection) is asyncpg.Connection
        await connection.close()

    assert pools() == []


async def test_a_pool_is_named_while_other_threads_open_pools(dsn: str, switch: Any) -> None:
    """Their loops do so at any moment; it goes by what was there before."""
    await (await penstock_pooling.connect(dsn)).close()
    room = await room_here()
    assert room is not None

    class Named:
        """Whoever asks for its name gives way to a thread that opens one more."""

        name = property(lambda self: room.pools.setdefault((len(room.pools),), self) and "db/rag")

    room.pools[()] = Named()  # type: ignore[assignment]
    try:
        assert drop_in.unique("db/rag") == "db/rag #2"
    finally:
        room.pools = {key: pool for key, pool in room.pools.items() if not isinstance(pool, Named)}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("ssl", ssl.create_default_context),
        ("password", lambda: lambda: "secret"),
        ("password", lambda: functools.partial(str, "secret")),
        ("password", lambda: Secrets().password),
    ],
)
async def test_an_argument_that_is_made_for_each_call_makes_no_pool(
    name: str, make: Any, dsn: str, switch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would serve that call only. One that comes again is worth a pool."""
    calls = []

    async def connect(*args: Any, **arguments: Any) -> str:
        calls.append(arguments)
        return "asyncpg's"

    monkeypatch.setattr(asyncpg, "connect", connect)
    for _ in range(3):
        assert await penstock_pooling.connect(dsn, **{name: make()}) == "asyncpg's"
    assert (len(calls), pools()) == (3, [])
    kept = make()
    await penstock_pooling.connect(dsn, **{name: kept})
    await open_or_not(penstock_pooling.connect(dsn, **{name: kept}))

    assert len(calls) == 4
    assert len(pools()) == 1


async def open_or_not(connecting: Any) -> None:
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await (await connecting).close()


@pytest.mark.parametrize("password", [get_password, Secrets.password, "secret", None])
def test_what_a_module_has_once_and_for_all_is_worth_a_pool_at_once(password: Any) -> None:
    """A function at its top, a class, a plain value."""

    async def read() -> None:
        read = ConnectArguments.read("postgresql://u@h/d", {"password": password, "connection_class": Mine})
        assert read is not None
        assert read.by_identity == ()

    asyncio.run(read())


@pytest.mark.parametrize(
    ("dsn", "arguments", "name"),
    [
        ("postgresql://u:secret@db.example:6432/rag?sslmode=require", {}, "db.example:6432/rag"),
        ("postgresql://u:secret@a:1,b:2/rag", {}, "a:1,b:2/rag"),
        ("postgresql://u:secret@[::1]:5432/rag", {}, "[::1]:5432/rag"),
        ("postgresql://u:sec@ret@h/rag", {}, "h/rag"),
        ("postgresql://u:sec/ret@h/rag", {}, "asyncpg.connect"),
        ("postgresql://u:sec#ret@h/rag", {}, "asyncpg.connect"),
        ("postgresql://u:sec?ret@h/rag", {}, "asyncpg.connect"),
        ("postgresql://u:secret", {}, "asyncpg.connect"),
        ("postgresql://[u:secret@h/d", {}, "asyncpg.connect"),
        ("postgresql://u:secret@h/rag", {"host": "other", "database": "d"}, "other/d"),
        (None, {"host": ["a", "b"], "user": "u", "password": "secret", "database": "d"}, "a,b/d"),
        (None, {"host": "/run/postgresql", "database": "d"}, "/run/postgresql/d"),
        (None, {"user": "u", "password": "secret"}, "asyncpg.connect"),
        ("postgresql:///d?password=secret", {}, "asyncpg.connect"),
    ],
)
def test_a_pool_is_called_by_host_and_database(dsn: str | None, arguments: dict[str, Any], name: str) -> None:
    """A password is no part of it, however wrong the dsn is."""

    async def read() -> ConnectArguments | None:
        return ConnectArguments.read(dsn, arguments)

    wanted = asyncio.run(read())

    assert wanted is not None
    assert wanted.name() == name
    assert "sec" not in repr(wanted)


async def test_no_password_is_told(dsn: str, switch: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Not by pools, errors, events or the log."""
    caplog.set_level("DEBUG")
    with pytest.raises(Exception) as caught:
        await penstock_pooling.connect(dsn, user="nobody", password="very-secret")

    told = [repr(pools()), str(caught.value), repr(caught.value), caplog.text, *map(repr, penstock_limits.resources())]
    assert "very-secret" not in "".join(told)


async def test_pools_keep_no_more_idle_than_one_may_have(dsn: str, switch: Any, admin: Any) -> None:
    """A program with a database for each of many tenants does not fill up its server."""
    configure(max_size=3)
    for number in range(40):
        settings = {"application_name": "tenant", "work_mem": f"{64 + number}kB"}
        connections = [await penstock_pooling.connect(dsn, server_settings=settings) for _ in range(2)]
        for connection in connections:
            await connection.close()
        assert await sessions(admin, "tenant") <= 3

    assert statistics().pools <= 33


async def test_pools_keep_no_more_idle_if_all_come_back_at_once(dsn: str, switch: Any, admin: Any) -> None:
    """Those that are being made fresh count, too."""
    configure(max_size=2)
    tenants = [{"application_name": "at once", "work_mem": f"{64 + number}kB"} for number in range(8)]
    connections = [await penstock_pooling.connect(dsn, server_settings=settings) for settings in tenants]
    await asyncio.gather(*(connection.close() for connection in connections))

    assert sum(pool.statistics().open for pool in pools()) == 2
    assert sum(pool.soon_idle for pool in pools()) == 0
    assert await sessions(admin, "at once") == 2


async def test_a_connection_for_which_somebody_waits_is_kept(dsn: str, switch: Any) -> None:
    """However many are idle in other pools: it will not be idle itself."""
    configure(max_size=1)
    idle = await penstock_pooling.connect(dsn, server_settings={"work_mem": "64kB"})
    await idle.close()
    first = await penstock_pooling.connect(dsn)
    pid = first.get_server_pid()
    waiting = asyncio.ensure_future(penstock_pooling.connect(dsn))
    await reached(lambda: sum(pool.statistics().queued for pool in pools()) == 1)
    await first.close()
    second = await waiting

    assert second.get_server_pid() == pid
    await second.close()


async def test_a_pool_that_still_connects_is_in_use(switch: Any) -> None:
    """However many others come meanwhile, it stays the one pool of its arguments, and goes when it has nothing open."""
    configure(max_size=1)
    asked, release = asyncio.Queue[None](), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Be a server that does not answer yet."""
        asked.put_nowait(None)
        await release.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    tenants = [f"postgresql://u:p@127.0.0.1:{port}/{number}?sslmode=disable" for number in range(MANY + 8)]
    connecting = [asyncio.ensure_future(penstock_pooling.connect(tenant)) for tenant in tenants]
    for _ in tenants:
        await asked.get()
    again = asyncio.ensure_future(penstock_pooling.connect(tenants[0]))
    room = await room_here()
    assert room is not None
    await reached(lambda: sum(pool.statistics().queued for pool in room.pools.values()) == 1)

    assert len(room.pools) == len(tenants)
    release.set()
    server.close()
    await asyncio.gather(*connecting, again, return_exceptions=True)
    await open_or_not(penstock_pooling.connect("postgresql://u:p@127.0.0.1:1/one-more"))

    assert len(room.pools) == 1  # those that failed have nothing open, and made place


async def one(connecting: Any) -> Any:
    try:
        return await connecting
    except asyncpg.TooManyConnectionsError as error:
        return error


async def test_a_server_that_has_no_room_says_so(switch: Any) -> None:
    """As it does without a pool; and there is no place lost by it."""
    with PostgresServer(max_connections=5) as small:
        tried = [await one(penstock_pooling.connect(small.dsn)) for _ in range(9)]
        connections = [each for each in tried if not isinstance(each, asyncpg.TooManyConnectionsError)]
        (pool,) = pools()
        assert 0 < len(connections) < 9
        assert pool.statistics().running == len(connections)
        for connection in connections:
            await connection.close()
        connection = await penstock_pooling.connect(small.dsn)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
        await penstock_pooling.close_pools()


async def test_what_is_opened_after_the_environment_has_changed_is_for_nobody_else(
    dsn: str, switch: Any, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller waits, a variable changes, and what it gets is not kept for those who ask as it did."""
    configure(max_size=1)
    server = urlsplit(dsn)
    arguments = {"host": server.hostname, "port": server.port, "user": server.username, "password": server.password}
    for database in ("first_one", "second_one"):
        await admin.execute(f"CREATE DATABASE {database}")
    monkeypatch.setenv("PGDATABASE", "first_one")
    held = await penstock_pooling.connect(**arguments)
    (pool,) = pools()
    waiting = asyncio.create_task(penstock_pooling.connect(**arguments))
    await reached(lambda: pool.statistics().queued == 1)
    monkeypatch.setenv("PGDATABASE", "second_one")
    held.terminate()
    second = await waiting
    assert await second.fetchval("SELECT current_database()") == "second_one"
    await second.close()
    monkeypatch.setenv("PGDATABASE", "first_one")
    first = await penstock_pooling.connect(**arguments)

    assert await first.fetchval("SELECT current_database()") == "first_one"
    await first.close()
    await penstock_pooling.close_pools()
    for database in ("first_one", "second_one"):
        await admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
