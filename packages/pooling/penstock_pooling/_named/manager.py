"""The RFC's DatabasePoolManager: the named pools of a program."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from penstock_limits import ConfigurationError, Mode

from penstock_pooling._named.named_pool import NamedPool
from penstock_pooling._pools.checks import mode_or_none, sizes
from penstock_pooling._settings import PoolSettings

if TYPE_CHECKING:
    from penstock_pooling._asyncpg.acquisition import Acquisition
    from penstock_pooling._asyncpg.pool import Pool

__all__ = ["DatabasePoolManager"]


class DatabasePoolManager:
    """Centralized database connection pooling.

    `async with DatabasePoolManager({"rag": PoolSettings(dsn=...)}) as pools:` opens the pools, and closes them in the
    end; `async with pools.connection("rag") as connection:` borrows a connection of one. It belongs to the event loop
    in which it is opened, and may be opened again after it was closed.

    Args:
        pools: The settings of each pool, by its name.
        mode: `enforce`, `observe` or `off`, as for `Pool`; None follows the mode of the capability `pooled-database`.

    Raises:
        ConfigurationError: A value is wrong.
    """

    def __init__(self, pools: Mapping[str, PoolSettings], *, mode: Mode | str | None = Mode.ENFORCE) -> None:
        for name, settings in pools.items():
            if not isinstance(settings, PoolSettings):
                raise ConfigurationError(f"pools[{name!r}] is a {type(settings).__name__}; allowed is a PoolSettings")
        self._settings = dict(pools)
        self._mode = mode_or_none("DatabasePoolManager", mode)
        self._pools: Mapping[str, Pool] = {}
        self._turns: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str] = ".", *, mode: Mode | str | None = None) -> Self:
        """Make the pools that a project's configuration names; their mode follows the capability `pooled-database`.

        Args:
            path: A TOML file, or the folder of one, with tables `[tool.penstock.pools.NAME]`.
            mode: A mode of their own; None follows the capability.

        Raises:
            ConfigurationError: The file is wrong; the message names file, key, value and what is allowed.
        """
        return cls(PoolSettings.load(path), mode=mode)

    def __repr__(self) -> str:
        pools = ", ".join(map(repr, self._pools.values())) or ", ".join(self._settings)
        return f"<DatabasePoolManager: {pools}>"

    async def __aenter__(self) -> Self:
        await self.initialize_pools()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def initialize_pools(self) -> None:
        """Open all pools; if one cannot be opened, none stays open. Nothing happens to those that are open.

        Those of an event loop that has ended, or of a parent process, are opened anew.

        Raises:
            ConfigurationError: A dsn is missing or unreadable, or the server allows fewer connections than `max_size`.
            OSError: A server cannot be reached.
            asyncpg.PostgresError: A server refuses the connection.
        """
        async with self._turn():
            self._pools = self.open_pools()
            new = {name: self._make(name) for name in self._settings if name not in self._pools}
            opening = [asyncio.create_task(_open(pool)) for pool in new.values()]
            try:
                await asyncio.gather(*opening)
            except BaseException:
                for task in opening:
                    task.cancel()
                await asyncio.wait(opening)  # who is still opening must not open any more
                for pool in new.values():
                    _forget(pool)
                raise
            self._pools = {**self._pools, **new}
            for name, pool in new.items():  # they may have been resized since
                settings = self._settings[name]
                pool.resize(min_size=settings.min_size, max_size=settings.max_size)

    def pool(self, name: str, /) -> Pool:
        """Return the pool of a name.

        Raises:
            ConfigurationError: There is none; the message lists those there are.
            RuntimeError: The pools are not open.
        """
        if name not in self._settings:
            known = ", ".join(sorted(self._settings)) or "none"
            raise ConfigurationError(
                f"there is no pool named {name!r}; known are: {known}. Add [tool.penstock.pools.{name}] with dsn or "
                f"dsn_variable, or use a known name."
            )
        if name not in self._pools:
            raise RuntimeError(
                f"pool {name!r} is not open: use `async with` on the DatabasePoolManager, or initialize_pools()"
            )
        return self._pools[name]

    def open_pools(self) -> Mapping[str, Pool]:
        """Return the pools that are open now, by name; those of an event loop that has ended are not."""
        return {name: pool for name, pool in self._pools.items() if not pool.is_gone()}

    def connection(self, name: str, /, *, timeout: float | None = None) -> Acquisition:
        """Lend a connection for the length of an `async with` block.

        Args:
            name: The pool.
            timeout: How many seconds to wait for it at most; None means the pool's `acquire_timeout`.

        Raises:
            ConfigurationError: As for `pool()`.
            RuntimeError: As for `pool()`.
            PoolTimeoutError: In the block's head, as for `Pool.acquire()`; likewise its other errors.
        """
        return self.pool(name).acquire(timeout=timeout)

    async def get_connection(self, pool_name: str, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - it is the queue that knows who is late
        """Get a connection from a pool; it must be given back by `release_connection()`.

        Args:
            pool_name: The pool.
            timeout: How many seconds to wait for it at most; None means the pool's `acquire_timeout`.

        Raises:
            ConfigurationError: As for `pool()`.
            RuntimeError: As for `pool()`.
            PoolTimeoutError: As for `Pool.acquire()`; likewise its other errors.
        """
        return await self.pool(pool_name).acquire(timeout=timeout)

    async def release_connection(self, pool_name: str, conn: Any) -> None:
        """Return a connection to its pool; returning it twice does no harm.

        Args:
            pool_name: The pool.
            conn: The connection.

        Raises:
            asyncpg.InterfaceError: The connection is none of this pool.
        """
        await self.pool(pool_name).release(conn)

    def resize(self, name: str, /, *, min_size: int, max_size: int) -> None:
        """Change how many connections a pool keeps and may open; nothing if there is no pool of this name.

        It may be called in any thread.

        Args:
            name: The pool.
            min_size: Connections that are kept open.
            max_size: Connections that may be open.

        Raises:
            ConfigurationError: A value is wrong.
        """
        if name not in self._settings:
            return
        sizes(f"pool {name!r}", min_size, max_size)
        self._settings[name] = dataclasses.replace(self._settings[name], min_size=min_size, max_size=max_size)
        if name in self._pools:
            self._pools[name].resize_soon(min_size=min_size, max_size=max_size)

    async def close(self, *, timeout: float | EllipsisType | None = ...) -> None:  # noqa: ASYNC109 - as the pools have it
        """Close all pools at the same time; each waits for connections that are out, up to its `close_timeout`.

        Args:
            timeout: How many seconds to wait instead, None for any time.

        Raises:
            PoolPlaceError: They were opened in another event loop or process.
        """
        async with self._turn():
            closing = [pool.close(timeout=timeout) for pool in self.open_pools().values()]
            try:
                results = await asyncio.gather(*closing, return_exceptions=True)
            finally:
                self._pools = self.open_pools()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _turn(self) -> asyncio.Lock:
        """Return what lets one caller open or close at a time, in the running event loop."""
        loop = asyncio.get_running_loop()
        if self._turns is None or self._turns[0] is not loop:
            self._turns = loop, asyncio.Lock()
        return self._turns[1]

    def _make(self, name: str) -> Pool:
        settings = self._settings[name]
        if settings.driver != "asyncpg":
            return _pool_of_another_driver(name, settings, self._mode)  # type: ignore[no-any-return]
        from penstock_pooling import Pool

        dsn, arguments = settings.connect_with(name)
        pool: Pool = Pool(
            dsn,
            name=name,
            mode=self._mode,
            min_size=settings.min_size,
            max_size=settings.max_size,
            max_queued=settings.max_queued,
            acquire_timeout=settings.acquire_timeout,
            max_lifetime=settings.max_lifetime,
            max_inactive_connection_lifetime=settings.max_inactive_connection_lifetime,
            max_queries=settings.max_queries,
            leak_after=settings.leak_after,
            close_timeout=settings.close_timeout,
            **arguments,
        )
        pool._connect = partial(_connect, name, pool._connect)
        return pool


def _pool_of_another_driver(name: str, settings: PoolSettings, mode: Mode | None) -> Any:
    try:
        if settings.driver == "psycopg":
            from penstock_pooling._named.psycopg_pool import NamedPsycopgPool

            return NamedPsycopgPool(name, settings, mode)
        from penstock_pooling._named.engine_pool import NamedEnginePool

        return NamedEnginePool(name, settings, mode)
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'penstock-pooling[{settings.driver}]'", name=error.name) from error


async def _connect(name: str, connect: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
    """Connect, at the opening or later, without an error that quotes the dsn."""
    import asyncpg

    try:
        return await connect(*args, **kwargs)
    except ConfigurationError:
        raise
    except (ValueError, asyncpg.ClientConfigurationError):  # both may quote the dsn, and with it the password
        raise ConfigurationError(
            f"pool {name!r}: its dsn, which is not shown, or another argument cannot be read; "
            f"allowed is postgresql://user:password@host:port/database, with what is special in a password "
            f"percent-encoded"
        ) from None


async def _open(pool: Pool) -> None:
    await pool


def _forget(pool: Pool) -> None:
    if isinstance(pool, NamedPool) or (pool._initialized and not pool._closed):
        pool.terminate()
