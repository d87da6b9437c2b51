"""Database and HTTP connections that are opened once, lent fairly, watched and closed.

Drivers and clients are imported when they are asked for, not before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock_pooling._http._httpx import PolicyTransport

__all__ = ["PolicyTransport"]

_LAZY = {"PolicyTransport": "penstock_pooling._http._httpx"}  # derived from classes of a driver's or a client's


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
