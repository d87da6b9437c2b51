"""Who waits in a limiter's queue: a task, or a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, ClassVar, Protocol

from penstock_limits._settling import call_in_loop, settle

__all__ = ["Caller", "TaskWaiter", "ThreadWaiter", "Waiter"]


class Waiter(Protocol):
    """Somebody in a limiter's queue.

    Attributes:
        stays: Whether a freed permit sends it to the queue's end, until it leaves, and not out of the queue.
        weight: How many permits it asks for.
        priority: How urgent it is; more goes first.
    """

    stays: ClassVar[bool]
    weight: int
    priority: int

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop in which it waits; None if it is a thread."""
        ...

    def admit(self, *, queued: bool) -> bool:
        """Take over the permits; called without a lock held, in whatever thread and task freed them.

        No code of users may run within: it would run in the task, and fail in the face, of a stranger.

        Args:
            queued: Whether it is still in the queue.

        Returns:
            False if its loop is closed; then it has not taken the permits.
        """
        ...

    def nudge(self, callback: Callable[[], None]) -> None:
        """Run a callback where it waits; called by the garbage collector, so nothing may be locked or waited for."""
        ...

    def drop(self) -> None:
        """Take note that it was taken out of the queue, as its loop is closed."""


class TaskWaiter:
    """A task that waits.

    Args:
        weight: How many permits it asks for.
        priority: How urgent it is.

    Attributes:
        dropped: Whether it left the queue without permits.
    """

    __slots__ = ("_future", "dropped", "priority", "weight")
    stays: ClassVar[bool] = False

    def __init__(self, weight: int = 1, priority: int = 0) -> None:
        self.weight = weight
        self.priority = priority
        self.dropped = False
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __await__(self) -> Generator[Any, None, None]:
        if self._future.done():
            yield  # those whose turn came before, or who gave way, go on first
        yield from self._future

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._future.get_loop()

    def admit(self, *, queued: bool) -> bool:  # noqa: ARG002 - it never stays
        if call_in_loop(self._future.get_loop(), settle, self._future):
            return True
        self.dropped = True  # the loop was closed with this task still waiting
        return False

    def refuse(self, error: Exception) -> None:
        """Take note that it was taken out of the queue, and fail with this error."""
        self.dropped = True
        call_in_loop(self._future.get_loop(), settle, self._future, error)

    def nudge(self, callback: Callable[[], None]) -> None:
        self._future.get_loop().call_soon_threadsafe(callback)

    def drop(self) -> None:
        self.dropped = True


class ThreadWaiter:
    """A thread that waits; its gate is a bare lock, which even the garbage collector may open at any time.

    Args:
        weight: How many permits it asks for.
        priority: How urgent it is.

    Attributes:
        dropped: Whether it left the queue without permits.
        error: What it was refused with.
        thread: The number of the thread, which stays the same in a child that it forks.
    """

    __slots__ = ("_gate", "_nudges", "admitted", "dropped", "error", "priority", "thread", "weight")
    stays: ClassVar[bool] = False

    def __init__(self, weight: int = 1, priority: int = 0) -> None:
        self.weight = weight
        self.priority = priority
        self.admitted = self.dropped = False
        self.error: Exception | None = None
        self._nudges: list[Callable[[], None]] = []
        self.thread = threading.get_ident()
        self._gate = threading.Lock()
        self._gate.acquire()

    @property
    def loop(self) -> None:
        return None

    def wait(self, timeout: float | None) -> bool:
        """Block until it is admitted or refused; False if the timeout, in seconds, comes first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (self.admitted or self.dropped):
            left = -1 if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._gate.acquire(timeout=min(left, threading.TIMEOUT_MAX)):
                return False
            while self._nudges:
                self._nudges.pop()()
        return True

    def admit(self, *, queued: bool) -> bool:  # noqa: ARG002 - it never stays
        self.admitted = True
        self._open()
        return True

    def refuse(self, error: Exception) -> None:
        """Take note that it was taken out of the queue, and fail with this error."""
        self.error = error
        self.dropped = True
        self._open()

    def nudge(self, callback: Callable[[], None]) -> None:
        self._nudges.append(callback)
        self._open()

    def drop(self) -> None:
        """A thread has no loop that could be closed."""

    def _open(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is open
            self._gate.release()


Caller = TaskWaiter | ThreadWaiter
