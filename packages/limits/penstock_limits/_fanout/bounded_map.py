"""`bounded_map`: apply a coroutine function to any number of items, with little memory and at most so many at once."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from itertools import repeat
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, overload

from penstock_limits._errors import ConfigurationError
from penstock_limits._fanout.admission import Admission, FanOut, OwnAdmission, SharedAdmission
from penstock_limits._fanout.map_run import MapOptions, MapRun
from penstock_limits._names import Limit, limiter, limiter_for, own_limit

__all__ = ["BoundedMap", "bounded_map"]

T = TypeVar("T")
R = TypeVar("R")


class BoundedMap(AsyncIterator[R], Generic[R]):
    """The results of `bounded_map`, and the context manager that ends it."""

    __slots__ = ("_run",)

    def __init__(self, run: MapRun) -> None:
        self._run = run

    def __anext__(self) -> Coroutine[Any, Any, R]:
        return self._run.next(self)

    async def __aenter__(self) -> Self:
        self._run.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel what runs, await its end, and close the input; afterwards there are no more results."""
        await self._run.close()

    def __del__(self) -> None:
        # `break` without `async with`: nothing may go on for nobody. The collector may call this in any thread.
        run = self._run
        if run.abandonable:
            run.loop.call_soon_threadsafe(run.abandon)


@overload
def bounded_map(
    fn: Callable[[T], Awaitable[R]],
    iterable: Iterable[T] | AsyncIterable[T],
    *,
    limit: Limit,
    ordered: bool = True,
    isolate: bool = True,
    on_error: Literal["raise"] = "raise",
) -> BoundedMap[R]: ...


@overload
def bounded_map(
    fn: Callable[[T], Awaitable[R]],
    iterable: Iterable[T] | AsyncIterable[T],
    *,
    limit: Limit,
    ordered: bool = True,
    isolate: bool = True,
    on_error: Literal["return"],
) -> BoundedMap[R | Exception]: ...


def bounded_map(
    fn: Callable[[Any], Awaitable[Any]],
    iterable: Iterable[Any] | AsyncIterable[Any],
    *,
    limit: Limit,
    ordered: bool = True,
    isolate: bool = True,
    on_error: Literal["raise", "return"] = "raise",
) -> BoundedMap[Any]:
    """Apply a coroutine function to every item, at most `limit` at once; iterate over the results.

    The input is read only as fast as results are taken: items that run, or are finished and not yet yielded, never
    exceed twice the limit, so memory stays O(limit) for any number of items. Use it as a context manager if the loop
    over it may end early: leaving cancels and awaits what runs and closes the input.

    Like `gather`, a call inside a child of the same limiter runs on that child's permit, so nesting never deadlocks.

    Args:
        fn: Called with each item; returns an awaitable.
        iterable: The items; a generator or an async generator is closed at the end.
        limit: A whole number from 1, for this call alone; or a name or a Limiter, shared. In the modes off and observe
            a shared limit does not hold back, but the window of twice the limit remains.
        ordered: Whether results come in the order of the items; else as they finish.
        isolate: Whether each item runs in a task of its own, so that context variables never pass from item to item.
            False runs items in a pool of workers, which is cheaper.
        on_error: `raise` the first exception and cancel the others, or `return` exceptions as results.

    Returns:
        An async iterator and async context manager.

    Raises:
        ConfigurationError: `limit` or `on_error` is none of these.
        UnknownLimitError: No limit has this name, and the mode is `enforce`.
        QueueFullError: Raised by the first step of the iteration if the limiter's queue is full.
    """
    if on_error not in ("raise", "return"):
        raise ConfigurationError(f"on_error = {on_error!r}; allowed are 'raise' and 'return'")
    admit, window = _admission(limit)
    options = MapOptions(window=window, ordered=ordered, isolate=isolate, return_errors=on_error == "return")
    return BoundedMap(MapRun(fn, iterable, options, admit))


def _admission(limit: Limit) -> tuple[Callable[[FanOut], Admission], Callable[[], int]]:
    number = own_limit(limit)
    if number is not None:
        return lambda fan_out: OwnAdmission(fan_out, number), repeat(2 * number).__next__  # asked for each item
    shared = limiter_for(limit) or limiter("default")
    return lambda fan_out: SharedAdmission(fan_out, shared), lambda: 2 * max(1, shared.max_running)
