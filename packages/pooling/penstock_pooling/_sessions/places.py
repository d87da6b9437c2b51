"""So many places for connections to a server, lent to threads or tasks, first come, first served."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any

from penstock_limits import Mode, configuration, emit
from penstock_limits.forks import after_fork
from penstock_limits.introspection import CallSite

from penstock_pooling._pools.callers import listed
from penstock_pooling._pools.counters import Counters
from penstock_pooling._pools.errors import PoolDeadlockError, PoolQueueFullError, PoolTimeoutError, as_drivers_own
from penstock_pooling._pools.resource import PoolResource
from penstock_pooling._pools.statistics import PoolStatistics
from penstock_pooling._sessions.ownership import may_be_handed_on
from penstock_pooling._sessions.waiters import Borrower, Loan, TaskWaiter, ThreadWaiter, Waiter

__all__ = ["Places"]


class Places(PoolResource):
    """A resource of the kind `pool`: places for connections, and the queue for them.

    How many there are, and how long a caller waits, is read from the configuration that holds: `rag_pool_max_size`
    and `database_operation_timeout`. Places may be taken and given back in any thread, also by the garbage collector.
    Who makes them, or opens them, enters them among the resources: here they are only half made.

    Args:
        name: What people know it by; no secret.

    Attributes:
        to_raise: The settings to raise for more places, and for more time.
        drivers_error: What code that was written for the driver catches, where one class can be both.
    """

    to_raise: tuple[str, str] = ("rag_pool_max_size", "database_operation_timeout")
    drivers_error: type[Exception] | None = None

    def __init__(self, name: str) -> None:
        self._name = name
        self._pid = os.getpid()
        self._begin()
        after_fork(self.forked)

    def _begin(self) -> None:
        """Have no place out and nobody in the queue, and count from 0."""
        self._lock = threading.Lock()
        self._lent: dict[Loan, None] = {}
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()
        self._waiting: set[Borrower] = set()
        self._returned: deque[tuple[Loan, Any]] = deque()
        self._handing_on: set[CallSite] = set()  # lines that do not give back what they borrow
        self._counters = Counters()

    def forked(self) -> None:
        """Leave all to the parent, in a child that was just forked: places, and who has them or waits for them.

        A thread that waits, and is here as the handler of a signal has forked in it, goes on without a pool.
        """
        waiters = tuple(self._waiters)
        self._begin()
        for waiter in waiters:
            if isinstance(waiter, ThreadWaiter):
                waiter.leave(admitted=False)

    def __repr__(self) -> str:
        out = f"{len(self._lent)} of {self.max_size} out, {self._count_idle()} idle"
        return f"<{type(self).__name__} {self._name!r} {self.mode}: {out}, {len(self._waiters)} queued>"

    @property
    def min_size(self) -> int:
        """How many connections are kept open."""
        return 0

    @property
    def max_size(self) -> int:
        """How many connections may be out, and open."""
        return configuration().rag_pool_max_size

    @property
    def max_queued(self) -> int | None:
        """How many callers may wait; None for any number."""
        return None

    @property
    def patience(self) -> float | None:
        """How many seconds a caller waits; None for any time."""
        return configuration().database_operation_timeout

    # --- lending

    def borrow(self, site: CallSite) -> Loan | None:
        """Take a place; block the thread until one is free.

        Returns:
            The place; None if there is no pool any more.

        Raises:
            PoolTimeoutError: None came free in time.
            PoolDeadlockError: All are held by the caller, or by threads that wait as it does.
            PoolQueueFullError: As many callers wait as may wait.
        """
        waiter = ThreadWaiter(site)
        if self._enter(waiter):
            return waiter.loan
        began, patience = time.monotonic(), self.patience
        try:
            self._refuse_deadlock(waiter)
            if not waiter.wait(patience):
                self._expire(waiter, patience)
        except BaseException:
            self._withdraw(waiter)
            raise
        return self._after(waiter, began)

    async def borrow_async(self, site: CallSite, timeout: float | None = None) -> Loan | None:  # noqa: ASYNC109 - the queue says what a timeout is
        """Take a place; wait until one is free, for so many seconds if given; otherwise as `borrow()`."""
        waiter = TaskWaiter(site)
        if self._enter(waiter):
            return waiter.loan
        began, patience = time.monotonic(), self.patience if timeout is None else timeout
        try:
            self._refuse_deadlock(waiter)
            if not await waiter.wait(patience):
                self._expire(waiter, patience)
        except BaseException:
            self._withdraw(waiter)
            raise
        return self._after(waiter, began)

    def give_back(self, loan: Loan, session: Any = None) -> None:
        """Give a place back, and with it what may be lent again.

        It waits for nothing, and so may be called by the garbage collector, which runs anywhere.
        """
        self._returned.append((loan, session))
        self._settle()

    def mode_changed(self) -> None:
        """Look at the mode again; if there is no pool any more, nobody waits for it."""
        if self.mode is not Mode.ENFORCE:
            with self._locked():
                while self._waiters:
                    self._pop().leave(admitted=False)

    # --- with the lock

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            yield
        self._settle()

    def _settle(self) -> None:
        """Take in what was given back, unless somebody has the lock: he does it when he is done."""
        while self._returned and (lock := self._lock).acquire(blocking=False):  # a fork gives the child another
            try:
                while self._returned:
                    self._take_in(*self._returned.popleft())
            finally:
                lock.release()

    def _take_in(self, loan: Loan, session: Any) -> None:
        if session is not None:
            self._keep(session)
        if loan in self._lent:
            del self._lent[loan]
            self._counters.note_hold(time.monotonic() - loan.lent_at)
        self._serve()

    def _serve(self) -> None:
        """Let those who wait longest have what is free."""
        while self._waiters and len(self._lent) < self.max_size:
            waiter = self._pop()
            if waiter.leave(admitted=True):
                self._lend(waiter.loan)

    def _lend(self, loan: Loan) -> None:
        counters = self._counters
        counters.nested += any(each.borrower is loan.borrower for each in self._lent)
        loan.lent_at = time.monotonic()
        self._lent[loan] = None
        counters.acquired += 1
        counters.peak_running = max(counters.peak_running, len(self._lent))

    def _pop(self) -> Waiter:
        waiter, _ = self._waiters.popitem(last=False)
        self._waiting.discard(waiter.borrower)
        return waiter

    def _remove(self, waiter: Waiter) -> bool:
        if waiter not in self._waiters:
            return False
        del self._waiters[waiter]
        self._waiting.discard(waiter.borrower)
        return True

    def _keep(self, session: Any) -> None:
        """Keep what may be lent again."""

    def _count_idle(self) -> int:
        return 0

    # --- the queue

    def _enter(self, waiter: Waiter) -> bool:
        """Take a place that is free, or join the queue."""
        with self._locked():
            self._serve()  # there may be more places than before
            if not self._waiters and len(self._lent) < self.max_size:
                self._lend(waiter.loan)
                return True
            queued, most = len(self._waiters), self.max_queued
            if most is None or queued < most:
                self._waiters[waiter] = None
                self._waiting.add(waiter.borrower)
                return False
            self._counters.rejected += 1
            error = PoolQueueFullError(self._name, queued, most, self._out())
        emit("pool.rejected", self._name, counted=queued, allowed=most, borrowers=error.borrowers)
        raise self._refusal(error)

    def _after(self, waiter: Waiter, began: float) -> Loan | None:
        if not waiter.admitted:
            return None
        with self._locked():
            self._counters.note_wait(time.monotonic() - began)
        return waiter.loan

    def _expire(self, waiter: Waiter, patience: float | None) -> None:
        """Refuse a caller that has waited for as long as it would, unless it was served in the last moment."""
        assert patience is not None  # else it would wait still
        with self._locked():
            if not self._remove(waiter):
                return
            self._counters.timed_out += 1
            error = PoolTimeoutError(self._name, len(self._waiters) + 1, patience, self._out())
        emit("pool.timed_out", self._name, allowed=patience, borrowers=error.borrowers)
        raise self._refusal(error)

    def _withdraw(self, waiter: Waiter) -> None:
        """Leave nothing behind of a caller that goes without a connection."""
        with self._locked():
            self._remove(waiter)
        if waiter.admitted:
            self.give_back(waiter.loan)

    def _refuse_deadlock(self, waiter: Waiter) -> None:
        """Refuse a caller if whoever has a place waits for one, as it does."""
        with self._locked():
            lent, waiting = list(self._lent), set(self._waiting)
        if len(lent) < self.max_size or not all(loan.borrower in waiting for loan in lent):
            return
        if not all(self._comes_from_its_borrower(loan, waiting) for loan in lent):
            return
        with self._locked():
            if not self._remove(waiter):
                return
            self._counters.deadlocked += 1
            error = PoolDeadlockError(self._name, len(lent), self.max_size, self._out())
        emit("pool.deadlocked", self._name, allowed=self.max_size, borrowers=error.borrowers)
        raise self._refusal(error)

    def _comes_from_its_borrower(self, loan: Loan, waiting: set[Borrower]) -> bool:
        if loan.site in self._handing_on:
            return False
        connection = loan.connection and loan.connection()
        if connection is None:  # it has just been lost
            return False
        if may_be_handed_on(connection, waiting):
            self._handing_on.add(loan.site)  # asked once: it takes a look at everything in memory
            return False
        return True

    # --- what is told

    def _refusal(self, error: PoolQueueFullError | PoolTimeoutError) -> Exception:
        if isinstance(error, PoolTimeoutError):
            error.settings = self.to_raise
        return error if self.drivers_error is None else as_drivers_own(error, self.drivers_error)

    def statistics(self) -> PoolStatistics:
        """Return a snapshot of its counters."""
        with self._locked():
            idle, running = self._count_idle(), self._count_running()
            return PoolStatistics(
                mode=self.mode,
                running=running,
                max_running=self.max_size,
                min_size=self.min_size,
                open=running + idle,
                idle=idle,
                queued=len(self._waiters),
                max_queued=self.max_queued,
                **self._counters.as_dict(),  # type: ignore[arg-type]
            )

    def _count_running(self) -> int:
        return len(self._lent)

    def _out(self) -> str:
        now = time.monotonic()
        return listed((loan.site, now - loan.lent_at) for loan in self._lent) or "none"
