"""Database and HTTP connections that are opened once, lent fairly, watched and closed.

Drivers and clients are imported when they are asked for, not before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock_pooling._http._client_manager import HTTPClientManager
from penstock_pooling._http._client_settings import ClientSettings
from penstock_pooling._http._client_statistics import ClientStatistics
from penstock_pooling._http._named import close_clients, configure_clients, http
from penstock_pooling._lifespan import Lifespan, lifespan

if TYPE_CHECKING:
    from penstock_pooling._http._httpx import PolicyTransport

__all__ = [
    "ClientSettings",
    "ClientStatistics",
    "HTTPClientManager",
    "Lifespan",
    "PolicyTransport",
    "close_clients",
    "configure_clients",
    "http",
    "lifespan",
]

_LAZY = {"PolicyTransport": "penstock_pooling._http._httpx"}  # derived from classes of a driver's or a client's


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
