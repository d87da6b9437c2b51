"""The size of a pool of asyncpg connections: its places, and what becomes of one that comes free."""

from __future__ import annotations

import asyncio
import contextlib
import random
from asyncio import Task
from collections.abc import Coroutine
from functools import partial
from typing import Any

import asyncpg
from penstock_limits import Mode

from penstock_pooling._asyncpg.ending import Ending
from penstock_pooling._asyncpg.forks import forks
from penstock_pooling._asyncpg.holder import Holder
from penstock_pooling._asyncpg.queue import HolderQueue
from penstock_pooling._pools.checks import sizes
from penstock_pooling._pools.counters import Counters
from penstock_pooling._pools.resource import PoolResource

__all__ = ["PATIENCE", "SizedPool", "Unbound"]

JITTER = 0.1  # the share of its life by which a connection may go earlier, so that not all go at once
PATIENCE = 5.0  # seconds for closing a connection that nobody has, before it is cut off


class SizedPool(PoolResource, asyncpg.Pool):  # type: ignore[misc]
    """asyncpg's pool, whose size may change, and with a place for a single use where there is to be no pool.

    Args:
        *connect_args: As for `asyncpg.Pool`.
        **settings: As for `asyncpg.Pool`.

    Raises:
        ValueError: One of them is wrong.
    """

    _initsize: int
    _loop: asyncio.AbstractEventLoop
    _max_lifetime: float | None
    _max_queued: int | None
    _maxsize: int
    _minsize: int
    _queue: HolderQueue

    def __init__(self, *connect_args: Any, **settings: Any) -> None:
        super().__init__(*connect_args, **settings)
        self._patience = PATIENCE
        self._forks = forks.watch()
        self._queue = HolderQueue(self._keeps)
        self._pooled = 0  # holders that are not for a single use
        self._background: set[Task[None]] = set()
        self._counters = Counters(would_be_open=self._initsize)

    # --- places

    async def _initialize(self) -> None:
        """Make the holders and connect the first of them, one alone, so that one error shows what is wrong."""
        self._holders.extend(self._make_holder() for _ in range(self._maxsize))
        first = self._initsize if self.mode is Mode.ENFORCE else 0
        connecting = self._holders[::-1][:first]
        for holder in self._holders[: len(self._holders) - first]:
            self._queue.put_nowait(holder)
        for some in (connecting[:1], connecting[1:]):
            await asyncio.gather(*(holder.connect() for holder in some))
        for holder in reversed(connecting):
            self._queue.put_nowait(holder)

    def _make_holder(self, *, single_use: bool = False) -> Holder:
        self._pooled += not single_use
        return Holder(
            self,
            single_use=single_use,
            max_queries=self._max_queries,
            max_inactive_time=self._max_inactive_connection_lifetime,
            setup=self._setup,
        )

    def _single_use(self, mode: Mode) -> Holder:
        """Make a holder for one borrower, as there is no pool."""
        running = len(self._holders) - self._pooled
        if mode is Mode.OBSERVE:
            self._counters.note_unpooled(running, self._maxsize, self._max_queued)
        holder = self._make_holder(single_use=True)
        self._holders.append(holder)
        return holder

    def _break_deadlock(self) -> None:
        """Refuse a caller if nobody is left who would give a place back."""

    def _keeps(self, holder: Holder) -> bool:
        """Tell whether a holder that came free stays; let it go if not."""
        if holder.opening is not None:  # nobody waits for it any more
            holder.opening.add_done_callback(partial(self._opened_late, holder))
            return False
        if (ending := holder.ending) is not None:
            holder.ending = None
            self._in_background(self._ended(holder, ending))
            return False
        if not holder.single_use and self._pooled <= self._maxsize:
            return True
        self._holders.remove(holder)
        self._pooled -= not holder.single_use
        if self._queue.waiting():  # with a place less, nobody may be left who gives one back
            self._loop.call_soon(self._break_deadlock)
        if holder.is_connected():
            self._in_background(self._closed_quietly(holder))
        return False

    def resize(self, *, min_size: int | None = None, max_size: int | None = None) -> None:
        """Change how many connections are kept and may be open, with work in flight; call it in the pool's loop.

        Free connections beyond the maximum are closed at once, those that are out when they come back.

        Args:
            min_size: Connections that are kept open; None leaves it.
            max_size: Connections that may be open; None leaves it.

        Raises:
            ConfigurationError: A value is wrong.
        """
        low, high = self._minsize if min_size is None else min_size, self._maxsize if max_size is None else max_size
        self._minsize, self._maxsize = sizes(f"pool {self._name!r}", low, high)
        self._initsize = min(max(self._initsize, self._minsize), self._maxsize)
        if not self._holders or self.is_closing():
            return
        while self._pooled < self._maxsize:
            self._holders.append(holder := self._make_holder())
            self._queue.put_nowait(holder)
        for holder in self._queue.free():
            if self._pooled > self._maxsize and self._queue.remove(holder):
                self._queue.put_nowait(holder)  # which is where it is let go
        self._schedule_min_size_maintenance()

    def resize_soon(self, *, min_size: int, max_size: int) -> None:
        """Change the size as `resize()` does; may be called in any thread.

        Args:
            min_size: Connections that are kept open.
            max_size: Connections that may be open.

        Raises:
            ConfigurationError: A value is wrong.
        """
        sizes(f"pool {self._name!r}", min_size, max_size)
        if asyncio._get_running_loop() is self._loop or isinstance(self._loop, Unbound):
            self.resize(min_size=min_size, max_size=max_size)
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(partial(self.resize, min_size=min_size, max_size=max_size))

    def _schedule_min_size_maintenance(self) -> None:
        if self.mode is Mode.ENFORCE and forks.count == self._forks:
            super()._schedule_min_size_maintenance()

    def mode_changed(self) -> None:
        """Look at the mode again; may be called in any thread."""
        if self._fixed_mode is None and self._initialized and not self.is_closing():
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._follow_mode)

    def _follow_mode(self) -> None:
        if self.is_closing():
            return
        if self.mode is Mode.ENFORCE:
            self._schedule_min_size_maintenance()
            return
        self._generation += 1  # what is out is closed when it comes back
        self._queue.dissolve()
        for holder in self._queue.free():
            if holder.is_connected() and self._queue.remove(holder):
                self._in_background(self._close_idle(holder))

    # --- how long a connection stays

    def _note_opened(self, holder: Holder) -> None:
        self._counters.opened += 1
        if self._max_lifetime is not None and not holder.single_use:
            holder.live(self._max_lifetime * (1 - JITTER * random.random()))  # noqa: S311 - no secret

    def _is_outdated(self, holder: Holder, now: float) -> bool:
        if holder.expires <= now:
            self._counters.expired += 1
            return True
        return False

    def _expire_idle(self, holder: Holder) -> None:
        if self._queue.remove(holder):
            self._counters.expired += 1
            self._in_background(self._close_idle(holder))

    async def _close_idle(self, holder: Holder) -> None:
        """Close the connection of a free holder that was taken out of the queue, and put it back."""
        try:
            await self._closed_quietly(holder)
        finally:
            self._queue.put_nowait(holder)
            self._schedule_min_size_maintenance()

    async def _ended(self, holder: Holder, ending: Ending) -> None:
        """Put a holder back when the server has let go of its connection, which was cut off."""
        try:
            await ending.reached(self._patience)
        finally:
            self._queue.put_nowait(holder)
            self._schedule_min_size_maintenance()

    def _opened_late(self, holder: Holder, opening: Task[None]) -> None:
        """Put a holder back when it is known what became of the connection that was being opened."""
        holder.opening = None
        if not opening.cancelled():
            opening.exception()  # it is nobody's
        self._queue.put_nowait(holder)
        self._schedule_min_size_maintenance()

    def _may_wait(self) -> bool:
        """Tell whether the end of something can be waited for: the pool is not closed, and in this process."""
        return not self._closed and forks.count == self._forks and self._loop.is_running()

    async def _closed_quietly(self, holder: Holder) -> None:
        connection = holder._con
        with contextlib.suppress(Exception):  # then it is cut off
            if connection is not None:
                await connection.close(timeout=PATIENCE)

    def _in_background(self, coroutine: Coroutine[Any, Any, None]) -> Task[None]:
        task = self._loop.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


class Unbound:
    """Stands for the event loop of a pool that has not been opened."""

    def is_closed(self) -> bool:
        return False

    def time(self) -> float:
        return 0.0
