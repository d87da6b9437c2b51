"""A drop-in for `asyncpg.connect` whose mode the capability `pooled-database` decides."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable, Coroutine
from types import EllipsisType
from typing import Any

import asyncpg
from penstock_limits import Mode, mode_of
from penstock_limits.introspection import CallSite, call_site

from penstock_pooling._connect.arguments import ConnectArguments
from penstock_pooling._connect.connect_pool import ConnectPool, EnvironmentChangedError
from penstock_pooling._connect.room import drop_in, room_here
from penstock_pooling._pools.callers import LIBRARIES
from penstock_pooling._pools.capability import CAPABILITY

__all__ = ["close_pools", "connect"]


def connect(*dsn: str | None, **arguments: Any) -> Coroutine[Any, Any, asyncpg.Connection]:
    """Connect as `asyncpg.connect` does, to a connection of a pool if the capability `pooled-database` is in `enforce`.

    In mode `off` it is `asyncpg.connect`, in `observe` likewise, with a count of what a pool would have done. In
    `enforce`, there is one pool for each event loop and set of arguments, with up to `rag_pool_max_size` connections
    of the configuration that holds; nothing is opened before it is asked for. Closing the connection gives it back,
    fresh for the next borrower. Arguments that cannot be compared, such as an SSL context made for each call, are
    passed on to `asyncpg.connect` in every mode.

    Args:
        *dsn: As for `asyncpg.connect`: one, or none, or `dsn=` by name.
        **arguments: Likewise. A `timeout` in seconds is also a deadline for a connection to be free, and so is
            `database_operation_timeout` of the configuration, 10 seconds by default.

    Returns:
        To await: an `asyncpg.Connection`, or a `connection_class`, of the caller's own.

    Raises:
        PoolTimeoutError: In mode `enforce`: none was free, or could be opened, in time.
        PoolDeadlockError: Likewise: all are held by the caller, or by tasks that wait for one as it does.
        Exception: What `asyncpg.connect` raises.
    """
    mode = mode_of(CAPABILITY)
    if mode is Mode.OFF:
        drop_in.off += 1
        return asyncpg.connect(*dsn, **arguments)  # type: ignore[no-any-return] # a library without types
    if mode is Mode.OBSERVE:
        return _observed(dsn, arguments)
    return _pooled(dsn, arguments, call_site(*LIBRARIES))


def _awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def awaited(*args: Any, **arguments: Any) -> Any:
        return await function(*args, **arguments)

    return awaited


class _CoroutineFunction(functools.partial[Any]):
    """A function that returns coroutines, to those who ask `inspect` of Python 3.11: it asks what a partial is of."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        functools.update_wrapper(self, function)
        self.at_once = inspect.unwrap(function)  # which a call calls, as in other versions

    def __call__(self, *args: Any, **arguments: Any) -> Any:
        return self.at_once(*args, **arguments)

    def __reduce__(self) -> str:
        return self.func.__qualname__  # functions are pickled by their names


if sys.version_info >= (3, 12):  # as asyncpg's own is one, to those who ask
    connect = inspect.markcoroutinefunction(connect)
else:
    connect = _CoroutineFunction(_awaited(connect))


async def close_pools(*, timeout: float | EllipsisType | None = ...) -> None:  # noqa: ASYNC109 - as the pools have it
    """Close the pools that `connect()` has made in this event loop; the next call makes new ones.

    A loop that ends as `asyncio.run` ends it closes what is idle by itself. This also waits for what is out, and so is
    awaited; those of `penstock_pooling.psycopg` and its like wait for nothing, and are not.

    Args:
        timeout: How many seconds to wait before what is still out is cut off, and told; None for any time; 30 if it
            is not given.
    """
    room = await room_here()
    if room is not None:
        await room.close(timeout)


async def _observed(dsn: tuple[str | None, ...], arguments: dict[str, Any]) -> asyncpg.Connection:
    drop_in.observed += 1
    wanted = _read(dsn, arguments)
    pool = None if wanted is None else await _pool(wanted)
    if pool is None:
        return await asyncpg.connect(*dsn, **arguments)
    return await pool.observe(asyncpg.connect(*dsn, **arguments))


async def _pooled(dsn: tuple[str | None, ...], arguments: dict[str, Any], site: CallSite) -> asyncpg.Connection:
    connection = await _lent(dsn, arguments, site)
    if connection is None:
        drop_in.unpooled += 1
        connection = await asyncpg.connect(*dsn, **arguments)
    return connection


async def _lent(dsn: tuple[str | None, ...], arguments: dict[str, Any], site: CallSite) -> asyncpg.Connection | None:
    """Return a connection of a pool; None if there is no pool that would serve."""
    time = asyncio.get_running_loop().time
    until: float | None = None
    while (wanted := _read(dsn, arguments)) is not None and (pool := await _pool(wanted)) is not None:
        drop_in.pooled += 1
        patience = wanted.patience() if until is None else max(0.0, until - time())
        until = until or time() + patience
        try:
            return await pool.lend(wanted.connection_class, patience, site)
        except EnvironmentChangedError:
            pass
        except asyncpg.InterfaceError:
            if not pool.is_closing():
                raise
        drop_in.pooled -= 1  # `close_pools()` came meanwhile, or so; there is another pool for what goes on
    return None


async def _pool(wanted: ConnectArguments) -> ConnectPool | None:
    room = await room_here()
    return None if room is None else await room.pool(wanted)


def _read(dsn: tuple[str | None, ...], arguments: dict[str, Any]) -> ConnectArguments | None:
    rest, given = dict(arguments), list(dsn)
    if "dsn" in rest:
        given.append(rest.pop("dsn"))
    if len(given) > 1:
        return None  # asyncpg says what is wrong with that
    return ConnectArguments.read(given[0] if given else None, rest)
