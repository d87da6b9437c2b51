"""Who waits for a place: a thread, or a task."""

from __future__ import annotations

import asyncio
import threading
import weakref
from asyncio import Task
from collections.abc import Callable
from threading import Thread
from typing import Any, Protocol

from penstock_limits.introspection import CallSite

__all__ = ["Borrower", "Loan", "TaskWaiter", "ThreadWaiter", "Waiter"]

Borrower = Thread | Task[Any]


class Loan:
    """One place, and who has it.

    Args:
        borrower: The thread or the task.
        site: Which line of code has asked.

    Attributes:
        lent_at: Since when, by the monotonic clock.
        connection: Returns what was lent, as long as anybody has it; None before.
    """

    __slots__ = ("_borrower", "connection", "lent_at", "site")

    def __init__(self, borrower: Borrower, site: CallSite) -> None:
        self._borrower = weakref.ref(borrower)
        self.site = site
        self.lent_at = 0.0
        self.connection: Callable[[], Any] | None = None

    @property
    def borrower(self) -> Borrower | None:
        """The thread or the task; None if it is gone."""
        return self._borrower()  # weak: a task that has failed keeps alive what it had


class Waiter(Protocol):
    """Somebody in the queue.

    Attributes:
        borrower: Who it is.
        loan: What it waits for.
        admitted: Whether it got it; None as long as it waits.
    """

    borrower: Borrower
    loan: Loan
    admitted: bool | None

    def leave(self, *, admitted: bool) -> bool:
        """Let it go on; False if it cannot, as its event loop is closed."""
        ...


class ThreadWaiter:
    """A thread that waits."""

    __slots__ = ("_gate", "admitted", "borrower", "loan")

    def __init__(self, site: CallSite) -> None:
        self.borrower: Borrower = threading.current_thread()
        self.loan = Loan(self.borrower, site)
        self.admitted: bool | None = None
        self._gate = threading.Lock()
        self._gate.acquire()

    def wait(self, timeout: float | None) -> bool:
        """Block until it is let go; False if that takes too long."""
        return self._gate.acquire(timeout=-1 if timeout is None else min(timeout, threading.TIMEOUT_MAX))

    def leave(self, *, admitted: bool) -> bool:
        self.admitted = admitted
        self._gate.release()
        return True


class TaskWaiter:
    """A task that waits."""

    __slots__ = ("_future", "admitted", "borrower", "loan")

    def __init__(self, site: CallSite) -> None:
        task = asyncio.current_task()
        assert task is not None  # else there is no loop, and nothing to wait with
        self.borrower: Borrower = task
        self.loan = Loan(task, site)
        self.admitted: bool | None = None
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self, timeout: float | None) -> bool:  # noqa: ASYNC109 - the queue says what a timeout is
        """Wait until it is let go; False if that takes too long."""
        done, _ = await asyncio.wait([self._future], timeout=timeout)
        return bool(done)

    def leave(self, *, admitted: bool) -> bool:
        self.admitted = admitted  # first: the task may run on, in its own thread, before this one does
        try:  # not woken here: this may be the garbage collector, in any thread
            self._future.get_loop().call_soon_threadsafe(self._wake)
        except RuntimeError:  # the loop is closed
            self.admitted = None
            return False
        return True

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)
