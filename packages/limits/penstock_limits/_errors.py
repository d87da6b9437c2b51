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
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(name, self.known)

    def __str__(self) -> str:
        return (
            f"there is no limit named {self.name!r}; known are: {', '.join(self.known)}. "
            f"Add [tool.penstock.limits.{self.name}] with max_running, or use a known name."
        )


class LimitReachedError(PenstockError, RuntimeError):
    """No permit is free, and the caller asked not to wait.

    Args:
        limiter: The limiter's name.
        running: How many permits are out.
        max_running: How many may be out.
    """

    def __init__(self, limiter: str, running: int, max_running: int) -> None:
        super().__init__(limiter, running, max_running)
        self.limiter = limiter
        self.counted = running
        self.allowed = max_running

    def __str__(self) -> str:
        return (
            f"limiter {self.limiter!r} is full: {self.counted} of {self.allowed} running. "
            f"Wait with `async with`, try again later, or raise max_running."
        )


class QueueFullError(LimitReachedError):
    """No permit is free, and as many callers wait as `max_queued` allows.

    Args:
        limiter: The limiter's name.
        queued: How many callers wait.
        max_queued: How many may wait.
    """

    def __init__(self, limiter: str, queued: int, max_queued: int) -> None:
        super().__init__(limiter, queued, max_queued)

    def __str__(self) -> str:
        return (
            f"limiter {self.limiter!r} refuses a caller: {self.counted} of {self.allowed} callers wait already. "
            f"Shed load, try again later, or raise max_queued."
        )
