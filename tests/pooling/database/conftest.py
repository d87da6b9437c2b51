"""Every test starts with pools switched off, and ends without connections."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import penstock_limits
import pytest
from penstock_limits import Event
from penstock_limits.testing import recorded
from penstock_pooling.testing import PostgresServer


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in [name for name in os.environ if name.startswith(("PENSTOCK_", "PG"))]:
        monkeypatch.delenv(variable)
    penstock_limits.set_mode_source(None)
    yield
    monkeypatch.undo()
    penstock_limits.set_mode_source(None)


@pytest.fixture
def dsn(postgres: PostgresServer) -> str:
    return postgres.dsn


@pytest.fixture
async def admin(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of no pool."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "admin"})
    yield connection
    await connection.close()


@pytest.fixture
def events() -> Iterator[list[Event]]:
    with recorded() as list_of_events:
        yield list_of_events


class Switch:
    """A mode source that tells when a test turns it."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._callbacks: list[Callable[[], None]] = []

    def mode(self, capability: str) -> str:
        assert capability == "pooled-database"
        return self._mode

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def turn(self, mode: str) -> None:
        self._mode = mode
        for callback in tuple(self._callbacks):
            callback()


@pytest.fixture
def switch() -> Iterator[Switch]:
    """Says the mode of `pooled-database`: `enforce`, until it is turned; ends with the configuration of before."""
    before, switch = penstock_limits.configuration(), Switch("enforce")
    penstock_limits.set_mode_source(switch)
    yield switch
    penstock_limits.configure(before)
