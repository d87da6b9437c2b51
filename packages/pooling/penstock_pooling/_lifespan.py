"""The life of a program's resources: opened in order, closed in reverse, in bounded time, whatever ends the program."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import MappingProxyType, TracebackType
from typing import Any

from penstock_limits import ConfigurationError, emit

__all__ = ["Lifespan", "lifespan"]

logger = logging.getLogger("penstock.pooling")

Resource = AbstractAsyncContextManager[Any] | Callable[[], AbstractAsyncContextManager[Any]]


def lifespan(
    resources: Mapping[str, Resource],
    *,
    close_timeout: float = 10.0,
    signals: Iterable[int] = (signal.SIGTERM, signal.SIGINT),
) -> Lifespan:
    """Return the life of some resources, for `async with`, or for `Starlette(lifespan=...)` and FastAPI.

    They are opened one after the other, and closed in reverse order. Each has a task of its own, in which it is opened
    and closed, and learns what the block has raised. All closing together takes no longer than `close_timeout`; what is
    not done by then is cancelled, named in the log and by the event `lifespan.not_closed`, and left.

    With `async with`, a signal cancels the block, everything is closed, and then the signal does what it would have
    done without. A second signal does so at once. In Starlette and FastAPI signals are the server's.

    Args:
        resources: By name, what is opened: an async context manager, or a function that makes one, for what can be
            opened only once. In Starlette what they give is `request.state.NAME`.
        close_timeout: Seconds that closing may take in all.
        signals: What stops a program; those that are ignored stay so. None are handled outside of the main thread.

    Raises:
        ConfigurationError: A value is wrong.
    """
    if not isinstance(close_timeout, (int, float)) or isinstance(close_timeout, bool) or not close_timeout > 0:
        raise ConfigurationError(f"lifespan: close_timeout = {close_timeout!r}; allowed are seconds above 0")
    for name, resource in resources.items():
        if not isinstance(resource, AbstractAsyncContextManager) and not callable(resource):
            raise ConfigurationError(
                f"lifespan: {name} = {resource!r}; allowed is an async context manager, or a function that makes one"
            )
    return Lifespan(dict(resources), close_timeout, tuple(signals))


class Lifespan:
    """The life of some resources. Made by `lifespan()`."""

    def __init__(self, resources: dict[str, Resource], close_timeout: float, signals: tuple[int, ...]) -> None:
        self._resources = resources
        self._close_timeout = close_timeout
        self._signals = signals
        self._entered: tuple[Opened, Signals] | None = None

    def __repr__(self) -> str:
        return f"<Lifespan of {', '.join(self._resources) or 'nothing'}>"

    @asynccontextmanager
    async def __call__(self, app: object) -> AsyncIterator[dict[str, Any]]:  # noqa: ARG002 - what Starlette gives
        """Open everything for an application of Starlette or FastAPI, and close it when the application ends."""
        opened = Opened(self._close_timeout)
        await opened.open(self._resources)
        try:
            yield dict(opened.values)
        except BaseException as error:
            await opened.close(error)
            raise
        await opened.close(None)

    async def __aenter__(self) -> Mapping[str, Any]:
        """Open everything; return it by name.

        Raises:
            RuntimeError: It is open already.
        """
        if self._entered is not None:
            raise RuntimeError(f"{self!r} is open already")
        signals = Signals(asyncio.current_task())
        self._entered = Opened(self._close_timeout), signals
        signals.catch(self._signals)
        try:
            await self._entered[0].open(self._resources)
        except BaseException:
            self._entered = None
            signals.done()
            raise
        return MappingProxyType(self._entered[0].values)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close everything.

        Raises:
            Exception: What closing has raised, if the block has not; an ExceptionGroup if there are several.
        """
        assert self._entered is not None
        (opened, signals), self._entered = self._entered, None
        try:
            await opened.close(error)
        finally:
            signals.done()


class Opened:
    """What has been opened so far."""

    def __init__(self, close_timeout: float) -> None:
        self.values: dict[str, Any] = {}
        self._close_timeout = close_timeout
        self._keepers: list[Keeper] = []
        self._cancelled = False  # while it closed them

    async def open(self, resources: Mapping[str, Resource]) -> None:
        """Open resources in order; if one fails, close those before it."""
        try:
            for name, resource in resources.items():
                keeper = Keeper(name, resource)
                self._keepers.append(keeper)
                self.values[name] = await keeper.open()
        except BaseException as error:
            await self.close(error)
            raise

    async def close(self, error: BaseException | None) -> None:
        """Close all in reverse order, each in its share of the time that is left.

        Args:
            error: Why; if there is a reason, what closing raises is logged, so that it does not hide that.
        """
        traceback = None if error is None else error.__traceback__
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._close_timeout
        late, errors = [], []
        while self._keepers:
            share = (deadline - loop.time()) / len(self._keepers)
            keeper = self._keepers.pop()
            if not await self._ends(keeper.begin_closing(error), share):
                late.append(keeper.name)
                await self._ends(keeper.cancel(), 0)
            if keeper.error is not None:
                errors.append(keeper.error)
        if error is not None:
            error.__traceback__ = traceback  # without the resources' own
        self._tell(late, errors, error)

    async def _ends(self, task: asyncio.Task[None], seconds: float) -> bool:
        """Wait for a task; a caller that is cancelled meanwhile waits on, as it has to close the others."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            try:
                await asyncio.wait([task], timeout=max(0.0, deadline - loop.time()))
            except asyncio.CancelledError:
                self._cancelled = True
            if task.done() or loop.time() >= deadline:
                return task.done()

    def _tell(self, late: list[str], errors: list[Exception], error: BaseException | None) -> None:
        if late:
            emit("lifespan.not_closed", ", ".join(late), seconds=self._close_timeout)
            logger.error("not closed within %g s, and left: %s", self._close_timeout, ", ".join(late))
        if error is not None or self._cancelled:
            for each in errors:
                logger.error("a resource failed to close", exc_info=each)
            if self._cancelled and not isinstance(error, asyncio.CancelledError):
                raise asyncio.CancelledError
        elif errors:
            raise errors[0] if len(errors) == 1 else ExceptionGroup("several resources failed to close", errors)


class Keeper:
    """Keeps one resource open, in a task of its own: it may be opened and closed in no other, and can be left there.

    Attributes:
        name: What people know it by.
        error: What closing it has raised.
    """

    def __init__(self, name: str, resource: Resource) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.error: Exception | None = None
        self._resource = resource
        self._opened: asyncio.Future[Any] = loop.create_future()
        self._closing: asyncio.Future[BaseException | None] = loop.create_future()
        self._task = loop.create_task(self._keep(), name=f"lifespan of {name}")

    async def open(self) -> Any:
        """Wait until it is open, and return what it gives."""
        await asyncio.wait([self._task, self._opened], return_when=asyncio.FIRST_COMPLETED)
        return await (self._opened if self._opened.done() else self._task)

    def begin_closing(self, error: BaseException | None) -> asyncio.Task[None]:
        """Close it; return the task that does."""
        self._closing.set_result(error)
        return self._task if self._opened.done() else self.cancel()  # it is still being opened

    def cancel(self) -> asyncio.Task[None]:
        """Cancel whatever it does."""
        self._task.cancel()
        return self._task

    async def _keep(self) -> None:
        reason: BaseException | None = None
        try:
            async with self._made() as value:
                self._opened.set_result(value)
                reason = await self._closing
                if reason is not None:
                    raise reason
        except BaseException as error:
            if not self._opened.done():
                raise
            if error is not reason and isinstance(error, Exception):
                self.error = error

    def _made(self) -> AbstractAsyncContextManager[Any]:
        return self._resource if isinstance(self._resource, AbstractAsyncContextManager) else self._resource()


class Signals:
    """Lets a signal cancel a task, once, and then take its usual effect.

    Args:
        task: The task.
    """

    def __init__(self, task: asyncio.Task[Any] | None) -> None:
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._usual: dict[int, Any] = {}
        self._caught: int | None = None
        self._cancelled = self._over = False

    def catch(self, signals: Iterable[int]) -> None:
        """Catch signals from now on."""
        if threading.current_thread() is not threading.main_thread():
            return
        for each in signals:
            if signal.getsignal(each) not in (signal.SIG_IGN, None):
                self._usual[each] = signal.signal(each, self._note)

    def done(self) -> None:
        """Catch none any more; let one that was caught take its usual effect."""
        self._over = True
        self._restore()
        if self._cancelled and self._task is not None:
            self._task.uncancel()
        if self._caught is not None:
            signal.raise_signal(self._caught)

    def _note(self, number: int, frame: object) -> None:  # noqa: ARG002 - what a handler is given
        self._restore()  # so that the next one takes effect at once
        self._caught = number
        self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._task is not None and not self._over:
            self._cancelled = self._task.cancel()

    def _restore(self) -> None:
        while self._usual:
            signal.signal(*self._usual.popitem())
