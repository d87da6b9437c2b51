"""A real PostgreSQL server for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from penstock_pooling.testing import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for all tests that do not harm it."""
    with PostgresServer(max_connections=200) as server:
        yield server
