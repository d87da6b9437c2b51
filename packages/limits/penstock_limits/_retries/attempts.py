"""The attempts of one call, and the loop around a block that makes them."""

from __future__ import annotations

import asyncio
from asyncio import Task
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from penstock_limits._timeouts import Begun, Watch, no_task

if TYPE_CHECKING:
    from penstock_limits._retries.retry import Retry

__all__ = ["Attempt", "Call", "TaskAttempts", "ThreadAttempts"]


class Call:
    """What is known of a call that has failed; used by one task or thread only.

    Args:
        began: When it began.
        now: Says the time.
        task: The task that makes it; None if a thread does.
        cancelling: How often the task had been cancelled before.

    Attributes:
        attempts: How many attempts have failed.
        delay: Seconds until the next.
        error: What the latest has failed with, as long as there is to be another.
        late: Whether it was ended as its time was over; then its error is to be raised.
    """

    __slots__ = ("_cancelling", "attempts", "began", "delay", "error", "late", "now", "task")

    def __init__(
        self, began: float, now: Callable[[], float], task: Task[Any] | None = None, cancelling: int = 0
    ) -> None:
        self.began = began
        self.now = now
        self.task = task
        self._cancelling = cancelling
        self.attempts = 0
        self.delay = 0.0
        self.error: Exception | None = None
        self.late = False

    @classmethod
    def of(cls, begun: Begun, now: Callable[[], float]) -> Self:
        """Return a call that a `Watch` has seen begin."""
        task, cancelling, began = begun
        return cls(began, now, task, cancelling)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self.now() - self.began

    @property
    def cancelled(self) -> bool:
        """Whether it has been cancelled, whatever its function has made of that."""
        return self.task is not None and self.task.cancelling() > self._cancelling

    def take_error(self) -> Exception:
        """Return its error to be raised, and forget it: its traceback leads back here."""
        error, self.error = self.error, None
        assert error is not None
        return error


class Attempt:
    """One attempt: `with attempt:`, or `async with`, around what may fail. Made by a loop over a `Retry`.

    Attributes:
        number: Which attempt it is, from 1.
    """

    __slots__ = ("_attempts", "number")

    def __init__(self, attempts: _Attempts, number: int) -> None:
        self._attempts = attempts
        self.number = number

    def __repr__(self) -> str:
        return f"<Attempt {self.number} of {self._attempts.retry.name!r}>"

    def __enter__(self) -> Self:
        """Begin it.

        Raises:
            RuntimeError: It has begun before, or is not the latest of its loop.
        """
        self._attempts.enter(self.number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End it; an error that is followed by another attempt goes no further."""
        return self._attempts.leave(error)

    async def __aenter__(self) -> Self:
        """Begin it; this never waits."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End it; this never waits, the loop does."""
        return self.__exit__(kind, error, traceback)


class _Attempts:
    """The attempts of one loop over a `Retry`; every loop has its own."""

    __slots__ = ("_call", "_stage", "retry")

    def __init__(self, retry: Retry, call: Call) -> None:
        retry._count()
        self.retry = retry
        self._call = call
        self._stage: Literal["to come", "offered", "running", "over"] = "to come"

    def enter(self, number: int) -> None:
        if self._stage != "offered" or number != self._call.attempts + 1:
            raise RuntimeError(f"attempt {number} of retry {self.retry.name!r} is over: take the next from the loop")
        self._stage = "running"

    def leave(self, error: BaseException | None) -> bool:
        self._stage = "over"
        going_on = error is not None and self._goes_on(error)
        if going_on:
            self._stage = "to come"
        else:
            self._call.error = None
        return going_on

    def _goes_on(self, error: BaseException) -> bool:
        return isinstance(error, Exception) and self.retry._failed(self._call, error)

    def _is_over(self) -> bool:
        """Tell whether there is no other attempt.

        Raises:
            RuntimeError: The block was not made an attempt.
            Exception: What the call failed with, if its time is over.
        """
        if self._stage in {"offered", "running"}:
            raise RuntimeError(f"enter each attempt of retry {self.retry.name!r}: `with attempt:` around what may fail")
        stage, self._stage = self._stage, "over"
        if self._call.late and stage != "over":
            raise self._call.take_error()
        return stage == "over"

    def _offered(self) -> Attempt:
        self.retry._check_late(self._call)
        self._stage = "offered"
        return Attempt(self, self._call.attempts + 1)


class ThreadAttempts(_Attempts):
    """The attempts of a `for` loop."""

    __slots__ = ()

    def __init__(self, retry: Retry) -> None:
        super().__init__(retry, Call(retry._clock(), retry._clock))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Attempt:
        if self._is_over():
            raise StopIteration
        if self._call.attempts:
            self.retry._sleep(self._call.delay)
        return self._offered()


class TaskAttempts(_Attempts):
    """The attempts of an `async for` loop."""

    __slots__ = ("_loop", "_watch")

    _watch: Watch

    def __init__(self, retry: Retry) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task() or no_task()
        super().__init__(retry, Call(self._loop.time(), self._loop.time, task, task.cancelling()))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        if self._is_over():
            raise StopAsyncIteration
        if self._call.attempts:
            await asyncio.sleep(self._call.delay)
        return self._offered()

    def enter(self, number: int) -> None:
        super().enter(number)
        left = self.retry._total_timeout - self._call.seconds
        self._watch = Watch(self._loop, left, self.retry._ends_late)
        self._watch.start(number, asyncio.current_task() or no_task())

    def leave(self, error: BaseException | None) -> bool:
        try:
            if error is None:
                self._watch.leave(self._call.attempts + 1)
            return super().leave(error)
        finally:
            self._watch.close()

    def _goes_on(self, error: BaseException) -> bool:
        # The attempt's own watch: unlike that of a call, it does not go on to the next.
        number = self._call.attempts + 1
        going_on = self.retry._goes_on(self._call, self._watch, number, error)
        if going_on and not self._call.late:
            self._watch.leave(number)
        return going_on
