"""One attempt under a policy: what it enters on its way in, is told of, and leaves on its way out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from penstock_limits._breakers.breaker import BreakerAttempt
from penstock_limits._checks import number
from penstock_limits._limiters.adaptive import AdaptiveLimit
from penstock_limits._limiters.limiter import Limiter
from penstock_limits._outcomes import Outcome, headers_of, outcome_of
from penstock_limits._policies.deadlines import Deadline, Deadlines
from penstock_limits._policies.kept_slot import KeptSlot
from penstock_limits._rates.rate import RateLimiter
from penstock_limits._rates.reservation import Reservation
from penstock_limits._ready import READY

if TYPE_CHECKING:
    from penstock_limits._policies.policy import Policy

__all__ = ["Borrow", "Slot", "current_slot", "running_slot"]

Borrow = Callable[[], AbstractAsyncContextManager[Any]]

running_slot: ContextVar[Slot | None] = ContextVar("penstock_limits.current_slot", default=None)


def current_slot() -> Slot | None:
    """Return the slot that the running call has under the innermost policy, to say what it used; None without one."""
    return running_slot.get()


# The stages of a slot.
_NEW = 0
_AT_THE_DOOR = 1  # on its way in or out of its block
_INSIDE = 2
_KEPT = 3  # it goes on after its block
_OVER = 4  # it was kept, and has ended


class Slot:
    """One attempt under a policy; `async with`, once. Made by `Policy.slot()`.

    Attributes:
        client: What was borrowed for it; None if nothing was.
    """

    __slots__ = (
        "_adaptive",
        "_amounts",
        "_borrow",
        "_breaker",
        "_deadline",
        "_deadlines",
        "_ignored",
        "_lender",
        "_limiter",
        "_output_tokens",
        "_policy",
        "_reservation",
        "_stage",
        "_started",
        "_total",
        "client",
    )

    def __init__(
        self,
        policy: Policy,
        amounts: Mapping[str, float],
        deadlines: Deadlines | None = None,
        borrow: Borrow | None = None,
        total: Deadline | None = None,
    ) -> None:
        self.client: Any = None
        self._policy = policy
        self._amounts = amounts
        self._borrow = borrow
        self._deadlines = deadlines  # which start and end with the slot; or else
        self._total = total  # that of a call with all its attempts, which ends later
        self._ignored = False
        self._stage = _NEW
        self._adaptive: AdaptiveLimit | None = None
        self._breaker: BreakerAttempt | None = None
        self._deadline: Deadline | None = None
        self._lender: AbstractAsyncContextManager[Any] | None = None
        self._limiter: Limiter | None = None
        self._output_tokens: int | None = None
        self._reservation: Reservation | None = None
        self._started = 0.0

    async def __aenter__(self) -> Self:
        """Wait until the call may be made.

        Raises:
            CallTimeoutError: The total timeout has passed.
            CircuitOpenError: The breaker refuses the call.
            LimitReachedError: The limiter or the rate refuses it, or did not admit it in time.
        """
        if self._stage != _NEW:
            raise RuntimeError(f"a slot of policy {self._policy.name!r} is for one call; ask for another")
        self._stage = _AT_THE_DOOR
        policy = self._policy
        if self._deadlines is not None:
            self._total = self._deadlines.start()
        try:
            breaker, limiter, adaptive, rate = policy._breaker, policy._limiter, policy._adaptive, policy._rate
            if breaker is not None:
                breaker.check()
            if limiter is not None:
                await limiter.__aenter__()
                self._limiter = limiter
            if rate is not None:
                counted = _counted(rate, self._amounts) if self._amounts else {}
                self._reservation = await rate.reserve(**counted)
            if breaker is not None:
                self._breaker = breaker.attempt().__enter__()
            self._begin(adaptive)
            if self._borrow is not None:
                lender = self._borrow()
                self.client = await lender.__aenter__()
                self._lender = lender
        except BaseException as error:
            self._leave(error, admitted=False)
            raise
        self._stage = _INSIDE
        return self

    def _begin(self, adaptive: AdaptiveLimit | None) -> None:
        """Let the attempt's own time begin."""
        deadlines = self._policy._deadlines_now(self._policy._attempt_deadlines)
        if deadlines is not None:
            self._deadline = deadlines.start(self._total)
        if adaptive is not None and adaptive.limiter is self._limiter:  # else the policy was just given another
            self._adaptive, self._started = adaptive, adaptive.clock()

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Awaitable[None]:
        if self._stage == _INSIDE:
            self._stage = _AT_THE_DOOR
        if self._lender is not None:
            return self._exit(self._lender, kind, error, traceback)
        self._leave(error, admitted=True)
        return READY  # type: ignore[no-any-return]

    async def _exit(
        self,
        lender: AbstractAsyncContextManager[Any],
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await lender.__aexit__(kind, error, traceback)
        except BaseException as failed:
            self._leave(failed, admitted=True)
            raise
        self._leave(error, admitted=True)

    def used(self, **amounts: float) -> None:
        """Say how much the call has really taken of the rate: `slot.used(tokens=830)`.

        What the rate does not count is ignored. An adaptive limit goes by the time for one of the `output_tokens`.

        Raises:
            ConfigurationError: As for `Policy.slot`.
        """
        if (tokens := amounts.get("output_tokens")) is not None:
            where = f"policy {self._policy.name!r}"
            self._output_tokens = int(number(where, "output_tokens", tokens)) or None
        self._policy._checked(amounts)
        if self._reservation is not None:  # the policy may have another rate by now
            counted = _counted(self._reservation.rate, amounts)
            if counted:
                self._reservation.settle(**counted)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Let the rate learn from the headers of the provider's response; those of an error are learnt from anyway."""
        if self._reservation is not None:
            self._reservation.learn(headers)

    def ignored(self) -> None:
        """Let the call count as nothing, however it ends: a response 404 says nothing about the service.

        Raises:
            RuntimeError: The call has not begun, or has ended.
        """
        self._refuse_outside("ignored")
        self._ignored = True
        if self._breaker is not None:
            self._breaker.ignored()

    def keep(self) -> KeptSlot:
        """Let the call go on after its block, for a response whose body is still to be read.

        Its permit, and its place with the breaker and the rate, are kept until `close()` of what this returns, or
        until that is collected. The block ends its deadlines and gives back what was borrowed. A block that ends with
        an exception ends the call, too.

        Raises:
            RuntimeError: The call has not begun, or has ended, or is kept already.
        """
        self._refuse_outside("kept")
        deadlines = [each for each in (self._total, self._deadline) if each is not None]
        self._stage = _KEPT
        return KeptSlot(self, min(deadlines, key=lambda each: each.when, default=None))

    def _refuse_outside(self, what: str) -> None:
        if self._stage != _INSIDE:
            raise RuntimeError(f"a slot of policy {self._policy.name!r} cannot be {what}: do it once, inside its block")

    def _leave(self, error: BaseException | None, *, admitted: bool) -> None:
        """Leave what was entered, from the inside out; raise if a deadline is why."""
        late = None if self._deadline is None else self._deadline.leave(error)
        told = late or error
        if self._total is not None and self._deadlines is not None:
            late = self._total.leave(told) or late
            told = late or error
        elif self._total is not None and self._total.passed and isinstance(told, asyncio.CancelledError):
            told = self._total.error()
        if self._stage == _AT_THE_DOOR:
            self._tell_parts(told, admitted=admitted)
        elif told is not None:
            self._end_kept(told)
        if late is not None:
            raise late from error

    @property
    def _is_kept(self) -> bool:
        return self._stage == _KEPT

    def _end_kept(self, error: BaseException | None, *, collected: bool = False) -> None:
        """End a call that was kept, once, however often it is said."""
        if self._stage == _KEPT:
            self._stage = _OVER
            self._tell_parts(error, admitted=True, collected=collected)

    def _tell_parts(self, error: BaseException | None, *, admitted: bool, collected: bool = False) -> None:
        try:
            self._tell_rate(error, admitted=admitted)
            if admitted:
                self._tell_outcome(Outcome.IGNORED if self._ignored else outcome_of(error))
        finally:  # whatever a part of somebody else's makes of it
            if self._limiter is not None and collected:
                self._limiter._lose(self._limiter.release)  # in the collector: no lock may be waited for
            elif self._limiter is not None:
                self._limiter.release()
            if self._breaker is not None:
                self._breaker.__exit__(type(error) if error is not None else None, error, None)

    def _tell_rate(self, error: BaseException | None, *, admitted: bool) -> None:
        if self._reservation is None:
            return
        if not admitted:
            self._reservation.cancel()
        elif isinstance(error, Exception) and (headers := headers_of(error)):
            self._reservation.learn(headers)
        self._reservation.__exit__(None, None, None)  # it is on its way no more

    def _tell_outcome(self, outcome: Outcome) -> None:
        self._policy._count(outcome)
        if self._adaptive is not None:
            took = max(0.0, self._adaptive.clock() - self._started)
            self._adaptive.report(took, outcome, output_tokens=self._output_tokens)


def _counted(rate: RateLimiter, amounts: Mapping[str, float]) -> dict[str, float]:
    """Return what of some amounts a rate counts."""
    return {name: amount for name, amount in amounts.items() if name in rate.dimensions}
