"""A FIFO limit on how much runs at once.

Permits are tokens in two deques, free and held. Taking one and giving it back is one C-atomic `pop` and one `append`,
so the uncontended path needs no lock and is right with several threads and under a tracer. Each token counts its uses,
which makes the total exact without a shared counter. Everything else - waiting, resizing, modes - goes under a lock,
and raises `_crowded`, which sends every later entry and exit there too.

A freed permit goes straight to the caller that has waited longest, so nobody overtakes it before it resumes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import operator
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from types import EllipsisType, TracebackType
from typing import Any, Final, Literal

from penstock_limits import _modes, _resources
from penstock_limits._errors import ConfigurationError, LimitReachedError, QueueFullError
from penstock_limits._modes import Mode
from penstock_limits._statistics import LimiterStatistics
from penstock_limits._waiting import TaskWaiter, Waiter

__all__ = ["CAPABILITY", "Limiter"]

CAPABILITY: Final = "bounded-fanout"


class _Ready:
    """An awaitable that is done: awaiting it suspends nothing and costs one call in C."""

    __slots__ = ()
    __await__: Any = iter(()).__iter__


_READY: Final[Any] = _Ready()


class Limiter:
    """Lets at most `max_running` callers run at once; the others wait in order.

    `async with limiter` holds a permit. It is never re-entrant. One limiter may be shared by several event loops and
    threads.

    Args:
        name: What people know it by; None gives it a name that shows its limit.
        max_running: How many may run at once; 0 lets nobody in until `resize()`.
        max_queued: How many callers may wait before the next is refused; None for any number.
        mode: `enforce`, `observe` or `off`; None follows the mode of the capability `bounded-fanout`.

    Raises:
        ConfigurationError: A value is wrong.
    """

    __slots__ = (
        "__weakref__",
        "_abandoned",
        "_capacity",
        "_crowded",
        "_fixed_mode",
        "_free",
        "_held",
        "_lock",
        "_loops",
        "_lost",
        "_max_queued",
        "_name",
        "_peak",
        "_rejected",
        "_retired_uses",
        "_surplus",
        "_tokens",
        "_waited",
        "_waiters",
        "_would_reject",
        "_would_wait",
    )

    def __init__(
        self,
        name: str | None = None,
        *,
        max_running: int,
        max_queued: int | None = None,
        mode: Mode | str | None = Mode.ENFORCE,
    ) -> None:
        self._name = name or f"max-{max_running}"
        self._capacity = _count(self._name, "max_running", max_running)
        self._max_queued = None if max_queued is None else _count(self._name, "max_queued", max_queued)
        self._fixed_mode = None if mode is None else _modes.parse_mode(mode, f"limiter {self._name!r}: mode")
        self._free: deque[int] = deque()
        self._held: deque[int] = deque()
        self._tokens = 0  # free and held together; made when first needed, so this is also the peak
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = (
            weakref.WeakSet()
        )  # where somebody has waited or fanned out
        self._abandoned = False  # one of them was closed, maybe with permits held
        self._lost: deque[Callable[[], None]] = deque()  # what gives back permits whose holders have vanished
        self._crowded = False  # somebody waits, there are more tokens than permits, or some are lost
        # Re-entrant: the garbage collector may finalize a waiting coroutine, which leaves the queue, while it is held.
        self._lock = threading.RLock()
        self._peak = self._retired_uses = self._waited = self._rejected = self._surplus = 0
        self._would_wait = self._would_reject = 0
        _resources.enter(self)

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
    def mode(self) -> Mode:
        """Its mode now: its own, or that of the capability `bounded-fanout`."""
        return self._fixed_mode or _modes.mode_of(CAPABILITY)

    @property
    def max_running(self) -> int:
        """How many may run at once."""
        return self._capacity - self._surplus

    @property
    def max_queued(self) -> int | None:
        """How many callers may wait; None for any number."""
        return self._max_queued

    # --- the way in

    def __aenter__(self) -> Awaitable[None]:
        """Take a permit; wait for one if none is free.

        Raises:
            QueueFullError: As many callers wait as may wait.
        """
        if self._crowded:
            return self._enter()
        try:
            self._held.append(self._free.pop())
        except IndexError:
            return self._enter()
        return _READY  # type: ignore[no-any-return]

    async def acquire(self) -> Literal[True]:
        """Take a permit; wait for one if none is free. Give it back with `release()`.

        Returns:
            True.

        Raises:
            QueueFullError: As many callers wait as may wait.
        """
        await self.__aenter__()
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
        return bool(self._waiters) or len(self._held) >= self._capacity

    # --- the way out

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Awaitable[None]:
        """Give the permit back."""
        self.release()
        return _READY  # type: ignore[no-any-return]

    def release(self) -> None:
        """Give a permit back; it goes to the caller that has waited longest.

        A release without an acquire adds a permit, as with `asyncio.Semaphore`, and is counted.
        """
        if self._crowded:
            self._release_crowded()
            return
        try:
            self._free.append(self._held.pop() + 1)
        except IndexError:
            self._add_surplus()
        if self._crowded:  # somebody came in between
            self._settle()

    def resize(self, max_running: int, *, max_queued: int | EllipsisType | None = ...) -> None:
        """Change the limit with work in flight; whoever fits now starts now.

        Args:
            max_running: How many may run at once from now on.
            max_queued: How many callers may wait from now on, None for any number; as before if it is not given.

        Raises:
            ConfigurationError: A value is no whole number from 0.
        """
        capacity = _count(self._name, "max_running", max_running)
        if max_queued is not None and max_queued is not ...:
            max_queued = _count(self._name, "max_queued", max_queued)
        with self._lock:
            self._capacity = capacity + self._surplus
            if max_queued is not ...:
                self._max_queued = max_queued
        self._settle()

    def mode_changed(self) -> None:
        """Let in whoever need not wait any more; called when the mode may have changed."""
        if self._waiters:
            self._settle()

    def statistics(self) -> LimiterStatistics:
        """Return a snapshot of its counters."""
        mode = self.mode
        self._recover()
        with self._lock:
            held, free = list(self._held), list(self._free)
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
                would_wait=self._would_wait,
                would_reject=self._would_reject,
                surplus_releases=self._surplus,
            )

    # --- what callers and fan-outs share; the mode is read before the lock is taken, as its source may have its own

    def _enter(self) -> Awaitable[None]:
        mode = self.mode
        self._recover()
        with self._lock:
            admitted = self._take() or self._overdraw(mode)
        if not admitted:
            return self._wait()
        self.mode_changed()  # whoever waits may come in too, if it was the mode that let us in
        return _READY  # type: ignore[no-any-return]

    async def _wait(self) -> None:
        waiter = TaskWaiter()
        self._enqueue(waiter)
        self._settle()
        try:
            await waiter
        except BaseException:
            if not self._leave(waiter) and not waiter.dropped:  # the permit came, but nobody is here to use it
                self.release()
            raise

    def _take(self) -> bool:
        """Take a permit that is free and that nobody waits for; the lock is held."""
        return not self._waiters and self._pop()

    def _overdraw(self, mode: Mode, *, refuses: bool = False, seated: bool = False) -> bool:
        """Unless the limiter enforces, take a permit that does not exist; the lock is held.

        Args:
            mode: The limiter's mode.
            refuses: Whether the caller would have been refused, had the limiter enforced.
            seated: Whether the caller would have waited already, and so not have been refused.
        """
        if mode is Mode.ENFORCE:
            return False
        if mode is Mode.OBSERVE:
            over = self._tokens - self._capacity
            if refuses or (not seated and self._max_queued is not None and over >= self._max_queued):
                self._would_reject += 1
            else:
                self._would_wait += 1
        self._mint()
        return True

    def _join(self, number: int) -> None:
        """Count callers as running that did not ask."""
        with self._lock:
            while number and self._pop():
                number -= 1
            self._mint(number)

    def _enqueue(self, waiter: Waiter, *, always: bool = False) -> None:
        """Put a waiter at the queue's end; `_settle()` must follow, as a permit may have come free meanwhile.

        Args:
            waiter: Who waits.
            always: Ignore `max_queued`.

        Raises:
            QueueFullError: As many callers wait as may wait.
        """
        with self._lock:
            queued = len(self._waiters)
            if not always and self._max_queued is not None and queued >= self._max_queued:
                self._rejected += 1
                raise QueueFullError(self._name, queued, self._max_queued)
            self._forget_closed_loops()
            self._loops.add(waiter.loop)
            self._waiters[waiter] = None
            self._crowded = True

    def _remember(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note of a loop whose children may be left with permits, should it be closed while they run."""
        with self._lock:
            self._loops.add(loop)

    def _forget_closed_loops(self) -> None:
        """Drop waiters that nobody can wake; the children that their fan-outs left running may vanish then."""
        closed = [loop for loop in self._loops if loop.is_closed()]
        if not closed:
            return
        self._loops.difference_update(closed)
        self._abandoned = True
        for waiter in [waiter for waiter in self._waiters if waiter.loop in closed]:
            del self._waiters[waiter]
            waiter.drop()

    def _leave(self, waiter: Waiter) -> bool:
        """Take a waiter out of the queue; False if it is not there, because it has been admitted."""
        with self._lock:
            try:
                del self._waiters[waiter]
            except KeyError:
                return False
            self._recount()
            return True

    def _settle(self) -> None:
        """Retire what is too much, and admit whoever can be admitted."""
        if self._abandoned:  # tasks of a closed loop are cycles: without the collector their permits stay with them
            self._abandoned = False
            gc.collect()
        self._recover()
        while (waiter := self._next_admitted()) is not None:
            if not waiter.admit(queued=False):
                self.release()

    def _next_admitted(self) -> Waiter | None:
        mode = self.mode
        with self._lock:
            while self._tokens > self._capacity and self._free:
                self._retire(self._free)
            waiter = None
            if self._waiters and (self._pop() or self._mint_unless_enforced(mode)):
                waiter = self._first()
                if waiter is None:
                    self._free.append(self._held.pop())
            self._recount()
            return waiter

    def _lose(self, give_back: Callable[[], None]) -> None:
        """Take note of a permit whose holder has vanished; called by the garbage collector, at any time, anywhere."""
        self._lost.append(give_back)
        self._crowded = True
        with contextlib.suppress(RuntimeError, StopIteration):  # the queue is being changed; the loop is closed
            next(iter(self._waiters)).loop.call_soon_threadsafe(self._recover)

    def _recover(self) -> None:
        """Give back the permits whose holders have vanished."""
        while self._lost:
            with contextlib.suppress(IndexError):  # another thread was faster
                self._lost.popleft()()

    def _first(self) -> Waiter | None:
        """Take the longest waiting out of the queue, for whom a permit has been taken; the lock is held."""
        try:
            waiter, _ = self._waiters.popitem(last=False)
        except KeyError:  # it was finalized by the garbage collector while the permit was being taken
            return None
        self._waited += 1
        return waiter

    def _mint_unless_enforced(self, mode: Mode) -> bool:
        if mode is Mode.ENFORCE:
            return False
        self._mint()
        return True

    # --- tokens; the lock is held

    def _pop(self) -> bool:
        if self._tokens > self._capacity:
            return False
        try:
            self._held.append(self._free.pop())
        except IndexError:
            if self._tokens >= self._capacity:
                return False
            self._mint()
        return True

    def _mint(self, number: int = 1) -> None:
        self._held.extend((0,) * number)
        self._tokens += number
        self._peak = max(self._peak, self._tokens)
        self._recount()

    def _retire(self, tokens: deque[int]) -> None:
        try:
            self._retired_uses += tokens.pop()
        except IndexError:  # a thread took it first, on the path without the lock
            return
        self._tokens -= 1

    def _recount(self) -> None:
        self._crowded = bool(self._waiters) or self._tokens > self._capacity or bool(self._lost)

    def _release_crowded(self) -> None:
        with self._lock:
            waiter = self._give_back()
        self._hand_on(waiter)

    def _hand_on(self, waiter: Waiter | None) -> None:
        """Let a waiter take over the permit that it has been given, or the next if its loop is closed."""
        while waiter is not None and not waiter.admit(queued=waiter.stays):
            with self._lock:
                self._waiters.pop(waiter, None)
                self._recount()
                waiter = self._give_back()

    def _give_back(self) -> Waiter | None:
        """Retire a permit if there are too many, else return the longest waiting, whose it is now."""
        waiter = None
        if not self._held:
            self._add_surplus()
        elif self._tokens > self._capacity:
            self._retired_uses += 1
            self._retire(self._held)
            self._recount()
        elif self._waiters and (waiter := self._first()) is not None:
            self._held.append(self._held.pop() + 1)
            if waiter.stays:
                self._waiters[waiter] = None
            elif not self._waiters:
                self._recount()
        else:
            self._free.append(self._held.pop() + 1)
        return waiter

    def _add_surplus(self) -> None:
        with self._lock:
            self._surplus += 1
            self._capacity += 1
        self._settle()


def _count(limiter: str, key: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool):
        raise ConfigurationError(f"limiter {limiter!r}: {key} = {value!r}; allowed is a whole number from 0")
    return number
