"""Every test starts with pools switched off, and ends without connections."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

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
