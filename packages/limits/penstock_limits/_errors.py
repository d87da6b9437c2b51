"""Every error of penstock, in one tree.

PenstockError
├── ConfigurationError (ValueError)     a setting, name or mode is wrong
│   └── UnknownLimitError               no limit has this name
└── LimitReachedError (RuntimeError)    no permit is free right now
    └── QueueFullError                  and as many callers wait as may wait
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ConfigurationError", "LimitReachedError", "PenstockError", "QueueFullError", "UnknownLimitError"]


class PenstockError(Exception):
    """The base of every error that penstock raises."""


class ConfigurationError(PenstockError, ValueError):
    """A setting, a name or a mode is wrong; the message says where, what is allowed and what to do."""


class UnknownLimitError(ConfigurationError):
    """No limit has the name that was asked for.

    Args:
        name: The name that was asked for.
        known: The names that exist.
    """

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"there is no limit named {name!r}; known are: {', '.join(sorted(known))}. "
            f"Add [tool.penstock.limits.{name}] with max_running, or use a known name."
        )
        self.name = name


class LimitReachedError(PenstockError, RuntimeError):
    """No permit is free, and the caller asked not to wait.

    Args:
        limiter: The limiter's name.
        running: How many permits are out.
        max_running: How many may be out.
    """

    def __init__(self, limiter: str, running: int, max_running: int) -> None:
        super().__init__(
            f"limiter {limiter!r} is full: {running} of {max_running} running. "
            f"Wait with `async with`, try again later, or raise max_running."
        )
        self.limiter = limiter


class QueueFullError(LimitReachedError):
    """No permit is free, and as many callers wait as `max_queued` allows.

    Args:
        limiter: The limiter's name.
        queued: How many callers wait.
        max_queued: How many may wait.
    """

    def __init__(self, limiter: str, queued: int, max_queued: int) -> None:
        PenstockError.__init__(
            self,
            f"limiter {limiter!r} refuses a caller: {queued} of {max_queued} callers wait already. "
            f"Shed load, try again later, or raise max_queued.",
        )
        self.limiter = limiter
