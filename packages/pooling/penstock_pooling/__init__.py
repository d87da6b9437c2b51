"""Database and HTTP connections that are opened once, lent fairly, watched and closed.

Drivers and clients are imported when they are asked for, not before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock_pooling._http.client_manager import HTTPClientManager
from penstock_pooling._http.client_settings import ClientSettings
from penstock_pooling._http.client_statistics import ClientStatistics
from penstock_pooling._http.named import close_clients, configure_clients, http
from penstock_pooling._lifespan import Lifespan, lifespan
from penstock_pooling._named.manager import DatabasePoolManager
from penstock_pooling._pools.errors import PoolDeadlockError, PoolPlaceError, PoolQueueFullError, PoolTimeoutError
from penstock_pooling._pools.statistics import PoolStatistics
from penstock_pooling._settings import PoolSettings

if TYPE_CHECKING:
    from penstock_pooling._asyncpg.create_pool import create_pool
    from penstock_pooling._asyncpg.pool import Pool
    from penstock_pooling._connect.connect import close_pools, connect
    from penstock_pooling._http.httpx import PolicyTransport

__all__ = [
    "ClientSettings",
    "ClientStatistics",
    "DatabasePoolManager",
    "HTTPClientManager",
    "Lifespan",
    "PolicyTransport",
    "Pool",
    "PoolDeadlockError",
    "PoolPlaceError",
    "PoolQueueFullError",
    "PoolSettings",
    "PoolStatistics",
    "PoolTimeoutError",
    "close_clients",
    "close_pools",
    "configure_clients",
    "connect",
    "create_pool",
    "http",
    "lifespan",
]

# Derived from classes of a driver or a client, which are imported when they are asked for.
_LAZY = {
    "Pool": "penstock_pooling._asyncpg.pool",
    "PolicyTransport": "penstock_pooling._http.httpx",
    "close_pools": "penstock_pooling._connect.connect",
    "connect": "penstock_pooling._connect.connect",
    "create_pool": "penstock_pooling._asyncpg.create_pool",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_LAZY[name]), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}: pip install 'penstock-pooling[{error.name}]'", name=error.name) from error
