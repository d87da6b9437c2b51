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

    A resource that ends before the block, as a task group does one of whose tasks has failed, cancels the block; when
    everything is closed, its error is raised. A server is not stopped by that: the error is logged at once, and raised
    at the end. The event `lifespan.ended_early` names the resource.

    Args:
        resources: By name, what is opened: an async context manager, or a function that makes one, for what can be
            opened only once. In Starlette what they give is `request.state.NAME`.
        close_timeout: Seconds that closing may take in all.
        signals: What stops a program; those that are ignored stay so, and so do those that the event loop handles
            (`loop.add_signal_handler`). None are handled outside of the main thread.

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
        opened = Opened(self._close_timeout, interrupts=False)
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
        self._entered = Opened(self._close_timeout, interrupts=True), signals
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
            RuntimeError: A resource was cancelled, and has raised nothing.
        """
        assert self._entered is not None
        (opened, signals), self._entered = self._entered, None
        try:
            await opened.close(error)
        finally:
            signals.done()


class Opened:
    """What has been opened so far.

    Args:
        close_timeout: Seconds that closing may take.
        interrupts: Whether a resource that ends early cancels the current task, whose block this is.
    """

    def __init__(self, close_timeout: float, *, interrupts: bool) -> None:
        self.values: dict[str, Any] = {}
        self._close_timeout = close_timeout
        self._keepers: list[Keeper] = []
        self._cancelled = False  # while it closed them
        self._closes = False
        self._early: list[str] = []
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()  # by others, before
        self._may_interrupt = interrupts
        self._interrupted = False

    async def open(self, resources: Mapping[str, Resource]) -> None:
        """Open resources in order; if one fails, close those before it."""
        try:
            for name, resource in resources.items():
                keeper = Keeper(name, resource, self._ends_early)
                self._keepers.append(keeper)
                self.values[name] = await keeper.open()
        except BaseException as error:
            await self.close(error)
            raise

    async def close(self, error: BaseException | None) -> None:
        """Close all in reverse order, each in its share of the time that is left.

        What is late is cancelled, and may use what the others have left of the time.

        Args:
            error: Why; if there is a reason, what closing raises is logged, so that it does not hide that.
        """
        traceback = None if error is None else error.__traceback__
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._close_timeout
        self._closes = True
        closed, late = [*reversed(self._keepers)], []
        while self._keepers:
            share = (deadline - loop.time()) / len(self._keepers)
            keeper = self._keepers.pop()
            if not await self._ends(keeper.begin_closing(error), share):
                late.append(keeper)
                await self._ends(keeper.cancel(), 0)
        for keeper in late:
            if not await self._ends(keeper.task, deadline - loop.time()):
                keeper.leave()
        if error is not None:
            error.__traceback__ = traceback  # without the resources' own
        errors = [keeper.error for keeper in closed if keeper.error is not None]
        self._tell([keeper.name for keeper in late], errors, error)

    def _ends_early(self, name: str) -> bool:
        """Cancel the block, as a resource is about to end before it; tell whether all is closed soon."""
        if self._closes:
            return True
        if name not in self._early:
            self._early.append(name)
            emit("lifespan.ended_early", name)
        if self._may_interrupt and not self._interrupted:
            self._interrupted = self._task.cancel()
        return not self._task.done() and self._task.cancelling() > self._cancelling

    def _without_own(self, error: BaseException | None) -> BaseException | None:
        """Take the cancellation for an early end back; return why the block was left, but for that."""
        if not self._interrupted:
            return error
        self._interrupted = False
        if self._task.uncancel() > self._cancelling:  # others have cancelled it, too
            return error
        self._cancelled = False
        return None if isinstance(error, asyncio.CancelledError) else error

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
            logger.error("not closed within %g s, and cancelled: %s", self._close_timeout, ", ".join(late))
        if self._early and not errors:
            early = ", ".join(self._early)
            errors = [RuntimeError(f"lifespan: {early} ended before the block did: somebody has cancelled its task")]
        error = self._without_own(error)
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
        task: Opens it, waits, closes it.

    Args:
        name: What people know it by.
        resource: What it opens.
        ends_early: Called when it is cancelled while it is open; says whether all is closed soon.
    """

    def __init__(self, name: str, resource: Resource, ends_early: Callable[[str], bool]) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.error: Exception | None = None
        self._resource = resource
        self._ends_early = ends_early
        self._opened: asyncio.Future[Any] = loop.create_future()
        self._closing: asyncio.Future[BaseException | None] = loop.create_future()
        self.task = loop.create_task(self._keep(), name=f"lifespan of {name}")

    async def open(self) -> Any:
        """Wait until it is open, and return what it gives."""
        await asyncio.wait([self.task, self._opened], return_when=asyncio.FIRST_COMPLETED)
        return await (self._opened if self._opened.done() else self.task)

    def begin_closing(self, error: BaseException | None) -> asyncio.Task[None]:
        """Close it; return the task that does."""
        if not self._closing.done():
            self._closing.set_result(error)
        return self.task if self._opened.done() else self.cancel()  # it is still being opened

    def cancel(self) -> asyncio.Task[None]:
        """Cancel whatever it does."""
        self.task.cancel()
        return self.task

    def leave(self) -> None:
        """Let nobody wait for it: `asyncio.run` would, for ever."""
        asyncio.tasks._unregister_task(self.task)

    async def _keep(self) -> None:
        reason: BaseException | None = None
        try:
            async with self._made() as value:
                self._opened.set_result(value)
                reason = await self._until_closing()
                if reason is not None:
                    raise reason
        except BaseException as error:
            if not self._opened.done():
                raise
            if error is not reason and isinstance(error, Exception):
                self.error = error
        if not self._closing.done():
            logger.error("%s has ended, before the program did", self.name, exc_info=self.error)

    async def _until_closing(self) -> BaseException | None:
        """Wait until it is to be closed, and return why.

        Raises:
            CancelledError: It was cancelled, by others or by what it keeps, as a task group does. If everything is
                closed for that, it is not told before it is its turn: what was opened before it outlives it, and what
                was opened after it does not.
        """
        cancelled: asyncio.CancelledError | None = None
        while not self._closing.done():
            try:
                await asyncio.wait([self._closing])
            except asyncio.CancelledError as error:
                if not self._ends_early(self.name):
                    raise
                cancelled = error
        reason = self._closing.result()
        if cancelled is not None and not isinstance(reason, Exception):
            raise cancelled
        return reason

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
            usual = signal.getsignal(each)
            if usual not in (signal.SIG_IGN, None) and not _is_the_loops(usual):
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


def _is_the_loops(handler: object) -> bool:
    """Tell whether an event loop handles a signal: it has put a function there that does nothing, or its own method."""
    is_asyncios = getattr(handler, "__name__", None) == "_sighandler_noop"
    return is_asyncios or isinstance(getattr(handler, "__self__", None), asyncio.AbstractEventLoop)
