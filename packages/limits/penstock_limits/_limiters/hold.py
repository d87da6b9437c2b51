"""Permits that are kept until what the caller got - a response, a stream - is closed."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from penstock_limits._limiters.limiter import Limiter

__all__ = ["Hold"]

T = TypeVar("T")

_CLOSERS = ("aclose", "close", "release")  # httpx, openai and files, aiohttp


class Hold:
    """Permits of a limiter, taken with `async with`, with `with` in a thread, or with `await`.

    Leaving the block gives them back, unless `until_closed()` was called in it. After `await`, `close()` does. Permits
    of a hold that nobody can reach any more are given back when it is collected. Made by `Limiter.hold()`.
    """

    __slots__ = ("__weakref__", "_handed_on", "_held", "_limiter", "_priority", "_timeout", "_weight")

    def __init__(self, limiter: Limiter, weight: int, priority: int, timeout: float | None) -> None:
        self._limiter = limiter
        self._weight = weight
        self._priority = priority
        self._timeout = timeout
        self._held: deque[None] = deque()  # has one entry while the permits are out; popping it is atomic
        self._handed_on = False

    def __repr__(self) -> str:
        return f"<Hold of {self._weight} on {self._limiter.name!r}: {'held' if self._held else 'not held'}>"

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        self._refuse_twice()
        await self._limiter._enter(self._weight, self._priority, self._timeout)
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit(error)

    def __enter__(self) -> Self:
        self._refuse_twice()
        self._limiter._enter_thread(self._weight, self._priority, self._timeout)
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit(error)

    def __del__(self) -> None:
        if self._held:  # in the collector: no lock may be waited for
            self._limiter._lose(functools.partial(_give_back, self._limiter, self._weight, self._held))

    def close(self) -> None:
        """Give the permits back; once, however often it is called."""
        _give_back(self._limiter, self._weight, self._held)

    def until_closed(self, stream: T) -> T:
        """Keep the permits until a stream or response is closed, is at its end, or is collected.

        Args:
            stream: Anything with `aclose`, `close` or `release`: what an HTTP client returns for a streamed response,
                a generator, an async generator.

        Returns:
            The stream to use from now on: itself, with these methods wrapped, or, for a generator, an iterator around
            it.

        Raises:
            TypeError: Nothing tells when it is closed; call `close()` yourself.
        """
        if inspect.isasyncgen(stream):
            followed: Any = _HeldAsyncIterator(stream, self._giver())
        elif inspect.isgenerator(stream):
            followed = _HeldIterator(stream, self._giver())
        else:
            followed = self._follow(stream)
        self._handed_on = True
        return followed  # type: ignore[no-any-return]

    def _follow(self, stream: T) -> T:
        closers = [name for name in _CLOSERS if callable(getattr(stream, name, None))]
        try:
            for name in closers:
                setattr(stream, name, _closing(getattr(stream, name), self._giver()))
            weakref.finalize(stream, _lose, self._limiter, self._weight, self._held).atexit = False
        except (AttributeError, TypeError):  # it takes no attributes, or no weak references
            closers = []
        if not closers:
            raise TypeError(f"nothing tells when {stream!r} is closed; call close() of the hold yourself")
        return stream

    def _giver(self) -> Callable[[], None]:
        """Return what gives these permits back, once, and keeps the hold alive until then."""
        held = self._held
        return lambda: _give_back(self._limiter, self._weight, held)

    def _exit(self, error: BaseException | None) -> None:
        if error is not None or not self._handed_on:
            self.close()

    def _begin(self) -> None:
        # A new one each time: a stream of an earlier use gives back what it was handed, and no more.
        self._held = deque((None,))
        self._handed_on = False

    def _refuse_twice(self) -> None:
        if self._held:
            raise RuntimeError(f"{self!r} is entered twice; ask for another with limiter.hold()")


def _give_back(limiter: Limiter, weight: int, held: deque[None]) -> None:
    try:
        held.pop()
    except IndexError:
        return
    limiter.release(weight)


def _lose(limiter: Limiter, weight: int, held: deque[None]) -> None:
    limiter._lose(functools.partial(_give_back, limiter, weight, held))


def _closing(close: Callable[..., Any], after: Callable[[], None]) -> Callable[..., Any]:
    """Wrap a method that closes, sync or async, so that the permits are given back after it.

    The wrapper will be an attribute of the method's own object, so it must not keep that alive.
    """
    method: Any = weakref.WeakMethod(close) if inspect.ismethod(close) else lambda: close

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            result = method()(*args, **kwargs)
        except BaseException:
            after()
            raise
        if inspect.isawaitable(result):
            return _awaited(result, after)
        after()
        return result

    return wrapped


async def _awaited(result: Awaitable[T], after: Callable[[], None]) -> T:
    try:
        return await result
    finally:
        after()


class _HeldAsyncIterator:
    """An async generator that gives permits back when it is at its end or is closed."""

    __slots__ = ("_generator", "_give_back")

    def __init__(self, generator: Any, give_back: Callable[[], None]) -> None:
        self._generator = generator
        self._give_back = give_back

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._generator.__anext__()
        except BaseException:  # after any of these a generator is at its end
            self._give_back()
            raise

    async def aclose(self) -> None:
        try:
            await self._generator.aclose()
        finally:
            self._give_back()


class _HeldIterator:
    """A generator that gives permits back when it is at its end or is closed."""

    __slots__ = ("_generator", "_give_back")

    def __init__(self, generator: Any, give_back: Callable[[], None]) -> None:
        self._generator = generator
        self._give_back = give_back

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._generator)
        except BaseException:  # as above
            self._give_back()
            raise

    def close(self) -> None:
        try:
            self._generator.close()
        finally:
            self._give_back()
