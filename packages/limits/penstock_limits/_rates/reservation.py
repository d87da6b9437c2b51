"""A place in a rate: asked for, waited for, and corrected when it is known what was used."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from penstock_limits._rates.algorithms import PLAIN, Number
from penstock_limits._rates.queue import TaskTurn, ThreadTurn

if TYPE_CHECKING:
    from penstock_limits._rates.rate import RateLimiter

__all__ = ["CANCELLED", "NEW", "SETTLED", "WAITING", "Reservation"]

SETTLED: Final = -1  # in place of an amount that has been settled

NEW, WAITING, CANCELLED = 0, -1, -2  # states
_STATES: Final = {NEW: "new", WAITING: "waiting", CANCELLED: "cancelled"}


class Reservation:
    """What a rate admits one call for, taken with `await`, with `async with`, or with `with` in a thread.

    It is on its way from its admission until it is settled, cancelled, learnt from, or its block is left; what a
    provider says remains is less what is on its way. Made by `RateLimiter.reserve()`, for one call.
    """

    __slots__ = ("_amounts", "_rate", "_state", "_timeout", "_when")

    def __init__(self, rate: RateLimiter, amounts: list[Number], timeout: float | None) -> None:
        self._rate = rate
        self._amounts = amounts  # in the order of the rate's dimensions
        self._timeout = timeout
        self._when: float | None = None  # the time of its admission; None if it was not charged
        self._state = NEW  # or one of the others, or from 1 the number of its admission

    def __repr__(self) -> str:
        amounts = ", ".join(
            f"{float(amount):g} {name}"
            for name, amount in zip(self._rate._index, self._amounts, strict=True)
            if amount > 0
        )
        state = _STATES.get(self._state, "on its way" if self._state in self._rate._flying else "admitted")
        return f"<Reservation of {amounts or 'nothing'} on {self._rate.name!r}: {state}>"

    def __await__(self) -> Generator[Any, None, Self]:
        turn = self._rate._enter(self, TaskTurn)
        if turn is not None:
            yield from self._rate._wait(turn, self._timeout).__await__()
        return self

    async def __aenter__(self) -> Self:
        turn = self._rate._enter(self, TaskTurn)
        if turn is not None:
            await self._rate._wait(turn, self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._land()

    def __enter__(self) -> Self:
        turn = self._rate._enter(self, ThreadTurn)
        if turn is not None:
            self._rate._wait_in_thread(turn, self._timeout)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._land()

    def __del__(self) -> None:
        if self._state > NEW:
            self._rate._flying.pop(self._state, None)

    @property
    def rate(self) -> RateLimiter:
        """The rate that it is of."""
        return self._rate

    def settle(self, **amounts: float) -> None:
        """Say what was used; once for each dimension, whenever it is known.

        What was used less counts no more, as if it had never been reserved. What was used more counts from now on,
        and may exceed the rate: later callers wait the longer. What is never settled counts as it was reserved.

        Args:
            amounts: By dimension, how much was used; a second time for one of them is ignored.

        Raises:
            ConfigurationError: A dimension is unknown, or an amount is no number from 0.
            RuntimeError: It has not been admitted yet.
        """
        rate = self._rate
        for name in amounts:  # noqa: PLC0206 - half the price of items()
            amount = amounts[name]
            if type(amount) is not int or not 0 <= amount <= PLAIN or name not in rate._index:
                rate._index_of(name)
                amounts[name] = rate._number(name, amount)  # type: ignore[assignment]
        if self._state == NEW or self._state == WAITING:
            raise RuntimeError(f"{self!r} is settled before it was admitted: await it, or enter it, first")
        rate._do(rate._settle, self, amounts)

    def cancel(self) -> None:
        """Give back what is not settled yet, for a call that was never made; before admission it does nothing."""
        self._rate._do(self._rate._undo, self)

    def learn(self, headers: Mapping[str, str], *, now: float | None = None) -> None:
        """Learn from the headers of this call's response; see `RateLimiter.learn()`."""
        self._land()
        self._rate.learn(headers, now=now)

    def _land(self) -> None:
        """Take note that the call is on its way no more."""
        self._rate._flying.pop(self._state, None)
