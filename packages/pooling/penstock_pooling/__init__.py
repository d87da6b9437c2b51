"""Database and HTTP connections that are opened once, lent fairly, watched and closed.

Drivers and clients are imported when they are asked for, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock_pooling._database._errors import PoolDeadlockError, PoolPlaceError, PoolQueueFullError, PoolTimeoutError
from penstock_pooling._database._manager import DatabasePoolManager
from penstock_pooling._database._statistics import PoolStatistics
from penstock_pooling._settings import PoolSettings

if TYPE_CHECKING:
    from penstock_pooling._database._connect import close_pools, connect
    from penstock_pooling._database._pool import Pool, create_pool

__all__ = [
    "DatabasePoolManager",
    "Pool",
    "PoolDeadlockError",
    "PoolPlaceError",
    "PoolQueueFullError",
    "PoolSettings",
    "PoolStatistics",
    "PoolTimeoutError",
    "close_pools",
    "connect",
    "create_pool",
]

_OF_ASYNCPG = ("Pool", "create_pool")
_OF_THE_DROP_IN = ("close_pools", "connect")


def __getattr__(name: str) -> Any:
    if name in _OF_ASYNCPG:
        from penstock_pooling._database import _asyncpg

        return getattr(_asyncpg.pools(), name)
    if name in _OF_THE_DROP_IN:
        from penstock_pooling._database import _asyncpg

        return getattr(_asyncpg.drop_in(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
