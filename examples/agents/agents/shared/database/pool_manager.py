"""The pool manager: one pool of database connections per name. Switched off with RAG_ENABLED, as nobody uses it yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agents.rag.workflow import RagDisabledError
from agents.settings import Settings
from agents.shared.config.concurrency_config import ConcurrencyConfig


async def create_asyncpg_pool(dsn: str, **options: Any) -> Any:
    """Open a pool of asyncpg; imported late, because the database is optional."""
    if not Settings().rag_enabled:
        raise RagDisabledError
    import asyncpg

    return await asyncpg.create_pool(dsn, **options)


class DatabasePoolManager:
    """Opens pools once, lends connections, takes them back."""

    def __init__(
        self,
        config: ConcurrencyConfig,
        dsns: Mapping[str, str],
        *,
        create_pool: Callable[..., Awaitable[Any]] = create_asyncpg_pool,
    ) -> None:
        self.config = config
        self.dsns = dict(dsns)
        self.pools: dict[str, Any] = {}
        self._create_pool = create_pool

    async def initialize_pools(self) -> None:
        """Open every pool that is not open yet."""
        for name, dsn in self.dsns.items():
            if name not in self.pools:
                self.pools[name] = await self._create_pool(
                    dsn,
                    min_size=self.config.rag_pool_min_size,
                    max_size=self.config.rag_pool_max_size,
                    command_timeout=self.config.database_operation_timeout,
                )

    async def get_pool(self, pool_name: str) -> Any:
        """Return an open pool."""
        if pool_name not in self.pools:
            raise KeyError(f"no open pool {pool_name!r}; open are: {', '.join(self.pools) or 'none'}")
        return self.pools[pool_name]

    async def get_connection(self, pool_name: str) -> Any:
        """Lend a connection; give it back with `release_connection`."""
        pool = await self.get_pool(pool_name)
        return await pool.acquire(timeout=self.config.database_operation_timeout)

    async def release_connection(self, pool_name: str, conn: Any) -> None:
        """Take a connection back."""
        await (await self.get_pool(pool_name)).release(conn)

    async def close(self) -> None:
        """Close every pool, once its connections are back."""
        while self.pools:
            _, pool = self.pools.popitem()
            await pool.close()
