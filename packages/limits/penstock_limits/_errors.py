"""Every error of penstock, in one tree.

PenstockError
├── ConfigurationError (ValueError)          a setting, name or mode is wrong
│   ├── UnknownLimitError                    no limit has this name
│   └── UnknownPolicyError                   no policy has this name
├── LimitReachedError (RuntimeError)         no permit is free right now
│   ├── QueueFullError                       and as many callers wait as may wait
│   └── AcquireTimeoutError (TimeoutError)   and none came free within the caller's deadline
├── RequestTooLargeError (ValueError)        a single request asks for more than its rate ever admits
├── CircuitOpenError (RuntimeError)          a circuit breaker refuses the call
└── CallTimeoutError (TimeoutError)          a policy's deadline has passed
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

__all__ = [
    "AcquireTimeoutError",
    "CallTimeoutError",
    "CircuitOpenError",
    "ConfigurationError",
    "LimitReachedError",
    "PenstockError",
    "QueueFullError",
    "RequestTooLargeError",
    "UnknownLimitError",
    "UnknownPolicyError",
]


class PenstockError(Exception):
    """The base of every error that penstock raises."""


class ConfigurationError(PenstockError, ValueError):
    """A setting, a name or a mode is wrong; the message says where, what is allowed and what to do."""


class _UnknownNameError(ConfigurationError):
    _what: ClassVar[str]
    _table: ClassVar[str]

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(name, self.known)

    def __str__(self) -> str:
        return (
            f"there is no {self._what} named {self.name!r}; known are: {', '.join(self.known)}. "
            f"Add [tool.penstock.{self._table.format(self.name)}, or use a known name."
        )


class UnknownLimitError(_UnknownNameError):
    """No limit has the name that was asked for.

    Args:
        name: The name that was asked for.
        known: The names that exist.
    """

    _what = "limit"
    _table = "limits.{}] with max_running"


class UnknownPolicyError(_UnknownNameError):
    """No policy has the name that was asked for.

    Args:
        name: The name that was asked for.
        known: The names that exist.
    """

    _what = "policy"
    _table = "policies.{}]"


class LimitReachedError(PenstockError, RuntimeError):
    """No permit is free, and the caller asked not to wait.

    Args:
        limiter: The limiter's name.
        running: How many permits are out.
        max_running: How many may be out.
    """

    def __init__(self, limiter: str, running: float, max_running: float) -> None:
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
        limiter: The name of what refuses.
        queued: How many callers wait.
        max_queued: How many may wait.
        kind: What it is: a limiter, a rate, a pool.
    """

    def __init__(self, limiter: str, queued: int, max_queued: int, kind: str = "limiter") -> None:
        super().__init__(limiter, queued, max_queued)
        self.args = (limiter, queued, max_queued, kind)  # what it is pickled by
        self.kind = kind

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.limiter!r} refuses a caller: {self.counted} of {self.allowed} callers wait already. "
            f"Shed load, try again later, or raise max_queued."
        )


class AcquireTimeoutError(LimitReachedError, TimeoutError):
    """No permit came free within the caller's deadline.

    Args:
        limiter: The name of what was waited for.
        queued: How many callers waited with it.
        timeout: The deadline, in seconds.
        kind: What it is: a limiter, a rate, a pool.
    """

    def __init__(self, limiter: str, queued: int, timeout: float, kind: str = "limiter") -> None:
        super().__init__(limiter, queued, timeout)
        self.args = (limiter, queued, timeout, kind)
        self.kind = kind

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.limiter!r} admitted a caller not within {self.allowed:g} s; "
            f"{self.counted} callers waited. Shed load, try again later, or give it more time."
        )


class RequestTooLargeError(PenstockError, ValueError):
    """A single request asks for more than its rate admits in a whole period, so no wait would help.

    Args:
        limiter: The rate's name.
        dimension: What is counted, such as `tokens`.
        asked: How much was asked for.
        allowed: The most that one request may ask for.
    """

    def __init__(self, limiter: str, dimension: str, asked: float, allowed: float) -> None:
        super().__init__(limiter, dimension, asked, allowed)
        self.limiter = limiter
        self.dimension = dimension
        self.asked = asked
        self.allowed = allowed

    def __str__(self) -> str:
        return (
            f"rate {self.limiter!r} can never admit {self.asked:g} {self.dimension} at once; "
            f"{self.allowed:g} is the most. Split the request, or raise the rate."
        )


class CircuitOpenError(PenstockError, RuntimeError):
    """A circuit breaker refuses the call, as too many calls before it have failed or were slow.

    Args:
        breaker: The breaker's name.
        state: Its state: `open`, or `half_open` with as many trial calls on their way as may be.
        retry_after: Seconds until it may let a call through; 0 if that depends on the trial calls.
    """

    def __init__(self, breaker: str, state: str, retry_after: float) -> None:
        super().__init__(breaker, state, retry_after)
        self.breaker = breaker
        self.state = state
        self.retry_after = retry_after

    def __str__(self) -> str:
        when = f"in {self.retry_after:.3g} s" if self.retry_after else "when its trial calls have ended"
        return (
            f"circuit breaker {self.breaker!r} is {self.state}: the call was not made. Fall back, or try again {when}."
        )


class CallTimeoutError(PenstockError, TimeoutError):
    """A call took longer than its policy allows.

    Args:
        policy: The policy's name.
        deadline: Which of its deadlines has passed: `total_timeout` or `attempt_timeout`.
        seconds: How long that is.
    """

    def __init__(self, policy: str, deadline: str, seconds: float) -> None:
        super().__init__(policy, deadline, seconds)
        self.policy = policy
        self.deadline = deadline
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"policy {self.policy!r} has ended a call after {self.seconds:g} s: that is its {self.deadline}. "
            f"See what the call waited for, or raise {self.deadline}."
        )
