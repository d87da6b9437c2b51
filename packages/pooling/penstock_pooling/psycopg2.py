"""In place of psycopg2's `connect`: sessions that many operations share, one after the other.

`penstock_pooling.psycopg2.connect` takes what `psycopg2.connect` takes. The mode of the capability `pooled-database`
decides what it does: off, psycopg2's own; observe, the same, counted; enforce, a connection of a pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock_limits import Mode, mode_of
from penstock_limits.introspection import call_site

from penstock_pooling._drop_ins.driver import driver
from penstock_pooling._pools.callers import LIBRARIES
from penstock_pooling._pools.capability import CAPABILITY

if TYPE_CHECKING:
    from psycopg2.extensions import connection

__all__ = ["close_pools", "connect"]

_OWN = ("async", "async_")  # a connection with one of these is driven by its program


def connect(dsn: Any = None, connection_factory: Any = None, cursor_factory: Any = None, **settings: Any) -> connection:
    """Connect as `psycopg2.connect` does; in mode enforce, to a session that was opened before if one is free.

    All calls with the same arguments share at most `rag_pool_max_size` sessions. `close()` gives the session back, as
    it was when it was opened; the end of a `with` block ends a transaction only, as ever. A call with a
    `connection_factory`, or for an asynchronous connection, is psycopg2's in every mode.

    Args:
        dsn: As for `psycopg2.connect`.
        connection_factory: As for `psycopg2.connect`.
        cursor_factory: As for `psycopg2.connect`.
        **settings: As for `psycopg2.connect`.

    Raises:
        PoolTimeoutError: No session came free within `database_operation_timeout`.
        PoolDeadlockError: All are held by the caller, or by threads that wait as it does.
        psycopg2.Error: As for `psycopg2.connect`.
        ImportError: psycopg2 is not installed.
    """
    ours = driver("psycopg2")
    while (mode := mode_of(CAPABILITY)) is not Mode.OFF:
        own = connection_factory is not None or any(map(settings.get, _OWN))
        pool = None if own else ours.pool_for(dsn, settings)
        if pool is None:
            break
        if mode is Mode.OBSERVE:
            return pool.watched(ours.psycopg2.connect(dsn, None, cursor_factory, **settings))
        loan = pool.borrow(call_site(*LIBRARIES))
        connection = None if loan is None else ours.lend(pool, loan, dsn, cursor_factory, settings)
        if connection is not None:
            return connection
    return ours.psycopg2.connect(dsn, connection_factory, cursor_factory, **settings)


def close_pools() -> None:
    """Close all sessions of the process that nobody has; those that are out are closed when they come back.

    It may be called at the end of a program, or whenever none of its connections should stay open; what connects later
    opens new ones. It waits for nothing, so it is not awaited, as `penstock_pooling.close_pools()` is, which waits for
    what is out.

    Raises:
        ImportError: psycopg2 is not installed.
    """
    driver("psycopg2").POOLS.close()
