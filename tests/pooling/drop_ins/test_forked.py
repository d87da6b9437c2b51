"""Pools in a forked child: nothing of its parent's is waited for, lent or closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import penstock_limits
import penstock_pooling.sqlalchemy
import pytest
from penstock_limits.introspection import call_site
from penstock_pooling._connect.room import Room, drop_in
from penstock_pooling._drop_ins.sqlalchemy import ENGINES, EnginePool
from sqlalchemy import text

from tests.children import SignalForks, fork, held_by_a_thread, told_by_a_child
from tests.pooling.drop_ins.drivers import Driver

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(autouse=True)
def pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_MODE_POOLED_DATABASE", "enforce")


async def enter_a_room() -> None:
    drop_in.enter(Room(asyncio.get_running_loop()))


@pytest.mark.parametrize(
    ("lock", "use"),
    [
        pytest.param(lambda pool: pool._lock, lambda pool: pool.borrow(call_site()), id="places"),
        pytest.param(lambda pool: pool.making, lambda pool: pool.making.acquire(), id="engine"),
        pytest.param(lambda _: drop_in.lock, lambda _: asyncio.run(enter_a_room()), id="connect"),
    ],
)
def test_no_lock_is_waited_for(lock: Callable[[Any], Any], use: Callable[[Any], object]) -> None:
    """Nor to look at the pool."""
    pool = EnginePool("a")
    with held_by_a_thread(lock(pool)):
        told = told_by_a_child(lambda: (use(pool), pool.statistics(), drop_in.statistics(), "goes on")[3])

    assert told == "'goes on'"


def test_a_place_that_the_parent_has_lent_is_free_in_the_child() -> None:
    """It would not be given back there."""
    penstock_limits.configure(penstock_limits.ConcurrencyConfig(rag_pool_min_size=0, rag_pool_max_size=1))
    pool = EnginePool("a")
    loan = pool.borrow(call_site())
    assert loan is not None

    def seen() -> tuple[int, int, int]:
        before = pool.statistics()
        pool.borrow(call_site())
        return before.running, before.acquired, pool.statistics().running

    assert told_by_a_child(seen) == "(0, 0, 1)"
    assert pool.statistics().running == 1


def test_a_thread_that_forks_while_it_waits_for_a_place_goes_on() -> None:
    """Without a pool, as the handler of a signal forks while the thread waits."""
    penstock_limits.configure(penstock_limits.ConcurrencyConfig(rag_pool_min_size=0, rag_pool_max_size=1))
    pool = EnginePool("a")
    loan = pool.borrow(call_site())
    assert loan is not None
    with SignalForks(lambda: pool.statistics().queued == 1, lambda: pool.give_back(loan)) as forks:
        own = pool.borrow(call_site())
        forks.end_child((own, pool.statistics().running))

    assert forks.told() == "(None, 0)"
    assert own is not None


class _ForkingPool(EnginePool):
    """Forks while its lock is held, as a signal's handler may; the child goes on."""

    def _keep(self, session: Any) -> None:
        if fork():
            os._exit(0)


def test_a_thread_that_forks_while_it_gives_a_place_back_goes_on() -> None:
    """It gives back the lock that it has taken, and not the child's, which nobody has."""
    pool = _ForkingPool("a")
    loan = pool.borrow(call_site())
    assert loan is not None

    assert told_by_a_child(lambda: (pool.give_back(loan, "session"), pool.statistics().running)) == "(None, 0)"


@pytest.fixture
def url(driver: Driver, dsn: str) -> str:
    return dsn.replace("postgresql:", f"postgresql+{driver.name}:")


def pid(engine: Any) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT pg_backend_pid()")))


def test_an_engine_that_was_made_before_the_fork_has_connections_of_its_own(url: str) -> None:
    """As a server has that loads the program before it forks; those of the parent stay the parent's."""
    engine = penstock_pooling.sqlalchemy.create_engine(url)
    first = pid(engine)
    told = told_by_a_child(lambda: [pid(engine), pid(engine)])

    mine, again = map(int, told.strip("[]").split(","))
    assert mine == again != first
    assert pid(engine) == first
    ENGINES.close()


def test_a_mode_that_changes_in_the_child_closes_nothing_of_the_parents(
    url: str, driver: Driver, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no pool any more, what is idle is closed: by whom it is."""
    engine = penstock_pooling.sqlalchemy.create_engine(url)
    first, connection = pid(engine), driver.connect(dsn)
    connection.close()

    def seen() -> list[int]:
        monkeypatch.setenv("PENSTOCK_MODE_POOLED_DATABASE", "off")
        penstock_limits.set_mode_source(None)
        return [each.statistics().idle for each in penstock_limits.resources() if each.kind == "pool"]  # type: ignore[attr-defined]

    assert set(told_by_a_child(seen)) <= set("[0, ]")
    assert pid(engine) == first
    ENGINES.close()
