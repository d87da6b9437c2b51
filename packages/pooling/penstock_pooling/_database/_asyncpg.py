"""asyncpg, when it is asked for."""

from __future__ import annotations

from types import ModuleType

__all__ = ["drop_in", "pools"]


def pools() -> ModuleType:
    """Import the pools of asyncpg connections.

    Raises:
        ImportError: asyncpg is not installed; the message says how to.
    """
    try:
        import asyncpg  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'penstock-pooling[asyncpg]'", name="asyncpg") from error
    from penstock_pooling._database import _pool

    return _pool


def drop_in() -> ModuleType:
    """Import the drop-in for `asyncpg.connect`.

    Raises:
        ImportError: As for `pools()`.
    """
    pools()
    from penstock_pooling._database import _connect

    return _connect
