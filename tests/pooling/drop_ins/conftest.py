"""Every test starts with pools switched off, and ends with all sessions closed."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import penstock_limits
import penstock_pooling.psycopg
import penstock_pooling.psycopg2
import psycopg
import pytest
from penstock_limits import ConcurrencyConfig
from penstock_pooling._sessions.places import Places

from tests.pooling.database.conftest import defaults, dsn, events  # noqa: F401
from tests.pooling.drop_ins.drivers import DRIVERS, Driver


@pytest.fixture(autouse=True)
def clean(defaults: None) -> Iterator[None]:  # noqa: F811
    yield
    gc.collect(1)  # what a test has forgotten is young
    penstock_pooling.psycopg.close_pools()
    penstock_pooling.psycopg2.close_pools()
    penstock_limits.configure(ConcurrencyConfig())


@pytest.fixture
def enforce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_MODE_POOLED_DATABASE", "enforce")


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
def driver(request: pytest.FixtureRequest) -> Driver:
    return request.param


@pytest.fixture
def size() -> Callable[[int, float], None]:
    """Say how many sessions there may be, and how long to wait for one."""

    def configure(most: int, timeout: float = 30.0) -> None:
        config = ConcurrencyConfig(rag_pool_min_size=0, rag_pool_max_size=most, database_operation_timeout=timeout)
        penstock_limits.configure(config)

    return configure


@pytest.fixture
def own_dsn(dsn: str, request: pytest.FixtureRequest) -> str:  # noqa: F811
    """A dsn that no other test has, and so a pool that none has."""
    return f"{dsn}?application_name={abs(hash(request.node.nodeid)) % 10**9}"


@pytest.fixture
def pool(own_dsn: str) -> Callable[[], Places]:
    """Find the pool of the test, which is the one that was not there before."""
    before = set(penstock_limits.resources())

    def find() -> Places:
        (found,) = [each for each in penstock_limits.resources() if isinstance(each, Places) and each not in before]
        return found

    return find


@pytest.fixture
def sessions(dsn: str, own_dsn: str) -> Iterator[Callable[[], int]]:  # noqa: F811
    """Count the sessions that the server has of this test."""
    name = own_dsn.rpartition("=")[2]
    with psycopg.connect(dsn, autocommit=True) as admin:
        yield lambda: admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", (name,)
        ).fetchone()[0]
