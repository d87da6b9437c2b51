"""A pool of asyncpg connections: asyncpg's own, with what it lacks."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import weakref
from asyncio import Task
from collections.abc import Coroutine
from functools import partial
from types import CoroutineType, EllipsisType, FrameType
from typing import Any

import asyncpg
from asyncpg import InterfaceError
from penstock_limits import Mode, emit, enter_resource, leave_resource, mode_of
from penstock_limits.forks import after_fork
from penstock_limits.introspection import CallSite, call_site

from penstock_pooling._asyncpg.acquisition import Acquisition
from penstock_pooling._asyncpg.deadlock import DeadlockWatch
from penstock_pooling._asyncpg.ending import Ending
from penstock_pooling._asyncpg.forks import OfParent, forks
from penstock_pooling._asyncpg.holder import Holder
from penstock_pooling._asyncpg.late import LateWatch
from penstock_pooling._asyncpg.queue import HolderQueue, Waiter
from penstock_pooling._asyncpg.server import has_pooler
from penstock_pooling._pools.callers import LIBRARIES, listed
from penstock_pooling._pools.capability import CAPABILITY
from penstock_pooling._pools.checks import mode_or_none, seconds_or_none, sizes, whole_or_none
from penstock_pooling._pools.counters import Counters
from penstock_pooling._pools.errors import PoolDeadlockError, PoolPlaceError, PoolQueueFullError, PoolTimeoutError
from penstock_pooling._pools.statistics import PoolStatistics

__all__ = ["Pool"]

JITTER = 0.1  # the share of its life by which a connection may go earlier, so that not all go at once
LOOK_AFTER = (
    0.01  # seconds from which on an idle connection is looked at before it is lent: its server may have ended it
)
PATIENCE = 5.0  # seconds for closing a connection that nobody has, before it is cut off


class Pool(asyncpg.Pool):  # type: ignore[misc]
    """A pool of connections, as `asyncpg.Pool` is one, that is fair, bounded and watched.

    Beyond what asyncpg's does: whoever waits longest is served first, whatever frees a connection; nobody waits for
    ever, `fetch()` and its kin included; a caller that would wait for itself is told so at once; connections are
    replaced when they get old; one that is out for too long is told, with the line of code that has it; closing is
    bounded. It is a resource of the kind `pool`, and tells its events to `penstock_limits.add_listener`.

    Args:
        *connect_args: The dsn, as for `asyncpg.connect`.
        name: What people know it by; None gives it a name that shows its size.
        mode: `enforce` lends pooled connections; `off` opens one for each borrower and closes it again; `observe` does
            the same and counts what a pool would have done; None follows the capability `pooled-database`.
        max_queued: How many callers may wait before one is refused; None for any number.
        acquire_timeout: How many seconds a caller waits, for a connection to be free and open, unless it says
            otherwise; None for any time.
        max_lifetime: After how many seconds a connection is replaced, up to a tenth earlier; None for never.
        leak_after: From how many seconds on a connection that is out counts as leaked; None for never.
        close_timeout: How many seconds `close()` waits for connections that are out; None for any time.
        check_server: Whether the first connection is asked what the server allows, and whether it is a pooler that
            answers; behind one, prepared statements are not kept, unless `statement_cache_size` or `connect` is given.
        min_size: Connections that are kept open.
        max_size: Connections that may be open.
        init_size: Connections that are opened at first; None for `min_size`.
        max_queries: After how many queries a connection is replaced.
        max_inactive_connection_lifetime: After how many seconds an idle connection beyond `min_size` is closed.
        loop: The event loop; None for that in which it is opened.
        connection_class: As for asyncpg.
        record_class: As for asyncpg.
        **settings: As for `asyncpg.create_pool` (`connect`, `setup`, `init`, `reset`) and `asyncpg.connect`.

    Raises:
        ConfigurationError: One of penstock's own values is wrong.
        ValueError: One of asyncpg's is.
    """

    _connect_kwargs: dict[str, Any]
    _initsize: int
    _loop: asyncio.AbstractEventLoop
    _maxsize: int
    _minsize: int
    _queue: HolderQueue

    def __init__(
        self,
        *connect_args: Any,
        name: str | None = None,
        mode: Mode | str | None = Mode.ENFORCE,
        max_queued: int | None = None,
        acquire_timeout: float | None = 10.0,
        max_lifetime: float | None = 1_800.0,
        leak_after: float | None = 60.0,
        close_timeout: float | None = 30.0,
        check_server: bool = True,
        min_size: int = 10,
        max_size: int = 10,
        init_size: int | None = None,
        max_queries: int = 50_000,
        max_inactive_connection_lifetime: float = 300.0,
        loop: asyncio.AbstractEventLoop | None = None,
        connection_class: type = asyncpg.Connection,
        record_class: type = asyncpg.Record,
        **settings: Any,
    ) -> None:
        super().__init__(
            *connect_args,
            min_size=min_size,
            max_size=max_size,
            init_size=init_size,
            max_queries=max_queries,
            max_inactive_connection_lifetime=max_inactive_connection_lifetime,
            loop=loop or _Unbound(),
            connection_class=connection_class,
            record_class=record_class,
            **settings,
        )
        self._name = name or f"max-{max_size}"
        where = f"pool {self._name!r}"
        self._fixed_mode = mode_or_none(where, mode)
        self._max_queued = whole_or_none(where, "max_queued", max_queued)
        self._acquire_timeout = seconds_or_none(where, "acquire_timeout", acquire_timeout)
        self._max_lifetime = seconds_or_none(where, "max_lifetime", max_lifetime)
        self._leaks = LateWatch(seconds_or_none(where, "leak_after", leak_after), self._note_leaked)
        self._returns = LateWatch(self._acquire_timeout, self._note_stalled)
        self._close_timeout = seconds_or_none(where, "close_timeout", close_timeout)
        self._unknown_server = check_server
        self._first_look = asyncio.Lock()
        self._connects_itself = settings.get("connect") is not None
        self._patience = PATIENCE
        self._forks = forks.watch()
        self._queue = HolderQueue(self._keeps)
        self._pooled = 0  # holders that are not for a single use
        self._lent: dict[Holder, None] = {}  # the first lent first
        self._having: dict[weakref.ref[Task[Any]] | None, int] = {}  # how many connections a task has
        self._deadlocks = DeadlockWatch()
        self._background: set[Task[None]] = set()
        self._counters = Counters(would_be_open=self._initsize)

    def __repr__(self) -> str:
        size = f"{len(self._lent)} of {self._maxsize} out, {self.get_size()} open"
        return f"<Pool {self._name!r} {self.mode}: {size}, {self._queue.waiting()} queued>"

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "pool"

    @property
    def mode(self) -> Mode:
        """Its mode now: its own, or that of the capability `pooled-database`."""
        return self._fixed_mode or mode_of(CAPABILITY)

    # --- lending

    def acquire(self, *, timeout: float | None = None) -> Acquisition:
        """Borrow a connection: `async with pool.acquire() as connection`, or `await` it and `release()` it.

        Args:
            timeout: How many seconds to wait at most; None means the pool's `acquire_timeout`.

        Raises:
            PoolTimeoutError: None was free, or could be opened, in time.
            PoolQueueFullError: As many callers wait as may wait.
            PoolDeadlockError: All are held by the caller, or by tasks that wait for one as it does.
            PoolPlaceError: The pool was opened in another event loop or process.
            asyncpg.InterfaceError: The pool is not open.
        """
        # The task that asks is who borrows: `asyncio.wait_for` may do the waiting in another.
        return Acquisition(self, timeout, call_site(*LIBRARIES), asyncio.current_task(self._loop))

    async def _acquire(self, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's own shape
        return await self._lend(timeout, call_site(*LIBRARIES), lexical=False)

    async def _lend(
        self,
        timeout: float | None,  # noqa: ASYNC109 - it is the queue that knows who is late
        site: CallSite,
        *,
        lexical: bool,
        frame: FrameType | None = None,
        task: Task[Any] | None = None,
    ) -> Any:
        if self._closing:
            raise InterfaceError("pool is closing")
        self._check_init()
        self._check_place()
        loop, mode = self._loop, self._fixed_mode or self.mode
        patience = self._acquire_timeout if timeout is None and mode is Mode.ENFORCE else timeout
        began = now = loop.time()
        holder = self._queue.take() if mode is Mode.ENFORCE else self._single_use(mode)
        if holder is None:
            holder = await self._wait(patience) or self._single_use(self.mode)
            now = loop.time()
        try:
            if self._closing or self._closed:  # since the caller waited
                raise InterfaceError("pool is closing")
            if began - holder.idle_since >= LOOK_AFTER and holder.has_news():
                await holder.hear()
                now = loop.time()
            if holder.is_ready():
                proxy = await holder.acquire()
            else:
                proxy = await self._opened(holder, began, patience)
                now = loop.time()
        except BaseException:
            self._queue.put_nowait(holder)
            self._schedule_min_size_maintenance()
            raise
        holder._timeout = timeout  # for the release, too; the default is watched at less cost
        holder.site, holder.lexical, holder.frame = site, lexical, frame
        self._note_lent(holder, task or asyncio.current_task(loop), mode, now)
        return proxy

    async def _wait(self, patience: float | None) -> Holder | None:
        queue, began, task = self._queue, self._loop.time(), asyncio.current_task(self._loop)
        if self._max_queued is not None and not queue.has_room(self._max_queued):
            self._counters.rejected += 1
            raise self._told("rejected", PoolQueueFullError(self._name, queue.waiting(), self._max_queued, self._out()))
        waiter: Waiter = self._loop.create_future()
        expiry = None if patience is None else self._loop.call_later(patience, self._give_up, waiter, patience)
        queue.join(waiter, task, math.inf if patience is None else began + patience)
        if task is not None and weakref.ref(task) in self._having:
            self._loop.call_soon(self._break_deadlock)  # when all that is about to happen has happened
        try:
            holder: Holder | None = await waiter
        except BaseException:
            queue.leave(waiter)
            raise
        finally:
            if expiry is not None:
                expiry.cancel()
        self._counters.note_wait(self._loop.time() - began)
        return holder

    def _give_up(self, waiter: Waiter, patience: float) -> None:
        """Let a caller go that has waited for as long as it would."""
        error = PoolTimeoutError(self._name, self._queue.waiting(), patience, self._out() if self._lent else "")
        if self._queue.refuse(waiter, error):
            self._counters.timed_out += 1
            self._told("timed_out", error)

    def _break_deadlock(self) -> None:
        """Refuse a caller if whoever has a connection waits for one, too."""
        held = [holder for holder in self._lent if not holder.single_use]
        if len(held) < self._pooled or self.is_closing():
            return
        waiter = self._deadlocks.victim(held, self._queue.waits())
        if waiter is None:
            return
        error = PoolDeadlockError(self._name, len(self._lent), self._maxsize, self._out())
        if self._queue.refuse(waiter, error):
            self._counters.deadlocked += 1
            self._told("deadlocked", error)

    async def _opened(self, holder: Holder, began: float, patience: float | None) -> Any:
        """Lend a connection that has to be opened first."""
        if patience is None:
            return await holder.make_ready()
        deadline = asyncio.timeout_at(began + patience)
        try:
            async with deadline:
                return await holder.make_ready()
        except TimeoutError as error:
            if not deadline.expired():
                raise
            self._counters.timed_out += 1
            raise self._told("timed_out", PoolTimeoutError(self._name, 0, patience, "")) from error

    def release(self, connection: Any, *, timeout: float | None = None) -> CoroutineType[Any, Any, None]:
        """Give a connection back; it is reset, and lent to whoever waits longest.

        Args:
            connection: The connection. Giving it back twice does no harm.
            timeout: How many seconds that may take before the connection is cut off; None means the timeout of its
                `acquire()`, or else the pool's `acquire_timeout`.

        Raises:
            PoolPlaceError: The pool was opened in another event loop or process.
            asyncpg.InterfaceError: The connection is none of this pool, or the pool is not open.
        """
        self._check_place()
        holder = getattr(connection, "_holder", None)
        if isinstance(holder, Holder) and holder._in_use is not None:
            now = self._loop.time()
            if holder.expires <= now and self._is_outdated(holder, now):
                holder.outdate()
            if timeout is None and holder._timeout is None and holder.returning is None:
                self._returns.start(holder, self._loop, now)
        return super().release(connection, timeout=timeout)  # type: ignore[no-any-return]

    # --- what holders say

    def _note_opened(self, holder: Holder) -> None:
        self._counters.opened += 1
        if self._max_lifetime is not None and not holder.single_use:
            holder.live(self._max_lifetime * (1 - JITTER * random.random()))  # noqa: S311 - no secret

    def _note_lent(self, holder: Holder, task: Task[Any] | None, mode: Mode, now: float) -> None:
        reference = None if task is None else weakref.ref(task)
        holder.task, holder.lent_at, holder.told = reference, now, False
        lent, counters = self._lent, self._counters
        lent[holder] = None
        had = self._having.get(reference, 0)
        self._having[reference] = had + 1
        counters.acquired += 1
        if had:
            counters.nested += 1
        if len(lent) > counters.peak_running:
            counters.peak_running = len(lent)
        if holder.single_use:
            holder.outdate()
        if mode is not Mode.OFF:
            self._leaks.start(holder, self._loop, now)

    def _note_returned(self, holder: Holder) -> None:
        self._lent.pop(holder, None)
        self._leaks.stop(holder)
        self._returns.stop(holder)
        reference, holder.task = holder.task, None
        left = self._having.get(reference, 0) - 1
        if left > 0:
            self._having[reference] = left
        else:
            self._having.pop(reference, None)
        holder.idle_since = now = self._loop.time()
        held = now - holder.lent_at
        self._counters.note_hold(held)
        if holder.told:
            emit("pool.returned", self._name, borrower=str(holder.site), seconds=held)

    def _is_outdated(self, holder: Holder, now: float) -> bool:
        if holder.expires <= now:
            self._counters.expired += 1
            return True
        return False

    def _expire_idle(self, holder: Holder) -> None:
        if self._queue.remove(holder):
            self._counters.expired += 1
            self._in_background(self._close_idle(holder))

    # --- holders

    async def _async__init__(self) -> Pool:
        if isinstance(self._loop, _Unbound):
            self._loop, self._forks = asyncio.get_running_loop(), forks.count
        self._check_place()
        await super()._async__init__()
        enter_resource(self)
        after_fork(self.forked)
        return self

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
        if asyncio._get_running_loop() is self._loop or isinstance(self._loop, _Unbound):
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

    async def _get_new_connection(self) -> Any:
        if self._unknown_server and self.mode is Mode.ENFORCE:
            async with self._first_look:  # others wait: they may have to connect in another way
                if self._unknown_server:
                    return await self._first_connection()
        return await super()._get_new_connection()

    async def _first_connection(self) -> Any:
        """Connect, and find out what is at the other end."""
        connection = await super()._get_new_connection()
        try:
            pooled_elsewhere = await has_pooler(connection, self._name, self._maxsize, is_opening=self._initializing)
        except BaseException:
            connection.terminate()
            raise
        self._unknown_server = False
        if not pooled_elsewhere or "statement_cache_size" in self._connect_kwargs:
            return connection
        if self._connects_itself:  # by a function that may not know the argument
            emit("pool.pooler_detected", self._name, statement_cache_size=None)
            return connection
        emit("pool.pooler_detected", self._name, statement_cache_size=0)
        self._connect_kwargs = {**self._connect_kwargs, "statement_cache_size": 0}
        await connection.close(timeout=PATIENCE)
        return await super()._get_new_connection()

    # --- the end

    async def close(self, *, timeout: float | EllipsisType | None = ...) -> None:  # noqa: ASYNC109 - as asyncpg's own have it
        """Wait for connections that are out, then close them all; who waits for one is refused.

        Args:
            timeout: How many seconds to wait before what is still out is cut off and told, None for any time; the
                pool's `close_timeout` if it is not given.

        Raises:
            PoolPlaceError: The pool was opened in another event loop or process.
        """
        if self._closed or not self._initialized:
            await super().close()
            return
        self._check_place()
        self._queue.refuse_all(lambda: InterfaceError("pool is closing"))
        patience = self._close_timeout if isinstance(timeout, EllipsisType) else timeout
        cut = None if patience is None else self._loop.call_later(patience, self._cut_off)
        try:
            await super().close()
            if self._background:
                await asyncio.wait(self._background)
        finally:
            if cut is not None:
                cut.cancel()
            leave_resource(self)

    def terminate(self) -> None:
        """Cut off all connections; who waits for one is refused.

        Raises:
            PoolPlaceError: The pool was opened in another process, which goes on with them.
        """
        if not self._closed:
            if forks.count != self._forks:
                raise PoolPlaceError(self._name, "process")
            self._queue.refuse_all(lambda: InterfaceError("pool is closed"))
        super().terminate()
        for holder in list(self._holders):  # in asyncpg's own loop, those for a single use have been leaving
            holder.terminate()
        leave_resource(self)

    def _cut_off(self) -> None:
        if self._lent:
            self._counters.abandoned += len(self._lent)
            emit("pool.abandoned", self._name, connections=len(self._lent), borrowers=self._out())
        for holder in list(self._holders):
            holder.terminate()

    def is_gone(self) -> bool:
        """Tell whether nothing can be done with it any more: it was closed, or left behind.

        It is left behind by an event loop that was closed before it, and in a forked process by its parent.
        """
        gone: bool = self.is_closing() or self._loop.is_closed() or forks.count != self._forks
        if gone and self._initialized:
            leave_resource(self)
        return gone

    def forked(self) -> None:
        """Leave the connections to the parent, in a child that was just forked."""
        make_error = partial(PoolPlaceError, self._name, "process")
        for holder in self._holders:
            for connection in (holder._con, holder.stand_in and holder.stand_in()):
                if connection is not None and connection._protocol is not None:
                    connection._protocol = OfParent(connection._protocol, make_error)

    def _check_place(self) -> None:
        if forks.count != self._forks:
            raise PoolPlaceError(self._name, "process")
        if asyncio._get_running_loop() is not self._loop:
            raise PoolPlaceError(self._name, "event loop")

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

    # --- what is told

    def statistics(self) -> PoolStatistics:
        """Return a snapshot of its counters."""
        return PoolStatistics(
            mode=self.mode,
            running=len(self._lent),
            max_running=self._maxsize,
            min_size=self._minsize,
            open=self.get_size(),
            idle=self.get_idle_size(),
            queued=self._queue.waiting(),
            max_queued=self._max_queued,
            **self._counters.as_dict(),  # type: ignore[arg-type]
        )

    def _out(self) -> str:
        now = self._loop.time()
        out = listed((holder.site, now - holder.lent_at) for holder in self._lent)
        return out or "none, they are being opened or closed"

    def _told(self, what: str, error: PoolTimeoutError | PoolQueueFullError) -> Exception:
        emit(f"pool.{what}", self._name, counted=error.counted, allowed=error.allowed, borrowers=error.borrowers)
        return error

    def _note_leaked(self, holder: Holder) -> None:
        holder.told = True
        self._counters.leaked += 1
        ended = holder.has_lost_borrower()
        out = self._loop.time() - holder.lent_at
        emit("pool.leaked", self._name, borrower=str(holder.site), seconds=out, task_ended=ended)

    def _note_stalled(self, holder: Holder) -> None:
        """Cut off a connection whose server does not answer when it is reset."""
        emit("pool.stalled", self._name, borrower=str(holder.site))
        holder.terminate()


class _Unbound:
    """Stands for the event loop of a pool that has not been opened."""

    def is_closed(self) -> bool:
        return False

    def time(self) -> float:
        return 0.0
