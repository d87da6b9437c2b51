"""The permits of a limiter, and who waits for them.

Permits are tokens in two deques, free and held. Taking one and giving it back is one C-atomic `pop` and one `append`,
so the uncontended path needs no lock and is right with several threads and under a tracer. Each token counts its uses,
which makes the total exact without a shared counter. Everything else - waiting, resizing, modes - goes under a lock,
and raises `_crowded`, which sends every later entry and exit there too.

A freed permit goes straight to the caller whose turn it is, so nobody overtakes it before it resumes. For a caller that
asks for several permits they are kept free, until there are enough for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

from penstock_limits import _modes
from penstock_limits._errors import QueueFullError
from penstock_limits._limiters.wait_queue import AgingQueue, FifoQueue, Shed, WaitQueue, victim
from penstock_limits._limiters.waiting import TaskWaiter, ThreadWaiter, Waiter
from penstock_limits._modes import Mode
from penstock_limits._queue_time import QueueTime

__all__ = ["CAPABILITY", "Permits"]

CAPABILITY: Final = "bounded-fanout"


class Permits:
    """What a limiter counts; the mode is read before the lock is taken, as its source may have its own."""

    __slots__ = (
        "_abandoned",
        "_aging",
        "_capacity",
        "_clock",
        "_crowded",
        "_fixed_mode",
        "_free",
        "_heavy",
        "_held",
        "_inherited",
        "_lock",
        "_loops",
        "_lost",
        "_max_queued",
        "_name",
        "_peak",
        "_queue_time",
        "_rejected",
        "_resuming",
        "_retired_uses",
        "_shed",
        "_surplus",
        "_timed_out",
        "_tokens",
        "_waited",
        "_waiters",
        "_would_reject",
        "_would_wait",
    )

    def __init__(
        self,
        name: str,
        capacity: int,
        max_queued: int | None,
        mode: Mode | None,
        shed: Shed,
        aging: float,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._capacity = capacity
        self._max_queued = max_queued
        self._fixed_mode = mode
        self._shed: Shed = shed
        self._aging = aging
        self._clock = clock
        self._inherited = 0  # permits that were out when this process was forked
        self._begin()

    def _begin(self) -> None:
        """Have no permit out and nobody in the queue, and count from 0."""
        self._free: deque[int] = deque()
        self._held: deque[int] = deque()
        self._tokens = 0  # free and held together; made when first needed, so this is also the peak
        self._waiters: WaitQueue = FifoQueue()
        self._queue_time = QueueTime(self._clock)
        self._heavy = 0  # how many of them ask for several permits
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = (
            weakref.WeakSet()
        )  # where somebody has waited or fanned out
        self._abandoned = False  # one of them was closed, maybe with permits held
        self._lost: deque[Callable[[], None]] = deque()  # what gives back permits whose holders have vanished
        self._resuming = 0  # tasks that have been admitted, and whose turn to run has not come yet
        self._crowded = False  # somebody waits or resumes, there are more tokens than permits, or some are lost
        # Re-entrant: the garbage collector may finalize a waiting coroutine, which leaves the queue, while it is held.
        self._lock = threading.RLock()
        self._peak = self._retired_uses = self._waited = self._rejected = self._timed_out = self._surplus = 0
        self._would_wait = self._would_reject = 0

    def _forked(self) -> None:
        """Begin anew in a forked child: those that hold permits, or wait for them, are its parent's.

        Only the thread that forked may still give back what it holds; that is then no permit of this process. If it is
        among those that wait, as it may be if a signal's handler has forked, it goes on.
        """
        waiters = self._waiters.snapshot()
        self._inherited += len(self._held)
        self._capacity -= self._surplus
        self._begin()
        for waiter in waiters:
            if not isinstance(waiter, ThreadWaiter):
                waiter.drop()
            elif waiter.thread == threading.get_ident():
                self._inherited += waiter.weight
                waiter.admit(queued=False)

    @property
    def mode(self) -> Mode:
        """Its mode now: its own, or that of the capability `bounded-fanout`."""
        return self._fixed_mode or _modes.mode_of(CAPABILITY)

    def release(self, weight: int = 1) -> None:
        """Give permits back; they go to the callers whose turn it is.

        A release without an acquire adds a permit, as with `asyncio.Semaphore`, and is counted.

        Args:
            weight: How many.
        """
        if weight != 1:
            for _ in range(weight):
                self.release()
            return
        if self._crowded:
            self._release_crowded()
            return
        try:
            self._free.append(self._held.pop() + 1)
        except IndexError:
            self._add_surplus()
        if self._crowded:  # somebody came in between
            self._settle()

    def mode_changed(self) -> None:
        """Let in whoever need not wait any more; called when the mode may have changed."""
        if self._waiters:
            self._settle()

    # --- the way in; the lock is held

    def _take(self, weight: int = 1) -> bool:
        """Take permits that are free and that nobody waits for."""
        return not self._waiters and self._pop_weight(weight)

    def _overdraw(self, mode: Mode, weight: int = 1, *, refuses: bool = False, seated: bool = False) -> bool:
        """Unless the limiter enforces, take permits that do not exist.

        Args:
            mode: The limiter's mode.
            weight: How many.
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
        self._join(weight)
        return True

    def _enqueue(self, waiter: Waiter, *, always: bool = False) -> None:
        """Put a waiter into the queue; `_settle()` must follow, as a permit may have come free meanwhile.

        Args:
            waiter: Who waits.
            always: Ignore `max_queued`.

        Raises:
            QueueFullError: As many callers wait as may wait, and this one gives way.
        """
        with self._lock:
            self._forget_closed_loops()
            if not always:
                self._make_room(waiter)
            if waiter.loop is not None:
                self._loops.add(waiter.loop)
            if waiter.priority and isinstance(self._waiters, FifoQueue):
                self._waiters = AgingQueue(self._aging, self._clock, self._waiters)
            self._waiters[waiter] = self._queue_time.changes(len(self._waiters))
            self._heavy += waiter.weight > 1
            self._crowded = True

    def _make_room(self, waiter: Waiter) -> None:
        """If the queue is full, refuse the waiter, or somebody in the queue."""
        queued = len(self._waiters)
        if self._max_queued is None or queued < self._max_queued:
            return
        error = QueueFullError(self._name, queued, self._max_queued)
        loser = victim(self._waiters, waiter, self._shed)
        if loser is None:
            self._rejected += 1
            raise error
        with contextlib.suppress(KeyError):  # the collector was faster, and nobody need give way
            self._remove(loser)
            self._rejected += 1
            loser.refuse(error)

    def _leave(self, waiter: Waiter) -> bool:
        """Take a waiter out of the queue; False if it is not there, because it has been admitted or refused."""
        with self._lock:
            try:
                self._remove(waiter)
            except KeyError:
                return False
            self._recount()
            return True

    def _remove(self, waiter: Waiter) -> None:
        queued = len(self._waiters)
        self._queue_time.left(queued, self._waiters.pop(waiter))
        self._heavy -= waiter.weight > 1

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
        self._resuming = 0  # some of them never will; those of other loops just lose their precedence
        for waiter in self._waiters.snapshot():
            if waiter.loop in closed:
                with contextlib.suppress(KeyError):  # the collector was faster
                    self._remove(waiter)
                    waiter.drop()

    # --- whose turn it is

    def _settle(self) -> None:
        """Retire what is too much, and admit whoever can be admitted."""
        if self._abandoned:  # tasks of a closed loop are cycles: without the collector their permits stay with them
            self._abandoned = False
            gc.collect()
        self._recover()
        while (waiter := self._next_admitted()) is not None:
            if not waiter.admit(queued=False):
                self._note_resumed(waiter)
                self.release(waiter.weight)

    def _next_admitted(self) -> Waiter | None:
        mode = self.mode
        with self._lock:
            while self._tokens > self._capacity and self._free:
                self._retire(self._free)
            waiter = None
            if self._heavy:
                waiter = self._first_by_weight(mode)
            elif self._waiters and (self._pop() or self._mint_unless_enforced(mode)):
                waiter = self._first(stays=False)
                if waiter is None:
                    self._free.append(self._held.pop())
            self._recount()
            return waiter

    def _first(self, *, stays: bool) -> Waiter | None:
        """Take the first out of the queue, for whom a permit has been taken; the lock is held.

        Args:
            stays: Whether one that goes to the queue's end, and not out of it, is put there by the caller.
        """
        try:
            waiter, came = self._waiters.popitem(last=False)
        except KeyError:  # it was finalized by the garbage collector while the permit was being taken
            return None
        if not (stays and waiter.stays):
            self._queue_time.left(len(self._waiters) + 1, came)
        self._note_admitted(waiter)
        return waiter

    def _first_by_weight(self, mode: Mode) -> Waiter | None:
        """Take the first out of the queue, if there are as many permits as it asks for; the lock is held."""
        while (waiter := self._waiters.first()) is not None:
            if not self._pop_weight(waiter.weight):
                if mode is Mode.ENFORCE:
                    return None
                self._join(waiter.weight)
            try:
                self._remove(waiter)
            except KeyError:  # as above
                self._put_back(waiter.weight)
            else:
                self._note_admitted(waiter)
                return waiter
        return None

    def _note_admitted(self, waiter: Waiter) -> None:
        self._waited += 1
        self._resuming += isinstance(waiter, TaskWaiter)

    def _note_resumed(self, waiter: Waiter) -> None:
        with self._lock:
            self._resuming = max(0, self._resuming - isinstance(waiter, TaskWaiter))
            self._recount()

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

    def _pop_weight(self, weight: int) -> bool:
        """Take several permits or none; a weight above the limit is admitted alone, as no wait would help it."""
        if weight == 1:
            return self._pop()
        fits = weight <= self._capacity - len(self._held)
        alone = weight > self._capacity > 0 and not self._held
        if not (fits or alone):
            return False
        taken = 0
        while taken < weight and self._pop():
            taken += 1
        if taken < weight and alone:
            self._mint(weight - taken)
        elif taken < weight:  # another thread took one meanwhile, on the path without the lock
            self._put_back(taken)
            return False
        return True

    def _put_back(self, number: int) -> None:
        for _ in range(number):
            self._free.append(self._held.pop())

    def _join(self, number: int) -> None:
        """Take so many permits, whether they exist or not."""
        with self._lock:
            while number and self._pop():
                number -= 1
            self._mint(number)

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
        self._crowded = bool(self._waiters or self._resuming or self._tokens > self._capacity or self._lost)

    # --- the way out

    def _release_crowded(self) -> None:
        with self._lock:
            waiter = self._give_back()
        self._hand_on(waiter)
        self._recover()

    def _hand_on(self, waiter: Waiter | None) -> None:
        """Let a waiter take over the permits that it has been given, or the next if its loop is closed."""
        while waiter is not None and not waiter.admit(queued=waiter.stays):
            with self._lock:
                if waiter.stays:
                    self._leave(waiter)
                self._put_back(waiter.weight - 1)
                self._note_resumed(waiter)
                waiter = self._give_back()

    def _give_back(self) -> Waiter | None:
        """Retire a permit if there are too many, else return whose turn it is, and whose the permit is now."""
        waiter = None
        if not self._held:
            self._add_surplus()
        elif self._tokens > self._capacity:
            self._retired_uses += 1
            self._retire(self._held)
            self._recount()
        elif self._heavy:
            self._free.append(self._held.pop() + 1)
            waiter = self._first_by_weight(Mode.ENFORCE)
            if waiter is not None and waiter.stays:
                self._waiters[waiter] = None
            self._recount()
        elif self._waiters and (waiter := self._first(stays=True)) is not None:
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
            if self._inherited:
                self._inherited -= 1
                return
            self._surplus += 1
            self._capacity += 1
        self._settle()

    # --- permits whose holders have vanished

    def _lose(self, give_back: Callable[[], None]) -> None:
        """Take note of a lost permit; called by the garbage collector, at any time, anywhere."""
        self._lost.append(give_back)
        self._crowded = True
        for waiter in self._waiters.snapshot():
            with contextlib.suppress(RuntimeError):  # its loop is closed
                waiter.nudge(self._recover)
                return

    def _recover(self) -> None:
        """Give back the permits whose holders have vanished."""
        while self._lost:
            with contextlib.suppress(IndexError):  # another thread was faster
                self._lost.popleft()()
