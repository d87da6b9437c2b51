"""What `gather` returns when it limits: a Future with asyncio.gather's semantics, whose coroutines wait to start."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from typing import Any

from penstock_limits._errors import QueueFullError
from penstock_limits._fanout.admission import Admission, ChildDone, FanOut
from penstock_limits._fanout.lending import Permit, current_permit

__all__ = ["Gathered", "gather_bounded"]

Gathered = asyncio.Future[list[Any]]


class _GatheringFuture(asyncio.Future[list[Any]]):
    """The Future that `gather` returns; cancelling it cancels the children."""

    def __init__(self, gathering: _Gathering, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._gathering = gathering

    def cancel(self, msg: Any | None = None) -> bool:
        return not self.done() and self._gathering.cancel(msg)


class _Gathering:
    """The children of one call: coroutines that wait, tasks that run, futures that were given."""

    __slots__ = (
        "_admission",
        "_cancelled",
        "_children",
        "_context",
        "_keeper",
        "_pending",
        "_places",
        "_return_exceptions",
        "_unfinished",
        "loop",
        "outer",
    )

    def __init__(self, children: _Children, admit: Callable[[FanOut], Admission], *, return_exceptions: bool) -> None:
        self.loop = children.loop
        self.outer = _GatheringFuture(self, children.loop)
        self._children = children.futures  # None: not started, or closed before it started
        self._pending = children.pending
        self._places = children.places
        self._unfinished = len(children.futures)
        self._return_exceptions = return_exceptions
        self._context = copy_context()
        self._cancelled: asyncio.CancelledError | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._admission = admit(self)

    def begin(self) -> None:
        """Start what may start; the outer future fails if the rest may not even queue."""
        given = [child for child in self._children if child is not None]
        try:
            self._admission.fill()
        except QueueFullError as error:
            self._refuse(error, given)
        if self._pending:
            self._keep()
        for future in given:
            if future.done() and sys.version_info >= (3, 12):  # as asyncio does from then on
                self.record(future)
            else:
                future.add_done_callback(self.record)

    # --- what admission needs

    def wants(self) -> bool:
        if not self._pending:
            return False
        # At shutdown keeper and children are cancelled together; no child may take the place of one that ended first.
        return self._keeper is None or not self._keeper.cancelling()

    def start(self, done: ChildDone, permit: Permit | None) -> None:
        number, coroutine = self._pending.popleft()
        context = self._context.copy()
        if permit is not None:
            context.run(current_permit.set, permit)
        try:
            child: asyncio.Future[Any] = context.run(
                self.loop.create_task, coroutine
            )  # a task factory may not know context=
            _silence(child)
        except Exception as error:  # noqa: BLE001 - the task factory's; too late to raise it from the call
            child = self._failed(coroutine, error)
        self._children[number] = child
        child.add_done_callback(done)
        if self._keeper is not None and not self._pending:
            self._keeper.cancel()

    def record(self, child: asyncio.Future[Any]) -> None:
        self._unfinished -= 1
        if self.outer.done():
            if not child.cancelled():
                child.exception()  # marks it as retrieved
        elif not self._return_exceptions:
            error = _cancellation(child) if child.cancelled() else child.exception()
            if error is not None:
                self.outer.set_exception(error)
        if not self._unfinished:
            self._finish()

    def _failed(self, coroutine: Coroutine[Any, Any, Any], error: Exception) -> asyncio.Future[Any]:
        coroutine.close()
        failed: asyncio.Future[Any] = self.loop.create_future()
        failed.set_exception(error)
        return failed

    # --- the end

    def cancel(self, message: Any | None) -> bool:
        cancelled = self._close_pending()
        for child in self._children:
            if child is not None and child.cancel(msg=message):
                cancelled = True
        if cancelled:
            self._cancelled = asyncio.CancelledError() if message is None else asyncio.CancelledError(message)
        return cancelled

    def _refuse(self, error: QueueFullError, given: list[asyncio.Future[Any]]) -> None:
        """Fail; children that were let in before the queue was found full are cancelled before their first step."""
        self.outer.set_exception(error)
        self._close_pending()
        kept = set(map(id, given))
        for child in self._children:
            if child is not None and id(child) not in kept:
                child.cancel()

    def _close_pending(self) -> bool:
        """Close the coroutines that have not started; they count as cancelled one turn of the loop later."""
        pending, self._pending = self._pending, deque()
        if not pending:
            return False
        for _, coroutine in pending:
            coroutine.close()
        self._admission.leave()
        self.loop.call_soon(self._count_closed, len(pending))
        if self._keeper is not None:
            self._keeper.cancel()
        return True

    def _count_closed(self, number: int) -> None:
        self._unfinished -= number
        if not self._return_exceptions and not self.outer.done():
            self.outer.set_exception(self._cancelled or asyncio.CancelledError())
        if not self._unfinished:
            self._finish()

    def _finish(self) -> None:
        if self.outer.done():
            pass
        elif self._cancelled is not None:
            self.outer.set_exception(self._cancelled)
        else:
            results = [_outcome(child) for child in self._children]
            self.outer.set_result([results[place] for place in self._places])
        del self.outer._gathering, self._admission  # or only the collector could free the results

    # --- shutdown

    def _keep(self) -> None:
        """Stand for the coroutines that wait with one task, so that `asyncio.run` cancels them too when it ends."""
        self._keeper = self.loop.create_task(_wait_for_ever(self.loop))
        _silence(self._keeper)
        self._keeper.add_done_callback(lambda _: self._close_pending())


class _Children:
    """The arguments of one call, each object once, in the order of their first appearance."""

    def __init__(self, aws: tuple[Awaitable[Any], ...]) -> None:
        self.futures: list[asyncio.Future[Any] | None] = []
        self.pending: deque[tuple[int, Coroutine[Any, Any, Any]]] = deque()
        self.places: list[int] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wrappers: list[Coroutine[Any, Any, Any]] = []
        numbers: dict[Awaitable[Any], int] = {}
        try:
            for awaitable in aws:
                number = numbers.setdefault(awaitable, len(numbers))
                if number == len(self.futures):
                    self._add(awaitable, number)
                self.places.append(number)
        except BaseException:
            for wrapper in self._wrappers:
                wrapper.close()
            raise

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._loop or asyncio.get_event_loop()

    def _add(self, awaitable: Awaitable[Any], number: int) -> None:
        if asyncio.isfuture(awaitable):
            loop = awaitable.get_loop()
            if self._loop is None and number == 0:
                self._loop = loop
            if self.loop is not loop:
                raise ValueError
            self.futures.append(awaitable)
            return
        if asyncio.iscoroutine(awaitable):
            self.pending.append((number, awaitable))
        elif inspect.isawaitable(awaitable):
            self._wrappers.append(_await(awaitable))
            self.pending.append((number, self._wrappers[-1]))
        else:
            raise TypeError
        if self._loop is None:
            self._loop = asyncio.get_event_loop()
        self.futures.append(None)


def gather_bounded(
    aws: tuple[Awaitable[Any], ...], admit: Callable[[FanOut], Admission], *, return_exceptions: bool
) -> Gathered:
    """Gather, letting coroutines in by an admission; futures and tasks pass through, uncounted."""
    try:
        children = _Children(aws)
    except (TypeError, ValueError):  # asyncio says what is wrong, as ever
        return asyncio.gather(*aws, return_exceptions=return_exceptions)  # penstock: ignore[PEN101] the drop-in itself
    if not aws:
        return asyncio.gather(return_exceptions=return_exceptions)
    gathering = _Gathering(children, admit, return_exceptions=return_exceptions)
    gathering.begin()
    return gathering.outer


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _wait_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    await loop.create_future()


def _silence(task: asyncio.Future[Any]) -> None:
    """The outer future answers for its children, as in asyncio: a forgotten one is reported once."""
    try:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    except AttributeError:  # a task class of somebody's own
        return


def _cancellation(child: asyncio.Future[Any]) -> asyncio.CancelledError:
    try:
        child.result()
    except asyncio.CancelledError as error:
        return error
    raise AssertionError(child)


def _outcome(child: asyncio.Future[Any] | None) -> Any:
    if child is None:
        return asyncio.CancelledError("")
    if child.cancelled():
        message = getattr(child, "_cancel_message", None)
        return asyncio.CancelledError("" if message is None else message)
    error = child.exception()
    return child.result() if error is None else error
