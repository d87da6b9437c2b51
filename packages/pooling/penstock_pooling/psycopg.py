"""In place of psycopg's `connect`: sessions that many operations share, one after the other.

`penstock_pooling.psycopg.connect` takes what `psycopg.connect` takes, and `AsyncConnection.connect` what that of
`psycopg.AsyncConnection` takes. The mode of the capability `pooled-database` decides what they do: off, psycopg's own;
observe, the same, counted; enforce, a connection of a pool.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from penstock_limits import Mode, mode_of
from penstock_limits.introspection import call_site

from penstock_pooling._drop_ins.driver import driver
from penstock_pooling._pools.callers import LIBRARIES
from penstock_pooling._pools.capability import CAPABILITY

if TYPE_CHECKING:
    import psycopg

__all__ = ["AsyncConnection", "close_pools", "connect"]


def connect(conninfo: str = "", **settings: Any) -> psycopg.Connection[Any]:
    """Connect as `psycopg.connect` does; in mode enforce, to a session that was opened before if one is free.

    All calls with the same arguments share at most `rag_pool_max_size` sessions. `close()`, and the end of a `with`
    block, gives the session back, as it was when it was opened.

    Args:
        conninfo: As for `psycopg.connect`.
        **settings: As for `psycopg.connect`.

    Raises:
        PoolTimeoutError: No session came free within `database_operation_timeout`.
        PoolDeadlockError: All are held by the caller, or by threads that wait as it does.
        psycopg.Error: As for `psycopg.connect`.
        ImportError: psycopg is not installed.
    """
    ours = driver("psycopg")
    while (mode := mode_of(CAPABILITY)) is not Mode.OFF:
        pool = ours.pool_for(ours.POOLS, conninfo, settings)
        if pool is None:
            break
        if mode is Mode.OBSERVE:
            return pool.watched(ours.psycopg.connect(conninfo, **settings))  # type: ignore[no-any-return]
        loan = pool.borrow(call_site(*LIBRARIES))
        connection = None if loan is None else ours.lend(pool, loan, conninfo, settings)
        if connection is not None:
            return connection  # type: ignore[no-any-return]
    return ours.psycopg.connect(conninfo, **settings)  # type: ignore[no-any-return]


class AsyncConnection:
    """Stands for `psycopg.AsyncConnection` where a program connects."""

    @staticmethod
    async def connect(conninfo: str = "", **settings: Any) -> psycopg.AsyncConnection[Any]:
        """Connect as `psycopg.AsyncConnection.connect` does; in mode enforce, as `connect()` of this module.

        Each event loop has sessions of its own.

        Args:
            conninfo: As for `psycopg.AsyncConnection.connect`.
            **settings: As for `psycopg.AsyncConnection.connect`.

        Raises:
            PoolTimeoutError: No session came free within `database_operation_timeout`.
            PoolDeadlockError: All are held by the caller, or by tasks that wait as it does.
            psycopg.Error: As for `psycopg.AsyncConnection.connect`.
            ImportError: psycopg is not installed.
        """
        ours = driver("psycopg")
        while (mode := mode_of(CAPABILITY)) is not Mode.OFF:
            pool = ours.pool_for(ours.ASYNC_POOLS, conninfo, settings)
            if pool is None:
                break
            if mode is Mode.OBSERVE:
                connection = await ours.psycopg.AsyncConnection.connect(conninfo, **settings)
                return pool.watched(connection)  # type: ignore[no-any-return]
            loan = await pool.borrow_async(call_site(*LIBRARIES))
            if loan is None:
                continue
            connecting = partial(ours.AsyncConnection.connect, conninfo, **settings)
            if (connection := await ours.lend_async(pool, loan, settings, connecting)) is not None:
                return connection  # type: ignore[no-any-return]
        return await ours.psycopg.AsyncConnection.connect(conninfo, **settings)  # type: ignore[no-any-return]


def close_pools() -> None:
    """Close all sessions of the process that nobody has; those that are out are closed when they come back.

    It may be called at the end of a program, or whenever none of its connections should stay open; what connects later
    opens new ones. It waits for nothing, so it is not awaited, as `penstock_pooling.close_pools()` is, which waits for
    what is out.

    Raises:
        ImportError: psycopg is not installed.
    """
    ours = driver("psycopg")
    ours.POOLS.close()
    ours.ASYNC_POOLS.close()
