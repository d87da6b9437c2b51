"""Classes that are ours and those of a client's module as well; httpx and httpx2 differ in nothing else."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

__all__ = ["as_stream", "as_transport"]


def as_stream(kind: Any, module: ModuleType) -> Any:
    """Return a class of bodies as one of those that a module's clients accept."""
    return _derived(kind, module.AsyncByteStream)


def as_transport(kind: Any, module: ModuleType) -> Any:
    """Return a class of transports as one of those that a module's clients open and close."""
    return _derived(kind, module.AsyncBaseTransport)


@functools.cache
def _derived(kind: Any, base: Any) -> Any:
    return type(kind.__name__, (kind, base), {"__doc__": kind.__doc__, "__module__": kind.__module__})
