"""The engine of `bounded_map`: a window over the input, from which children start and results leave."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from types import CoroutineType
from typing import Any, Final

from penstock_limits._fanout.admission import Admission, ChildDone, FanOut
from penstock_limits._fanout.lending import Permit, current_permit

__all__ = ["MapOptions", "MapRun"]

_EMPTY: Final = object()


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How a map behaves.

    Attributes:
        window: Tells how many items may run, or be finished and not yet yielded.
        ordered: Whether results leave in the order of the input.
        isolate: Whether each item has a task, and so context variables, of its own.
        return_errors: Whether exceptions are results.
    """

    window: Callable[[], int]
    ordered: bool
    isolate: bool
    return_errors: bool


class MapRun:
    """One run over one input. `next()` gives the results; `close()` ends it early."""

    __slots__ = (
        "_admission",
        "_admit",
        "_asynchronous",
        "_buffer",
        "_cells",
        "_closed",
        "_context",
        "_error",
        "_exhausted",
        "_failing",
        "_full",
        "_function",
        "_in_flight",
        "_items",
        "_options",
        "_reader",
        "_running",
        "_sleepers",
        "_source",
        "_stepping",
        "_taken",
        "_window",
        "loop",
    )

    def __init__(
        self,
        function: Callable[[Any], Awaitable[Any]],
        source: Iterable[Any] | AsyncIterable[Any],
        options: MapOptions,
        admit: Callable[[FanOut], Admission],
    ) -> None:
        self.loop: asyncio.AbstractEventLoop
        self._function = function
        self._source = source
        self._options = options
        self._window = options.window
        self._full = False  # something was not started, or read, for want of room in the window
        self._admit = admit
        self._admission: Admission | None = None  # None: not begun
        self._items: Iterator[Any] | AsyncIterator[Any]
        self._asynchronous = isinstance(source, AsyncIterable)
        self._buffer: Any = _EMPTY  # the one item that has been read and not started
        self._cells: deque[asyncio.Future[Any]] = deque()  # ordered: all in flight; else: those that are finished
        self._running: set[asyncio.Future[Any]] = set()
        self._in_flight = 0
        self._exhausted = self._failing = self._closed = self._stepping = False
        self._error: BaseException | None = None  # raised by the input
        self._sleepers: list[asyncio.Future[None]] = []  # the consumer, and whoever closes
        self._reader: asyncio.Task[None] | None = None
        self._taken: asyncio.Future[None] | None = None  # the reader waits
        self._context = copy_context()

    # --- what the consumer calls

    def open(self) -> Admission:
        """Begin, in the task that consumes: it may hold the permit on whose loan the items run."""
        if self._admission is not None:
            return self._admission
        self.loop = asyncio.get_running_loop()
        self._items = aiter(self._source) if isinstance(self._source, AsyncIterable) else iter(self._source)
        self._admission = self._admit(self)
        if isinstance(self._items, AsyncIterator):
            self._reader = self.loop.create_task(self._read(self._items))
            self._reader.add_done_callback(self._reader_ended)
        return self._admission

    async def next(self, owner: object) -> Any:  # noqa: ARG002 - kept alive during the step: its end ends the run
        if self._stepping:
            raise RuntimeError("this bounded_map is being iterated already; it serves one consumer at a time")
        if self._closed:
            raise StopAsyncIteration
        self._stepping = True
        try:
            admission = self._admission or self.open()
            if not self._in_flight:  # else whatever ends fills up
                admission.fill()
            cells = self._cells
            cell = cells.popleft() if cells and cells[0].done() else await self._next_finished()
            if cell is None:
                raise self._error or StopAsyncIteration
            self._in_flight -= 1
            if self._full:
                self._full = False
                self._release_reader()
                admission.fill()
            return self._result(cell)
        except GeneratorExit:  # the consumer itself is being closed, and cannot await
            self.abandon()
            raise
        except BaseException:
            await self.close()
            raise
        finally:
            self._stepping = False

    async def close(self) -> None:
        """Cancel and await what runs, and close the input."""
        if self._admission is None:
            self._closed = True
            return
        if asyncio.current_task() in self._running:
            raise RuntimeError("an item cannot close the bounded_map that runs it; leave the loop over it instead")
        first = not self._closed
        self.abandon()
        interrupted: asyncio.CancelledError | None = None
        while self._running or not (self._reader is None or self._reader.done()):
            try:
                await self._sleep()
            except asyncio.CancelledError as error:
                interrupted = error
        for cell in self._cells:
            if cell.done() and not cell.cancelled():
                cell.exception()  # nobody will ask for it any more
        if first:
            await self._close_input()
        if interrupted is not None:
            raise interrupted

    def abandon(self) -> None:
        """Start nothing more and cancel what runs."""
        if self._closed or self._admission is None:
            return
        self._closed = True
        self._buffer = _EMPTY
        self._admission.leave()
        for child in (*self._running, self._reader):
            if child is not None:
                child.cancel()
        self._wake()

    @property
    def abandonable(self) -> bool:
        """Whether something runs that would go on for nobody."""
        return self._admission is not None and not self._closed and not self.loop.is_closed()

    # --- what admission needs

    def wants(self) -> bool:
        if self._closed or self._failing:
            return False
        if self._in_flight >= self._window():
            self._full = True
            return False
        if self._buffer is _EMPTY and not self._exhausted and not self._asynchronous:
            try:
                self._buffer = next(self._items)  # type: ignore[arg-type]
            except StopIteration:
                self._end_input(None)
            except BaseException as error:  # noqa: BLE001 - raised where its item would have been
                self._end_input(error)
        return self._buffer is not _EMPTY

    def start(self, done: ChildDone, permit: Permit | None) -> None:
        item = self._take_item()
        context = self._context.copy()
        if permit is not None:
            context.run(current_permit.set, permit)
        if self._options.isolate:
            try:
                awaitable = context.run(self._function, item)
                if type(awaitable) is CoroutineType and self.loop.get_task_factory() is None:  # it knows context=
                    child: asyncio.Future[Any] = self.loop.create_task(awaitable, context=context)
                else:
                    child = context.run(asyncio.ensure_future, awaitable, loop=self.loop)
            except BaseException as error:  # noqa: BLE001 - it is the item's
                child = self.loop.create_future()
                child.set_exception(_told(error))
            if self._options.ordered:
                self._cells.append(child)
        else:
            cell = self._new_cell()
            child = context.run(self.loop.create_task, self._work(item, cell, permit))
            child.add_done_callback(partial(self._worker_ended, cell))
        self._running.add(child)
        child.add_done_callback(done)

    def record(self, child: asyncio.Future[Any]) -> None:
        self._running.discard(child)
        if self._options.isolate:
            self._finished(child)
        else:
            self._wake()  # whoever closes waits for workers, too

    # --- children

    async def _work(self, item: Any, cell: asyncio.Future[Any], permit: Permit | None) -> None:
        """Run items until there is none to run now, or somebody else waits for the permit."""
        while True:
            try:
                cell.set_result(await self._function(item))
            except asyncio.CancelledError:
                cell.cancel()
                raise
            except BaseException as error:  # noqa: BLE001 - it is the item's
                cell.set_exception(_told(error))
            finally:
                self._finished(cell)
            if (permit is not None and permit.limiter.locked()) or not self.wants():
                return
            item, cell = self._take_item(), self._new_cell()

    def _worker_ended(self, first: asyncio.Future[Any], _: asyncio.Future[None]) -> None:
        """A worker that was cancelled before its first step leaves its first item to us."""
        if not first.done():
            first.cancel()
            self._finished(first)

    def _new_cell(self) -> asyncio.Future[Any]:
        cell = self.loop.create_future()
        if self._options.ordered:
            self._cells.append(cell)
        return cell

    def _finished(self, cell: asyncio.Future[Any]) -> None:
        if cell.cancelled() or (cell.exception() is not None and not self._options.return_errors):
            self._failing = True  # start nothing more: the consumer will be told, and then all ends
        if not self._options.ordered:
            self._cells.append(cell)
        if self._sleepers:
            self._wake()

    # --- results

    async def _next_finished(self) -> asyncio.Future[Any] | None:
        """Wait for the next result; None at the end."""
        while not self._closed:
            if self._cells and self._cells[0].done():
                return self._cells.popleft()
            if self._exhausted and not self._in_flight and self._buffer is _EMPTY:
                return None
            await self._sleep()
        raise StopAsyncIteration  # closed by another task

    def _result(self, cell: asyncio.Future[Any]) -> Any:
        error = None if cell.cancelled() else cell.exception()
        if error is None:
            return cell.result()
        error = _told(error)
        if self._options.return_errors and isinstance(error, Exception):
            return error
        raise error

    # --- input

    def _take_item(self) -> Any:
        item, self._buffer = self._buffer, _EMPTY
        self._in_flight += 1
        if self._taken is not None:
            self._release_reader()
        return item

    async def _read(self, items: AsyncIterator[Any]) -> None:
        assert self._admission is not None
        async for item in items:
            if self._closed:  # the input answers its cancellation with one more item
                return
            self._buffer = item
            self._admission.fill()
            while self._buffer is not _EMPTY or self._in_flight >= self._window():
                self._full = True
                self._taken = self.loop.create_future()
                await self._taken

    def _reader_ended(self, reader: asyncio.Future[None]) -> None:
        self._end_input(asyncio.CancelledError() if reader.cancelled() else reader.exception())

    def _end_input(self, error: BaseException | None) -> None:
        self._exhausted = True
        if error is not None:  # raised where its item would have been
            self._error, self._buffer = _told(error), _EMPTY
        self._wake()

    async def _close_input(self) -> None:
        if isinstance(self._items, AsyncIterator):
            if (aclose := getattr(self._items, "aclose", None)) is not None:
                await aclose()
        elif (close := getattr(self._items, "close", None)) is not None:
            close()

    # --- small change

    def _release_reader(self) -> None:
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)

    async def _sleep(self) -> None:
        sleeper = self.loop.create_future()
        self._sleepers.append(sleeper)
        await sleeper

    def _wake(self) -> None:
        while self._sleepers:
            sleeper = self._sleepers.pop()
            if not sleeper.done():
                sleeper.set_result(None)


def _told(error: BaseException) -> BaseException:
    """An item's StopIteration would end the consumer's loop as if there were no more; PEP 479 says what to do."""
    if not isinstance(error, (StopIteration, StopAsyncIteration)):
        return error
    told = RuntimeError(f"bounded_map: the function or the input raised {type(error).__name__}")
    told.__cause__ = error
    return told
