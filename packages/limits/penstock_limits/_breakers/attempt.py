"""One call through a circuit breaker: a context manager, made anew for each."""

from __future__ import annotations

from collections.abc import Awaitable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from penstock_limits._ready import READY

if TYPE_CHECKING:
    from penstock_limits._breakers.breaker import CircuitBreaker
    from penstock_limits._breakers.states import State

__all__ = ["ENDED", "FAILED", "IGNORED", "BreakerAttempt"]

FAILED: Final = "failed"
IGNORED: Final = "ignored"
ENDED: Final = "ended"


class BreakerAttempt:
    """One call through a breaker, with `async with` or `with`; made by `CircuitBreaker.attempt()`."""

    __slots__ = ("_began", "_breaker", "_said", "_state")

    # Set by attempt(), as an __init__ would cost half as much again.
    _breaker: CircuitBreaker
    _state: State | None  # in which it began
    _said: str | None  # what the caller says of it; that it has ended
    _began: float

    def __repr__(self) -> str:
        stage = "not begun" if self._state is None else self._said or "under way"
        return f"<BreakerAttempt of {self._breaker.name!r}: {stage}>"

    # The way through a breaker that has nothing to decide stands here four times, as each call more would cost a tenth.

    async def __aenter__(self) -> Self:
        """Begin the call; this never waits.

        Raises:
            CircuitOpenError: The breaker refuses it.
        """
        state = self._breaker._calm
        if state is None or self._state is not None:
            state = self._breaker._begin(self)
        self._state = state
        return self

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Awaitable[None]:
        """Take note of how the call ended; this never waits."""
        breaker = self._breaker
        state = breaker._calm
        if error is None and self._said is None and state is not None and state is self._state:
            self._said = ENDED
            ticket = next(state.tickets)
            if state is not breaker._calm:
                breaker._note_late(state, ticket)
        else:
            breaker._end(self, error)
        return READY  # type: ignore[no-any-return]

    def __enter__(self) -> Self:
        """Begin the call; this never waits, so coroutines may use it, too.

        Raises:
            CircuitOpenError: The breaker refuses it.
        """
        state = self._breaker._calm
        if state is None or self._state is not None:
            state = self._breaker._begin(self)
        self._state = state
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take note of how the call ended; this never waits."""
        breaker = self._breaker
        state = breaker._calm
        if error is None and self._said is None and state is not None and state is self._state:
            self._said = ENDED
            ticket = next(state.tickets)
            if state is not breaker._calm:
                breaker._note_late(state, ticket)
        else:
            breaker._end(self, error)

    def failed(self) -> None:
        """Let the call count as a failure, whatever it raises: a response 503 is one, but no exception.

        Raises:
            RuntimeError: The call has not begun, or has ended.
        """
        self._say(FAILED)

    def ignored(self) -> None:
        """Let the call count as nothing, whatever it raises: it says nothing about the service.

        Raises:
            RuntimeError: The call has not begun, or has ended.
        """
        self._say(IGNORED)

    def _say(self, what: str) -> None:
        if self._state is None or self._said is ENDED:
            raise RuntimeError(f"{self!r} cannot be {what}: say so inside its `with` block")
        self._said = what
