"""In place of SQLAlchemy's `create_engine`: an engine that many operations share.

`create_engine` and `create_async_engine` take what SQLAlchemy's take. The mode of the capability `pooled-database`
decides what they do: off, SQLAlchemy's own; observe, the same, with its connections counted; enforce, one engine for
each set of arguments.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from penstock_limits import Mode, mode_of

from penstock_pooling._drop_ins.driver import driver
from penstock_pooling._pools.capability import CAPABILITY

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["close_pools", "create_async_engine", "create_engine"]


def create_engine(url: str | URL, **settings: Any) -> Engine:
    """Make an engine as SQLAlchemy's `create_engine` does; in mode enforce, one for all calls with the same arguments.

    It has at most `rag_pool_max_size` connections, whatever the arguments say of sizes, and whoever takes one out waits
    for it up to `database_operation_timeout`. A connection that comes back is as it was when it was opened, or is
    closed. `dispose()` does nothing, as others use the engine. A call for SQLite, or that says what its connections or
    its pool are (`creator`, `poolclass`), or has an argument that cannot be hashed, is SQLAlchemy's in every mode.

    Args:
        url: As for SQLAlchemy's `create_engine`.
        **settings: As for SQLAlchemy's `create_engine`.

    Raises:
        sqlalchemy.exc.ArgumentError: As for SQLAlchemy's `create_engine`; likewise its other errors.
        ImportError: SQLAlchemy is not installed.
    """
    ours, mode = driver("sqlalchemy"), mode_of(CAPABILITY)
    from sqlalchemy import create_engine as create

    pool = None if mode is Mode.OFF else ours.pool_for(ours.ENGINES, url, settings)
    if pool is None:
        return create(url, **settings)
    if mode is Mode.OBSERVE:
        return ours.observed(pool, create(url, **settings))  # type: ignore[no-any-return]
    return ours.shared(pool, create, ours.SharedPool, url, settings)  # type: ignore[no-any-return]


def create_async_engine(url: str | URL, **settings: Any) -> AsyncEngine:
    """Make an engine as SQLAlchemy's `create_async_engine` does; in mode enforce, as `create_engine()` of this module.

    Each event loop has engines of its own; where no loop runs, the call is SQLAlchemy's.

    Args:
        url: As for SQLAlchemy's `create_async_engine`.
        **settings: As for SQLAlchemy's `create_async_engine`.

    Raises:
        sqlalchemy.exc.ArgumentError: As for SQLAlchemy's `create_async_engine`; likewise its other errors.
        ImportError: SQLAlchemy is not installed.
    """
    ours, mode = driver("sqlalchemy"), mode_of(CAPABILITY)
    from sqlalchemy.ext.asyncio import create_async_engine as create

    has_no_pool = mode is Mode.OFF or asyncio._get_running_loop() is None
    pool = None if has_no_pool else ours.pool_for(ours.ASYNC_ENGINES, url, settings)
    if pool is None:
        return create(url, **settings)
    if mode is Mode.OBSERVE:
        return ours.observed(pool, create(url, **settings))  # type: ignore[no-any-return]
    return ours.shared(pool, create, ours.AsyncSharedPool, url, settings)  # type: ignore[no-any-return]


def close_pools() -> None:
    """Close all connections of shared engines that nobody has; those that are out are closed when they come back.

    It may be called at the end of a program, or whenever none of its connections should stay open. The engines may be
    used again. Those of other event loops are cut off. It waits for nothing, so it is not awaited, as
    `penstock_pooling.close_pools()` is, which waits for what is out.

    Raises:
        ImportError: SQLAlchemy is not installed.
    """
    ours = driver("sqlalchemy")
    ours.ENGINES.close()
    ours.ASYNC_ENGINES.close()
