"""Drivers, which are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["driver"]


def driver(name: str) -> ModuleType:
    """Return what shares the connections of a driver.

    Raises:
        ImportError: The driver is not installed; the message says how to.
    """
    try:
        return import_module(f"penstock_pooling._drop_ins.{name}")
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'penstock-pooling[{name}]'", name=name) from error
