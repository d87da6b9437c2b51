"""The database that the agents keep their chunks in: a real server, and who is connected to it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
from penstock_pooling.testing import PostgresServer

__all__ = ["Database", "database"]

_SAMPLE_SECONDS = 0.02
_CONNECTIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_SESSIONS = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"


class Database:
    """A server, seen by a connection of our own.

    Args:
        dsn: How to connect to it.
        observer: Our connection.
    """

    def __init__(self, dsn: str, observer: Any) -> None:
        self.dsn = dsn
        self.connections: list[tuple[float, int]] = []
        self._observer = observer
        self._lock = asyncio.Lock()

    async def sessions(self) -> int:
        """Return how many connections were ever opened."""
        async with self._lock:
            await self._observer.execute("SELECT pg_stat_clear_snapshot()")
            return int(await self._observer.fetchval(_SESSIONS))

    async def sample(self) -> None:
        """Note how many connections are open, again and again; until cancelled."""
        while True:
            async with self._lock:
                connected = int(await self._observer.fetchval(_CONNECTIONS))
            self.connections.append((time.time(), connected))
            await asyncio.sleep(_SAMPLE_SECONDS)


@contextlib.asynccontextmanager
async def database(max_connections: int) -> AsyncIterator[Database]:
    """Run a PostgreSQL server.

    Args:
        max_connections: How many clients may be connected.
    """
    server = PostgresServer(max_connections=max_connections)
    starting = asyncio.ensure_future(asyncio.to_thread(server.start))
    try:
        await asyncio.shield(starting)
        observer = await asyncpg.connect(server.dsn)
        running = Database(server.dsn, observer)
        sampling = asyncio.create_task(running.sample())
        try:
            yield running
        finally:
            sampling.cancel()
            await asyncio.gather(sampling, return_exceptions=True)
            await observer.close()
    finally:
        await asyncio.wait([starting])  # a thread cannot be cancelled
        await asyncio.to_thread(server.stop)
