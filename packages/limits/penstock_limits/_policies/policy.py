"""A policy: everything that guards a call, in one place and in the right order.

From the outside in: total timeout, retry, breaker, limiter, rate, attempt timeout. The breaker is asked before anybody
waits, the limiter before the rate, so that what the rate admits is sent at once, and an attempt's own time starts when
it is admitted.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from penstock_limits import _modes, _resources
from penstock_limits._breakers.breaker import CircuitBreaker
from penstock_limits._checks import seconds
from penstock_limits._errors import ConfigurationError
from penstock_limits._guarded import is_coroutine_function
from penstock_limits._limiters.adaptive import AdaptiveLimit
from penstock_limits._limiters.limiter import Limiter
from penstock_limits._modes import Mode
from penstock_limits._outcomes import Outcome
from penstock_limits._policies.deadlines import Deadline, Deadlines
from penstock_limits._policies.slot import Borrow, Slot, running_slot
from penstock_limits._rates.rate import RateLimiter
from penstock_limits._retries.retry import Retry
from penstock_limits.forks import after_fork

__all__ = ["CAPABILITY", "Policy", "PolicyStatistics"]

CAPABILITY: Final = "central-manager"
_ENFORCE: Final = Mode.ENFORCE  # an enumeration looks its members up each time
AMOUNTS: Final = frozenset({"requests", "tokens", "input_tokens", "output_tokens"})

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PolicyStatistics:
    """A snapshot of a policy; its parts have statistics of their own.

    Attributes:
        mode: The mode of its deadlines now.
        succeeded: Attempts that ended well.
        ignored: Attempts that say nothing about the service: cancelled, refused within, wrong by the caller's fault.
        dropped: Attempts that ended with 429, 503 or a timeout.
    """

    mode: Mode
    succeeded: int
    ignored: int
    dropped: int


class Policy:
    """A named pipeline for calls; any part may be left out.

    `async with policy.slot(tokens=...) as slot` guards a block, `await policy.call(function, ...)` and the decorator
    `@policy` guard and retry a coroutine function.

    Args:
        name: What people know it by.
        total_timeout: Deadline of a call with all its attempts and waits, in seconds.
        retry: How a call is tried again; a block of `slot()` cannot be.
        breaker: Refuses calls while the service fails.
        limiter: How many calls run at once; an AdaptiveLimit is told how they end.
        rate: How many requests and tokens are sent in a time.
        attempt_timeout: Deadline of one attempt from its admission, in seconds.
        mode: The mode of its deadlines, `enforce`, `observe` or `off`: only `enforce` has them. None follows the mode
            of the capability `central-manager`. The parts have modes of their own.

    Raises:
        ConfigurationError: A value is wrong.
    """

    __slots__ = (
        "__weakref__",
        "_adaptive",
        "_attempt_deadlines",
        "_breaker",
        "_dimensions",
        "_fixed_mode",
        "_limiter",
        "_lock",
        "_name",
        "_outcomes",
        "_rate",
        "_retried",
        "_retry",
        "_total_deadlines",
    )

    def __init__(
        self,
        name: str,
        *,
        total_timeout: float | None = None,
        retry: Retry | None = None,
        breaker: CircuitBreaker | None = None,
        limiter: Limiter | AdaptiveLimit | None = None,
        rate: RateLimiter | None = None,
        attempt_timeout: float | None = None,
        mode: Mode | str | None = Mode.ENFORCE,
    ) -> None:
        self._name = name
        self._fixed_mode = None if mode is None else _modes.parse_mode(mode, f"policy {name!r}: mode")
        self._begin()
        self.replace(
            total_timeout=total_timeout,
            retry=retry,
            breaker=breaker,
            limiter=limiter,
            rate=rate,
            attempt_timeout=attempt_timeout,
        )
        _resources.enter(self)
        after_fork(self._begin)

    def _begin(self) -> None:
        """Count from 0, as in a forked child."""
        self._lock = threading.RLock()  # the collector may end a forgotten call while it is held
        self._outcomes = dict.fromkeys(Outcome, 0)

    def replace(
        self,
        *,
        total_timeout: float | None,
        retry: Retry | None,
        breaker: CircuitBreaker | None,
        limiter: Limiter | AdaptiveLimit | None,
        rate: RateLimiter | None,
        attempt_timeout: float | None,
    ) -> None:
        """Take other parts, for the calls that start from now on.

        Args:
            total_timeout: As for the policy itself, and so are the others.
            retry: How a call is tried again.
            breaker: What refuses calls while the service fails.
            limiter: What limits how many calls run at once.
            rate: What limits how many requests and tokens are sent in a time.
            attempt_timeout: Deadline of one attempt, in seconds.

        Raises:
            ConfigurationError: A value is wrong.
        """
        self._total_deadlines = self._deadlines("total_timeout", total_timeout)
        self._attempt_deadlines = self._deadlines("attempt_timeout", attempt_timeout)
        self._retry = retry
        self._retried = self._attempt if retry is None else retry(self._attempt)
        self._breaker = breaker
        self._adaptive = limiter if isinstance(limiter, AdaptiveLimit) else None
        self._limiter = limiter.limiter if isinstance(limiter, AdaptiveLimit) else limiter
        self._rate = rate
        self._dimensions = frozenset(() if rate is None else rate.dimensions)

    def __repr__(self) -> str:
        parts = [part for part in (self._retry, self._breaker, self._limiter, self._rate) if part is not None]
        return f"<Policy {self._name!r} {self.mode}: {', '.join(map(repr, parts)) or 'nothing but deadlines'}>"

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "policy"

    @property
    def mode(self) -> Mode:
        """The mode of its deadlines now: its own, or that of the capability `central-manager`."""
        return self._fixed_mode or _modes.mode_of(CAPABILITY)

    @property
    def rate(self) -> RateLimiter | None:
        """How many requests and tokens are sent in a time."""
        return self._rate

    @property
    def total_timeout(self) -> float | None:
        """Deadline of a call with all its attempts and waits, in seconds."""
        return None if self._total_deadlines is None else self._total_deadlines.seconds

    @property
    def attempt_timeout(self) -> float | None:
        """Deadline of one attempt, in seconds."""
        return None if self._attempt_deadlines is None else self._attempt_deadlines.seconds

    def statistics(self) -> PolicyStatistics:
        """Return a snapshot of its counters."""
        return PolicyStatistics(
            mode=self.mode,
            succeeded=self._outcomes[Outcome.SUCCEEDED],
            ignored=self._outcomes[Outcome.IGNORED],
            dropped=self._outcomes[Outcome.DROPPED],
        )

    # --- guarding calls

    def slot(self, *, borrow: Borrow | None = None, **amounts: float) -> Slot:
        """Return a slot to hold with `async with`, while one call is made.

        Args:
            borrow: Returns an async context manager that lends what the call is made with; it is entered at last, and
                what it lends is the slot's `client`.
            **amounts: How much it will take of the rate, as far as is known: `tokens=1_200`. `requests` is 1 unless it
                is given. What the rate does not count is ignored.

        Raises:
            ConfigurationError: An amount is none of requests, tokens, input_tokens, output_tokens, nor of the rate.
        """
        return Slot(self, self._checked(amounts), self._deadlines_now(self._total_deadlines), borrow)

    def reserving(self, **amounts: float) -> Reserving:
        """Return the policy's `call` and decorator for calls that take more of the rate than one request.

        Args:
            **amounts: As for `slot()`.

        Raises:
            ConfigurationError: As for `slot()`.
        """
        return Reserving(self, self._checked(amounts))

    async def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a coroutine function under the policy, again if its retry says so.

        Args:
            function: What to call. `current_slot()` within is the slot of the attempt.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            What it returns.

        Raises:
            CallTimeoutError: A deadline has passed.
            CircuitOpenError: The breaker refuses the call.
            LimitReachedError: The limiter or the rate refuses it, or did not admit it in time.
        """
        return await self._call({}, function, args, kwargs)

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """Decorate a coroutine function, so that every call of it goes through `call()`."""
        return self.reserving()(function)

    async def _call(
        self, amounts: Mapping[str, float], function: Callable[..., Awaitable[T]], args: Any, kwargs: Any
    ) -> T:
        deadlines = self._deadlines_now(self._total_deadlines)
        total = None if deadlines is None else deadlines.start()
        try:
            result: T = await self._retried(amounts, total, function, args, kwargs)
        except BaseException as error:
            late = None if total is None else total.leave(error)
            if late is not None:
                raise late from error
            raise
        if total is not None:
            total.leave(None)
        return result

    async def _attempt(
        self,
        amounts: Mapping[str, float],
        total: Deadline | None,
        function: Callable[..., Awaitable[T]],
        args: Any,
        kwargs: Any,
    ) -> T:
        async with Slot(self, amounts, total=total) as slot:
            outer = running_slot.set(slot)
            try:
                return await function(*args, **kwargs)
            finally:
                try:  # noqa: SIM105 - a suppress() would cost more than all the rest of it
                    running_slot.reset(outer)
                except ValueError:  # the collector ends a forgotten call in another context
                    pass

    def _count(self, outcome: Outcome) -> None:
        with self._lock:
            self._outcomes[outcome] += 1

    def _checked(self, amounts: Mapping[str, float]) -> Mapping[str, float]:
        known = AMOUNTS | self._dimensions
        if unknown := amounts.keys() - known:
            listed = ", ".join(sorted(known))
            raise ConfigurationError(f"policy {self._name!r}: no rate counts {min(unknown)!r}; known are {listed}")
        return amounts

    def _deadlines(self, which: str, length: float | None) -> Deadlines | None:
        if length is None:
            return None
        return Deadlines(self._name, which, seconds(f"policy {self._name!r}", which, length, above=True))

    def _deadlines_now(self, deadlines: Deadlines | None) -> Deadlines | None:
        if deadlines is None or (self._fixed_mode or _modes.mode_of(CAPABILITY)) is not _ENFORCE:
            return None
        return deadlines


class Reserving:
    """A policy, for calls that take more of its rate than one request. Made by `Policy.reserving()`."""

    __slots__ = ("_amounts", "_policy")

    def __init__(self, policy: Policy, amounts: Mapping[str, float]) -> None:
        self._policy = policy
        self._amounts = amounts

    async def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a coroutine function as `Policy.call` does."""
        return await self._policy._call(self._amounts, function, args, kwargs)

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """Decorate a coroutine function, so that every call of it goes through `call()`.

        Raises:
            ConfigurationError: It is no coroutine function: a policy would have nothing to wait for.
        """
        if not is_coroutine_function(function):
            raise ConfigurationError(f"policy {self._policy.name!r} guards coroutine functions; {function!r} is none")

        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.call(function, *args, **kwargs)

        return guarded
