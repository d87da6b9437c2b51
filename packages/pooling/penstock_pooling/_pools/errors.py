"""What a pool refuses, and why.

PenstockError
├── LimitReachedError (RuntimeError)
│   ├── QueueFullError
│   │   └── PoolQueueFullError             as many callers wait for a connection as may wait
│   └── AcquireTimeoutError (TimeoutError)
│       └── PoolTimeoutError               no connection was lent in time
│           └── PoolDeadlockError          or ever would be: the caller would wait for itself
└── PoolPlaceError (RuntimeError)          the pool belongs to another event loop or process
"""

from __future__ import annotations

import functools
from typing import Any

from penstock_limits import AcquireTimeoutError, PenstockError, QueueFullError

__all__ = ["PoolDeadlockError", "PoolPlaceError", "PoolQueueFullError", "PoolTimeoutError", "as_drivers_own"]


class PoolQueueFullError(QueueFullError):
    """No connection is free, and as many callers wait for one as `max_queued` allows.

    Args:
        pool: The pool's name.
        queued: How many callers wait.
        max_queued: How many may wait.
        borrowers: Who has the connections: lines of code, and for how long.
    """

    def __init__(self, pool: str, queued: int, max_queued: int, borrowers: str) -> None:
        super().__init__(pool, queued, max_queued)
        self.args = (pool, queued, max_queued, borrowers)
        self.borrowers = borrowers

    def __str__(self) -> str:
        return (
            f"pool {self.limiter!r} refuses a caller: {self.counted} of {self.allowed} callers wait already. "
            f"Out are: {self.borrowers}. Shed load, try again later, or raise max_size or max_queued."
        )


class PoolTimeoutError(AcquireTimeoutError):
    """No connection was lent within the caller's deadline.

    Args:
        pool: The pool's name.
        queued: How many callers waited with it.
        timeout: The deadline, in seconds.
        borrowers: Who has the connections: lines of code, and for how long; empty if it was connecting that took long.

    Attributes:
        settings: What to raise for more connections, and for more time.
    """

    settings: tuple[str, str] = ("max_size", "acquire_timeout")

    def __init__(self, pool: str, queued: int, timeout: float, borrowers: str) -> None:
        super().__init__(pool, queued, timeout)
        self.args = (pool, queued, timeout, borrowers)
        self.borrowers = borrowers

    def __str__(self) -> str:
        if not self.borrowers:
            return (
                f"pool {self.limiter!r} could not connect to its server within {self.allowed:g} s, "
                f"with what `init` and `setup` do. See whether the server is up, try again later, or give it more "
                f"time: raise {self.settings[1]}."
            )
        return (
            f"pool {self.limiter!r} lent no connection within {self.allowed:g} s; {self.counted} callers waited. "
            f"Out are: {self.borrowers}. Give them back sooner, or raise {self.settings[0]} or {self.settings[1]}."
        )


class PoolDeadlockError(PoolTimeoutError):
    """Every connection is held by the caller itself, or by tasks that wait for one too: none would ever come.

    It is a timeout that is told at once, so whoever is prepared for that one is for this one.

    Args:
        pool: The pool's name.
        running: How many connections are out.
        max_running: How many may be out.
        borrowers: Who has the connections: lines of code, and for how long.
    """

    def __init__(self, pool: str, running: int, max_running: int, borrowers: str) -> None:
        super().__init__(pool, running, max_running, borrowers)

    def __str__(self) -> str:
        return (
            f"pool {self.limiter!r} would never serve this caller: it waits, and so do all who have its {self.counted} "
            f"connections. Out are: {self.borrowers}. Use the connection that the task has, "
            f"give it back before asking for another, or raise {self.settings[0]}."
        )


class PoolPlaceError(PenstockError, RuntimeError):
    """A pool is used in another event loop, or another process, than that in which it was opened.

    Args:
        pool: The pool's name.
        place: Where it is used: `event loop` or `process`.
    """

    def __init__(self, pool: str, place: str) -> None:
        super().__init__(pool, place)
        self.pool = pool
        self.place = place

    def __str__(self) -> str:
        return (
            f"pool {self.pool!r} was opened in another {self.place}, and its connections work only there: "
            f"open a pool in each {self.place} that needs one."
        )


def as_drivers_own(error: PoolQueueFullError | PoolTimeoutError, base: Any) -> Exception:
    """Return an error that is one of a driver's classes, too: code that was written for the driver handles it.

    Args:
        error: The error.
        base: The class.
    """
    kind: Any = type(error)
    told: Exception = _both(kind, base)(*error.args)
    base.__init__(told, str(error))  # the driver's attributes are set there
    told.args = error.args
    told.__dict__.update(vars(error))
    return told


@functools.cache
def _both(kind: Any, base: Any) -> Any:
    def reduce(self: Any) -> object:
        return kind, self.args  # elsewhere, it is what it is without the driver

    return type(kind.__name__, (kind, base), {"__doc__": kind.__doc__, "__module__": __name__, "__reduce__": reduce})
