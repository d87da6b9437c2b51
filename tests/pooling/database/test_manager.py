"""The pools of a program, by name."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import asyncpg
import penstock_limits
import pytest
from penstock_limits import ConcurrencyConfig, ConcurrencyManager, ConfigurationError, Mode
from penstock_pooling import DatabasePoolManager, Pool, PoolSettings, PoolTimeoutError

from tests.limits.sources import Source
from tests.pooling.database.counting import sessions
from tests.pooling.waiting import reached


def settings(dsn: str, **more: object) -> PoolSettings:
    return PoolSettings(dsn, **{"min_size": 1, "max_size": 2, **more})


async def test_the_manual_way_in(dsn: str) -> None:
    """Open, borrow, give back, close."""
    async with DatabasePoolManager({"rag": settings(dsn)}) as pools:
        async with pools.connection("rag") as connection:
            assert await connection.fetchval("SELECT 1") == 1
        pool = pools.pool("rag")

        assert isinstance(pool, Pool)
        assert (pool.name, pool.mode) == ("rag", Mode.ENFORCE)

    assert pool.is_closing()


async def test_the_rfcs_way_in(dsn: str) -> None:
    """Its three methods, under its names."""
    manager = DatabasePoolManager({"rag": settings(dsn, max_size=1), "memory": settings(dsn)})
    await manager.initialize_pools()
    connection = await manager.get_connection("rag")

    assert await connection.fetchval("SELECT 1") == 1
    with pytest.raises(PoolTimeoutError, match=r"'rag'.*test_manager.py:\d+ in test_the_rfcs_way_in"):
        await asyncio.create_task(manager.get_connection("rag", timeout=0.01))
    with pytest.raises(asyncpg.InterfaceError, match="not a member of this pool"):
        await manager.release_connection("memory", connection)

    await manager.release_connection("rag", connection)
    await manager.release_connection("rag", connection)

    assert manager.pool("rag").statistics().running == 0

    await manager.close()
    await manager.close()


async def test_an_unknown_pool_is_refused_with_those_there_are(dsn: str) -> None:
    """And with what to add."""
    async with DatabasePoolManager({"rag": settings(dsn), "memory": settings(dsn)}) as pools:
        with pytest.raises(ConfigurationError, match=r"'ragg'; known are: memory, rag. Add \[tool.penstock.pools.ragg"):
            pools.connection("ragg")


async def test_a_pool_that_is_not_open_says_how_to_open_it(dsn: str) -> None:
    """Before the block, and after it."""
    pools = DatabasePoolManager({"rag": settings(dsn)})
    with pytest.raises(RuntimeError, match="async with"):
        pools.pool("rag")
    async with pools:
        pass
    with pytest.raises(RuntimeError, match="async with"):
        await pools.get_connection("rag")
    async with pools:  # it may be opened again
        assert await pools.pool("rag").fetchval("SELECT 1") == 1


async def test_if_one_pool_cannot_be_opened_none_stays_open(dsn: str, admin: asyncpg.Connection) -> None:
    """The error is that of the server; nothing leaks, not even from a pool that was still opening."""
    mine = {"connect_arguments": {"server_settings": {"application_name": "half"}}}
    pools = DatabasePoolManager(
        {"good": settings(dsn, **mine), "bad": settings("postgresql://postgres:x@127.0.0.1:1/postgres")}
    )
    with pytest.raises(OSError, match="Connect call failed"):
        await pools.initialize_pools()
    while await sessions(admin, "half"):
        await asyncio.sleep(0.001)

    with pytest.raises(RuntimeError, match="is not open"):
        pools.pool("good")


async def test_pools_are_opened_once_even_if_two_ask(dsn: str, admin: asyncpg.Connection) -> None:
    """At the same time; and closed by one call."""
    mine = {"connect_arguments": {"server_settings": {"application_name": "twice"}}}
    pools = DatabasePoolManager({"rag": settings(dsn, min_size=2, **mine)})
    await asyncio.gather(pools.initialize_pools(), pools.initialize_pools())

    assert await sessions(admin, "twice") == 2

    await pools.close()

    assert [each for each in penstock_limits.resources() if each.name == "rag"] == []


async def test_what_is_resized_while_it_opens_opens_so(dsn: str) -> None:
    """The last size counts."""
    connecting, goes_on = asyncio.Event(), asyncio.Event()

    async def password() -> str:
        connecting.set()
        await goes_on.wait()
        return secret

    secret = dsn.partition("postgres:")[2].partition("@")[0]
    pools = DatabasePoolManager({"rag": settings(dsn.replace(f":{secret}", ""), password=password)})
    opening = asyncio.create_task(pools.initialize_pools())
    await connecting.wait()
    pools.resize("rag", min_size=1, max_size=7)
    goes_on.set()
    await opening

    assert pools.pool("rag").get_max_size() == 7

    await pools.close()


async def test_pools_may_be_opened_again_after_a_close_that_was_cut_short(dsn: str) -> None:
    """What was out is cut off by that."""
    pools = DatabasePoolManager({"rag": settings(dsn)})
    await pools.initialize_pools()
    await pools.get_connection("rag")
    closing = asyncio.create_task(pools.close())
    await reached(lambda: pools.pool("rag").is_closing())
    closing.cancel()
    await asyncio.wait([closing])

    async with pools:
        assert await pools.pool("rag").fetchval("SELECT 1") == 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_pools_of_an_event_loop_that_has_ended_are_opened_anew(dsn: str) -> None:
    """And closing them is no error."""
    pools = DatabasePoolManager({"rag": settings(dsn)})

    async def use() -> int:
        await pools.initialize_pools()
        return await pools.pool("rag").fetchval("SELECT 1")

    assert await asyncio.to_thread(asyncio.run, use()) == 1

    await pools.close()
    async with pools:
        assert await pools.pool("rag").fetchval("SELECT 1") == 1
    gc.collect()  # that loop has left its connection open, which is told here


@pytest.mark.parametrize("mode", ["off", "enforce"])
@pytest.mark.parametrize("dsn", ["postgresql://user:ses/ame@host:port/database", "postgresql://u:x@host:sesame/d"])
async def test_a_dsn_that_is_read_at_the_first_borrow_is_not_shown_either(mode: str, dsn: str) -> None:
    """As with no connection to keep open, or in mode off."""
    async with DatabasePoolManager({"rag": settings(dsn, min_size=0)}, mode=mode) as pools:
        with pytest.raises(ConfigurationError, match="pool 'rag': its dsn") as caught:
            await pools.get_connection("rag")

    assert "ses" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("key", ["dsn_variable", "target_session_attrs", "max_size"])
def test_a_dsn_in_the_wrong_place_is_not_shown(key: str) -> None:
    """It is refused."""
    with pytest.raises(ConfigurationError, match=rf"{key} = \(not shown\); allowed is"):
        PoolSettings(**{key: "postgresql://user:sesame@host/database"})


@pytest.mark.parametrize(
    "dsn",
    [
        "mysql://user:sesame@host/database",
        "postgresql://user:ses/ame@host:port/database",
        "postgresql://user:x@host:sesame/database",
        "postgresql://user@host/database?sslmode=sesame",
    ],
)
async def test_a_dsn_that_cannot_be_read_is_not_shown(dsn: str) -> None:
    """What is wrong in it may be the password."""
    with pytest.raises(ConfigurationError, match=r"pool 'rag': its dsn.*postgresql://user:password@") as caught:
        await DatabasePoolManager({"rag": settings(dsn)}).initialize_pools()

    assert "sesame" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_passwords_come_from_a_function_at_each_connection(dsn: str) -> None:
    """As credentials that are rotated do."""
    asked = []
    password = dsn.partition("postgres:")[2].partition("@")[0]

    async def current() -> str:
        asked.append(1)
        return password

    without = dsn.replace(f":{password}", "")
    async with DatabasePoolManager({"rag": settings(without, min_size=2, password=current)}) as pools:
        assert await pools.pool("rag").fetchval("SELECT 1") == 1

    assert len(asked) >= 2


async def test_a_pool_is_resized_by_its_name(dsn: str) -> None:
    """Before it opens, while it is open, and from another thread; of an unknown one nothing happens."""
    manager = DatabasePoolManager({"rag": settings(dsn)})
    manager.resize("rag", min_size=2, max_size=3)
    manager.resize("unknown", min_size=2, max_size=3)
    async with manager as pools:
        pool = pools.pool("rag")

        assert (pool.get_min_size(), pool.get_max_size()) == (2, 3)

        pools.resize("rag", min_size=1, max_size=4)

        assert (pool.get_min_size(), pool.get_max_size()) == (1, 4)

        await asyncio.to_thread(pools.resize, "rag", min_size=0, max_size=5)
        await asyncio.sleep(0)

        assert (pool.get_min_size(), pool.get_max_size()) == (0, 5)
        with pytest.raises(ConfigurationError, match="pool 'rag': min_size = 9; allowed is at most"):
            pools.resize("rag", min_size=9, max_size=5)


async def test_the_concurrency_manager_takes_them(dsn: str) -> None:
    """Its sizes go to the pool `rag`, its deadline to those who wait."""
    pools = DatabasePoolManager({"rag": PoolSettings(dsn)})
    config = ConcurrencyConfig(rag_pool_min_size=1, rag_pool_max_size=1, database_operation_timeout=0.01)
    manager = ConcurrencyManager(config, pools=pools)
    async with pools:
        pool = await manager.get_connection_pool("rag")
        async with manager.connection("rag") as connection:
            assert await connection.fetchval("SELECT 1") == 1
            with pytest.raises(PoolTimeoutError, match=r"within 0.01 s.*test_manager.py:\d+"):
                await asyncio.create_task(enter(manager))

        assert (pool.get_min_size(), pool.get_max_size()) == (1, 1)
        assert dict(manager.connection_pools) == {"rag": pool}

        manager.reload(ConcurrencyConfig(rag_pool_min_size=1, rag_pool_max_size=2))

        assert pool.get_max_size() == 2
        assert manager.metrics.snapshot()["pool"]["rag"]["max_running"] == 2
    assert dict(manager.connection_pools) == {}
    penstock_limits.configure(ConcurrencyConfig())


async def enter(manager: ConcurrencyManager) -> None:
    async with manager.connection("rag"):
        pass


async def test_pools_of_a_file_follow_their_capability(dsn: str, tmp_path: Path, monkeypatch) -> None:
    """The dsn comes from the environment."""
    monkeypatch.setenv("RAG_DSN", dsn)
    (tmp_path / "pyproject.toml").write_text('[tool.penstock.pools.rag]\ndsn_variable = "RAG_DSN"\nmin_size = 1\n')
    penstock_limits.set_mode_source(Source("observe", "pooled-database"))
    async with DatabasePoolManager.load(tmp_path) as pools:
        assert pools.pool("rag").mode is Mode.OBSERVE
        assert await pools.pool("rag").fetchval("SELECT 1") == 1

    assert dsn not in repr(pools)


async def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    """When the pool is opened."""
    pools = DatabasePoolManager({"rag": PoolSettings(dsn_variable="RAG_DSN")})
    with pytest.raises(ConfigurationError, match="pool 'rag': the environment variable RAG_DSN is not set"):
        await pools.initialize_pools()


def test_only_settings_are_settings() -> None:
    """A dsn alone is none; it is not shown."""
    with pytest.raises(ConfigurationError, match=r"pools\['rag'\] is a str; allowed is a PoolSettings"):
        DatabasePoolManager({"rag": "postgresql://u:secret@h/d"})
