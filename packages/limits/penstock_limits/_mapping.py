"""The engine of `bounded_map`: a window over the input, from which children start and results leave."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Final

from penstock_limits._admission import Admission, ChildDone, FanOut
from penstock_limits._lending import Permit, current_permit

__all__ = ["MapOptions", "Mapping"]

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


class Mapping:
    """One run over one input. `next()` gives the results; `close()` ends it early."""

    __slots__ = (
        "_admission",
        "_buffer",
        "_cells",
        "_closed",
        "_context",
        "_error",
        "_exhausted",
        "_failing",
        "_function",
        "_in_flight",
        "_items",
        "_options",
        "_reader",
        "_running",
        "_source",
        "_taken",
        "_wake_up",
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
        self._items: Iterator[Any] | AsyncIterator[Any] | None = None
        self._buffer: Any = _EMPTY  # the one item that has been read and not started
        self._cells: deque[asyncio.Future[Any]] = deque()  # ordered: all in flight; else: those that are finished
        self._running: set[asyncio.Future[Any]] = set()
        self._in_flight = 0
        self._exhausted = self._failing = self._closed = False
        self._error: BaseException | None = None  # raised by the input
        self._wake_up: asyncio.Future[None] | None = None  # the consumer waits
        self._reader: asyncio.Task[None] | None = None
        self._taken: asyncio.Future[None] | None = None  # the reader waits
        self._context = copy_context()
        self._admission = admit(self)

    # --- what the consumer calls

    def open(self) -> None:
        if self._items is not None:
            return
        self.loop = asyncio.get_running_loop()
        if isinstance(self._source, AsyncIterable):
            self._items = aiter(self._source)
            self._reader = self.loop.create_task(self._read(self._items))
            self._reader.add_done_callback(self._input_ended)
        else:
            self._items = iter(self._source)

    async def next(self) -> Any:
        if self._wake_up is not None and not self._wake_up.done():
            raise RuntimeError("this bounded_map is being iterated already; it serves one consumer at a time")
        if self._closed:
            raise StopAsyncIteration
        try:
            self.open()
            self._admission.fill()
            while (cell := self._take_finished()) is None:
                if self._exhausted and not self._in_flight and self._buffer is _EMPTY:
                    raise self._error or StopAsyncIteration
                self._wake_up = self.loop.create_future()
                await self._wake_up
                if self._closed:  # by another task
                    raise StopAsyncIteration
            self._in_flight -= 1
            self._release_reader()
            self._admission.fill()
            return self._result(cell)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Cancel and await what runs, and close the input."""
        if self._closed:
            return
        self.abandon()
        interrupted: asyncio.CancelledError | None = None
        while self._running or not (self._reader is None or self._reader.done()):
            self._wake_up = self.loop.create_future()
            try:
                await self._wake_up
            except asyncio.CancelledError as error:
                interrupted = error
                self._cancel_children()
        for cell in (*self._cells, *self._running):
            if cell.done() and not cell.cancelled():
                cell.exception()  # nobody will ask for it any more
        await self._close_input()
        if interrupted is not None:
            raise interrupted

    def abandon(self) -> None:
        """Start nothing more and cancel what runs."""
        self._closed = True
        self._buffer = _EMPTY
        self._admission.leave()
        self._cancel_children()
        self._wake(self._wake_up)

    @property
    def abandonable(self) -> bool:
        """Whether something runs that would go on for nobody."""
        return self._items is not None and not self._closed and not self.loop.is_closed()

    # --- what admission needs

    def wants(self) -> bool:
        if self._closed or self._failing or self._in_flight >= self._options.window():
            return False
        return self._buffer is not _EMPTY or (self._reader is None and self._read_one())

    def start(self, done: ChildDone, permit: Permit | None) -> None:
        item = self._take_item()
        context = self._context.copy()
        if permit is not None:
            context.run(current_permit.set, permit)
        if self._options.isolate:
            child = context.run(self._spawn, item)
            if self._options.ordered:
                self._cells.append(child)
        else:
            child = context.run(self.loop.create_task, self._work(item, self._new_cell(), permit))
        self._running.add(child)
        child.add_done_callback(done)

    def record(self, child: asyncio.Future[Any]) -> None:
        self._running.discard(child)
        if self._options.isolate:
            self._finished(child)
        elif child.cancelled():
            self._fail()
        self._wake(self._wake_up)

    # --- children

    def _spawn(self, item: Any) -> asyncio.Future[Any]:
        try:
            awaitable = self._function(item)
            if asyncio.iscoroutine(awaitable):
                return self.loop.create_task(awaitable)
            return asyncio.ensure_future(awaitable, loop=self.loop)
        except Exception as error:  # noqa: BLE001 - it is the item's
            failed = self.loop.create_future()
            failed.set_exception(error)
            return failed

    async def _work(self, item: Any, cell: asyncio.Future[Any], permit: Permit | None) -> None:
        """Run items until there is none to run now, or somebody else waits for the permit."""
        while True:
            try:
                cell.set_result(await self._function(item))
            except Exception as error:  # noqa: BLE001 - it is the item's
                cell.set_exception(error)
            except BaseException:
                cell.cancel()
                raise
            finally:
                self._finished(cell)
            if (permit is not None and permit.limiter.locked()) or not self.wants():
                return
            item, cell = self._take_item(), self._new_cell()

    def _new_cell(self) -> asyncio.Future[Any]:
        cell = self.loop.create_future()
        if self._options.ordered:
            self._cells.append(cell)
        return cell

    def _finished(self, cell: asyncio.Future[Any]) -> None:
        if cell.cancelled() or (cell.exception() is not None and not self._options.return_errors):
            self._fail()
        if not self._options.ordered:
            self._cells.append(cell)
        self._wake(self._wake_up)

    def _fail(self) -> None:
        """Start nothing more: the consumer will be told, and then all ends."""
        self._failing = True

    # --- results

    def _take_finished(self) -> asyncio.Future[Any] | None:
        if self._cells and self._cells[0].done():
            return self._cells.popleft()
        return None

    def _result(self, cell: asyncio.Future[Any]) -> Any:
        if self._options.return_errors and not cell.cancelled() and isinstance(error := cell.exception(), Exception):
            return error
        return cell.result()

    # --- input

    def _take_item(self) -> Any:
        item, self._buffer = self._buffer, _EMPTY
        self._in_flight += 1
        self._release_reader()
        return item

    def _read_one(self) -> bool:
        if self._exhausted:
            return False
        try:
            self._buffer = next(self._items)  # type: ignore[arg-type]
        except StopIteration:
            self._exhausted = True
        except Exception as error:  # noqa: BLE001 - raised where its item would have been
            self._exhausted, self._error = True, error
        if self._exhausted:
            self._wake(self._wake_up)
        return not self._exhausted

    async def _read(self, items: AsyncIterator[Any]) -> None:
        try:
            async for item in items:
                self._buffer = item
                self._admission.fill()
                while self._buffer is not _EMPTY or self._in_flight >= self._options.window():
                    self._taken = self.loop.create_future()
                    await self._taken
        except Exception as error:  # noqa: BLE001 - raised where its item would have been
            self._error = error

    def _input_ended(self, _: asyncio.Future[None]) -> None:
        self._exhausted = True
        self._wake(self._wake_up)

    async def _close_input(self) -> None:
        if isinstance(self._items, AsyncIterator):
            if (aclose := getattr(self._items, "aclose", None)) is not None:
                await aclose()
        elif (close := getattr(self._items, "close", None)) is not None:
            close()

    # --- small change

    def _release_reader(self) -> None:
        self._wake(self._taken)

    def _cancel_children(self) -> None:
        for child in (*self._running, self._reader):
            if child is not None:
                child.cancel()

    @staticmethod
    def _wake(sleeper: asyncio.Future[None] | None) -> None:
        if sleeper is not None and not sleeper.done():
            sleeper.set_result(None)
