"""A limit on how much runs at once: the way in and the way out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import EllipsisType, TracebackType
from typing import Literal, get_args

from penstock_limits import _modes, _resources
from penstock_limits._checks import seconds, whole
from penstock_limits._errors import AcquireTimeoutError, ConfigurationError, LimitReachedError
from penstock_limits._events import emit
from penstock_limits._limiters.hold import Hold
from penstock_limits._limiters.permits import CAPABILITY, Permits
from penstock_limits._limiters.statistics import LimiterStatistics
from penstock_limits._limiters.wait_queue import Shed
from penstock_limits._limiters.waiting import Caller, TaskWaiter, ThreadWaiter
from penstock_limits._modes import Mode
from penstock_limits._ready import READY
from penstock_limits.forks import after_fork

__all__ = ["CAPABILITY", "Limiter"]


class Limiter(Permits):
    """Lets at most `max_running` callers run at once; the others wait in order.

    `async with limiter` holds a permit, and `with limiter` does in a thread. Neither is re-entrant; `reentrant()` is.
    One limiter may be shared by several event loops and threads.

    Args:
        name: What people know it by; None gives it a name that shows its limit.
        max_running: How many may run at once; 0 lets nobody in until `resize()`.
        max_queued: How many callers may wait before one is refused; None for any number.
        shed: Who is refused when the queue is full: the `newest` caller, the `oldest` in the queue, or of the
            `lowest-priority` callers the newest. Fan-outs that wait are never taken out of the queue.
        acquire_timeout: How many seconds a caller may wait, unless it says otherwise; None for any time.
        priority_aging: How many seconds of waiting are worth one step of priority; 10 by default.
        mode: `enforce`, `observe` or `off`; None follows the mode of the capability `bounded-fanout`.
        clock: Says the time, in seconds, for waits and the aging of priorities.

    Raises:
        ConfigurationError: A value is wrong.
    """

    __slots__ = ("__weakref__", "_acquire_timeout")

    def __init__(
        self,
        name: str | None = None,
        *,
        max_running: int,
        max_queued: int | None = None,
        shed: Shed = "newest",
        acquire_timeout: float | None = None,
        priority_aging: float = 10.0,
        mode: Mode | str | None = Mode.ENFORCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        name = name or f"max-{max_running}"
        where = f"limiter {name!r}"
        if shed not in get_args(Shed):
            raise ConfigurationError(
                f"limiter {name!r}: shed = {shed!r}; allowed are newest, oldest and lowest-priority"
            )
        super().__init__(
            name,
            whole(where, "max_running", max_running, least=0),
            None if max_queued is None else whole(where, "max_queued", max_queued, least=0),
            None if mode is None else _modes.parse_mode(mode, f"{where}: mode"),
            shed,
            seconds(where, "priority_aging", priority_aging),
            clock,
        )
        self._acquire_timeout = None if acquire_timeout is None else seconds(where, "acquire_timeout", acquire_timeout)
        _resources.enter(self)
        after_fork(self._forked)

    def __repr__(self) -> str:
        running = f"{len(self._held)} of {self.max_running} running"
        bound = "" if self._max_queued is None else f" of {self._max_queued}"
        return f"<Limiter {self._name!r} {self.mode}: {running}, {len(self._waiters)}{bound} queued>"

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "limiter"

    @property
    def max_running(self) -> int:
        """How many may run at once."""
        return self._capacity - self._surplus

    @property
    def max_queued(self) -> int | None:
        """How many callers may wait; None for any number."""
        return self._max_queued

    # --- holding permits

    def __aenter__(self) -> Awaitable[None]:
        """Take a permit; wait for one if none is free.

        Raises:
            QueueFullError: As many callers wait as may wait.
            AcquireTimeoutError: None came free within `acquire_timeout`.
        """
        if self._crowded:
            return self._enter(1, 0, self._acquire_timeout)
        try:
            self._held.append(self._free.pop())
        except IndexError:
            return self._enter(1, 0, self._acquire_timeout)
        return READY  # type: ignore[no-any-return]

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Awaitable[None]:
        """Give the permit back."""
        self.release()
        return READY  # type: ignore[no-any-return]

    def __enter__(self) -> None:
        """Take a permit; block the thread until one is free.

        Raises:
            QueueFullError: As many callers wait as may wait.
            AcquireTimeoutError: None came free within `acquire_timeout`.
            RuntimeError: None is free, and waiting here would block a running event loop.
        """
        if not self._seize():
            self._enter_thread(1, 0, self._acquire_timeout)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the permit back."""
        self.release()

    def hold(self, *, weight: int = 1, priority: int = 0, timeout: float | None = None) -> Hold:
        """Return permits to take with `async with`, with `with` in a thread, or with `await`.

        What the block hands on - a response, a stream - can keep them until it is closed: see `Hold.until_closed`.

        Args:
            weight: How many permits, from 1. A weight above the limit is admitted when nobody else runs.
            priority: How urgent it is; more goes first. Each `priority_aging` seconds of waiting are worth one step.
            timeout: How many seconds to wait at most; None means the limiter's `acquire_timeout`.

        Raises:
            ConfigurationError: A value is wrong.
        """
        return Hold(self, *self._checked(weight, priority, timeout))

    def reentrant(self) -> AbstractAsyncContextManager[None]:
        """Hold a permit with `async with`, unless the caller's lineage holds one already.

        Work that was admitted by this limiter - by `gather`, `bounded_map`, `create_task` or `reentrant()` itself, here
        or in a task further up - lends its permit to one at a time of those it waits for, and so never waits for
        itself. A plain `async with limiter` lends nothing.
        """
        # The admission of fan-outs is built on limiters, and this on the admission.
        from penstock_limits._fanout.admission import held

        return held(self)

    async def acquire(self, *, weight: int = 1, priority: int = 0, timeout: float | None = None) -> Literal[True]:  # noqa: ASYNC109 - as anyio's peers do, it is the queue that knows who is late
        """Take permits; wait for them if they are not free. Give them back with `release(weight)`.

        Args:
            weight: How many permits, from 1. A weight above the limit is admitted when nobody else runs.
            priority: How urgent it is; more goes first. Each `priority_aging` seconds of waiting are worth one step.
            timeout: How many seconds to wait at most; None means the limiter's `acquire_timeout`.

        Returns:
            True.

        Raises:
            QueueFullError: As many callers wait as may wait.
            AcquireTimeoutError: They did not come free in time.
            ConfigurationError: A value is wrong.
        """
        if weight != 1 or not self._seize():
            await self._enter(*self._checked(weight, priority, timeout))
        return True

    def acquire_nowait(self) -> None:
        """Take a permit if one is free. Give it back with `release()`.

        Raises:
            LimitReachedError: None is free.
        """
        mode = self.mode
        self._recover()
        with self._lock:
            admitted = self._take() or self._overdraw(mode, refuses=True)
            self._rejected += not admitted
        if admitted:
            self.mode_changed()
            return
        raise LimitReachedError(self._name, len(self._held), self.max_running)

    def locked(self) -> bool:
        """Tell whether the next caller would have to wait, if the limiter enforces."""
        return bool(self._waiters or self._resuming) or len(self._held) >= self._capacity

    def resize(self, max_running: int, *, max_queued: int | EllipsisType | None = ...) -> None:
        """Change the limit with work in flight; whoever fits now starts now.

        Args:
            max_running: How many may run at once from now on.
            max_queued: How many callers may wait from now on, None for any number; as before if it is not given.

        Raises:
            ConfigurationError: A value is no whole number from 0.
        """
        where = f"limiter {self._name!r}"
        capacity = whole(where, "max_running", max_running, least=0)
        if max_queued is not None and max_queued is not ...:
            max_queued = whole(where, "max_queued", max_queued, least=0)
        with self._lock:
            self._capacity = capacity + self._surplus
            if max_queued is not ...:
                self._max_queued = max_queued
        self._settle()

    def statistics(self) -> LimiterStatistics:
        """Return a snapshot of its counters."""
        mode = self.mode
        self._recover()
        with self._lock:
            held, free = list(self._held), list(self._free)
            self._queue_time.changes(len(self._waiters))
            return LimiterStatistics(
                mode=mode,
                running=len(held),
                max_running=self.max_running,
                queued=len(self._waiters),
                max_queued=self._max_queued,
                peak_running=self._peak,
                acquired=sum(free) + sum(held) + len(held) + self._retired_uses,
                waited=self._waited,
                rejected=self._rejected,
                timed_out=self._timed_out,
                wait_seconds=self._queue_time.waited,
                longest_wait=self._queue_time.longest,
                saturated_seconds=self._queue_time.occupied,
                would_wait=self._would_wait,
                would_reject=self._would_reject,
                surplus_releases=self._surplus,
            )

    # --- where a permit is not simply there

    def _seize(self) -> bool:
        """Take a permit that is free, without a lock."""
        if self._crowded:
            return False
        try:
            self._held.append(self._free.pop())
        except IndexError:
            return False
        return True

    def _checked(self, weight: int, priority: int, timeout: float | None) -> tuple[int, int, float | None]:
        where = f"limiter {self._name!r}"
        whole(where, "weight", weight, least=1)
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise ConfigurationError(f"{where}: priority = {priority!r}; allowed is a whole number")
        if timeout is None:
            return weight, priority, self._acquire_timeout
        return weight, priority, seconds(where, "timeout", timeout)

    def _admitted(self, mode: Mode, weight: int) -> bool:
        """Take permits that are free, or need not be."""
        self._recover()
        with self._lock:
            admitted = self._take(weight) or self._overdraw(mode, weight)
        if admitted:
            self.mode_changed()  # whoever waits may come in too, if it was the mode that let us in
        return admitted

    def _enter(self, weight: int, priority: int, timeout: float | None) -> Awaitable[None]:
        mode = self.mode
        if not self._admitted(mode, weight):
            return self._wait(weight, priority, timeout)
        if self._resuming and mode is Mode.ENFORCE:
            return self._resume_last(weight)
        return READY  # type: ignore[no-any-return]

    async def _resume_last(self, weight: int) -> None:
        """Go on after those who were admitted before, as with `asyncio.Semaphore`."""
        try:
            await asyncio.sleep(0)
        except BaseException:
            self.release(weight)
            raise

    async def _wait(self, weight: int, priority: int, patience: float | None) -> None:
        waiter = TaskWaiter(weight, priority)
        self._queue(waiter)
        expiry = None if patience is None else waiter.loop.call_later(patience, self._expire, waiter, patience)
        try:
            await waiter
        except BaseException as error:
            self._withdraw(waiter, error)
            raise
        else:
            self._note_resumed(waiter)
        finally:
            if expiry is not None:
                expiry.cancel()

    def _enter_thread(self, weight: int, priority: int, timeout: float | None) -> None:
        if self._admitted(self.mode, weight):
            return
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                f"limiter {self._name!r} has no permit free, and `with` would block the running event loop: "
                f"use `async with`, or call this in a thread"
            )
        waiter = ThreadWaiter(weight, priority)
        self._queue(waiter)
        try:
            if timeout is not None and not waiter.wait(timeout):
                self._expire(waiter, timeout)
            waiter.wait(None)
            if waiter.error is not None:
                raise waiter.error
        except BaseException as error:
            self._withdraw(waiter, error)
            raise

    def _queue(self, waiter: Caller) -> None:
        try:
            self._enqueue(waiter)
        except LimitReachedError as error:
            _tell(error)
            raise
        self._settle()

    def _expire(self, waiter: Caller, timeout: float) -> None:
        with self._lock:
            queued = len(self._waiters)
            if not self._leave(waiter):  # it was admitted in time
                return
            self._timed_out += 1
        waiter.refuse(AcquireTimeoutError(self._name, queued, timeout))

    def _withdraw(self, waiter: Caller, error: BaseException) -> None:
        """Leave nothing behind of a waiter that goes without having run."""
        if not self._leave(waiter) and not waiter.dropped:  # permits came, but nobody is here to use them
            self._note_resumed(waiter)
            self.release(waiter.weight)
        elif self._waiters and (self._lost or len(self._held) < self._capacity):
            self._settle()  # what was kept free for it, or was to be recovered by it, is enough for the next
        if isinstance(error, LimitReachedError):
            _tell(error)


def _tell(error: LimitReachedError) -> None:
    happened = "limiter.timed_out" if isinstance(error, AcquireTimeoutError) else "limiter.rejected"
    emit(happened, error.limiter, counted=error.counted, allowed=error.allowed)
