"""A real PostgreSQL server for every test that asks for one, and memory that is frozen."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from penstock_pooling.testing import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that do not harm it."""
    with PostgresServer(max_connections=200) as server:
        yield server


@pytest.fixture
def frozen() -> Iterator[list[object]]:
    """A list that the collector has been told to leave alone, with all else, as servers do before they fork."""
    shared: list[object] = []
    gc.freeze()
    yield shared
    gc.unfreeze()
