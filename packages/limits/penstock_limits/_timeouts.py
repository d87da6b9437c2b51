"""Deadlines of calls: many of one length for the price of one timer, and `asyncio.wait_for` without its defect.

There is no `timeout` here: `asyncio.timeout` is right on every version from 3.11 on.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import sys
import time
from asyncio import Task
from collections.abc import Callable
from typing import Any, NoReturn
from weakref import ref

__all__ = ["Begun", "Watch", "Watches", "gone", "no_task", "wait_for"]

Begun = tuple[Task[Any], int, float]  # who makes a call, how often it had been cancelled before, and when it began


class Watch:
    """Ends calls in one event loop that take too long, all after the same time; used in the loop's thread only.

    A timer per call is most of what `asyncio.timeout` costs. Calls of equal length end in the order in which they
    begin, so one timer, for the oldest, does. What is done to a call that is late is what `asyncio.timeout` does.

    Args:
        loop: The event loop.
        seconds: How long a call may take; `math.inf` for any time.
        ends: Asked, for each call that is late, whether it is to be ended.

    Attributes:
        running: The calls, oldest first, by a number of their own. To start one, enter it here, and set the timer if
            there is none; `start()` does both.
        timer: The timer for the oldest call, if it is set.
        loop: The event loop.
        now: The loop's time.
    """

    __slots__ = ("__weakref__", "_ends", "_late", "_seconds", "loop", "now", "running", "timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, ends: Callable[[], bool]) -> None:
        self.running: dict[int, Begun] = {}
        self.timer: asyncio.Handle | None = None
        # What loop.time does, for half its price; loops with a time of their own have their own.
        plain = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
        self.now = time.monotonic if plain else loop.time
        self.loop = loop
        self._seconds = seconds
        self._ends = ends
        self._late: dict[int, tuple[Begun, bool]] = {}  # and whether they were ended

    def start(self, number: int, task: Task[Any]) -> None:
        """Watch a call of the current task, which must `leave()`."""
        self.running[number] = begun = task, task.cancelling(), self.now()
        if self.timer is None:
            self.set_timer(begun)

    def set_timer(self, begun: Begun) -> None:
        """Set the timer for the oldest call."""
        if self._seconds == math.inf:
            return
        when = begun[2] + self._seconds
        # In a context of its own, or the first caller's would be kept for as long as there are calls.
        context = contextvars.Context()
        if when <= self.now():  # as asyncio.timeout does: before the task runs again
            self.timer = self.loop.call_soon(self._fire, context=context)
        else:
            self.timer = self.loop.call_at(when, self._fire, context=context)

    def leave(self, number: int, error: BaseException | None = None) -> bool:
        """Watch a call no longer; tell whether it ended with this error only because it was late."""
        if self.running.pop(number, None) is not None:
            return False
        (task, cancelling, _), ended = self._late.pop(number)
        return ended and task.uncancel() <= cancelling and isinstance(error, asyncio.CancelledError)

    def close(self) -> None:
        """Let go of the timer, when nothing is watched any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _fire(self) -> None:
        self.timer = None
        now, late = self.now(), []
        for number, begun in self.running.items():
            if begun[2] + self._seconds > now:
                self.set_timer(begun)
                break
            late.append(number)
        for number in late:
            ends = self._ends()
            begun_late = self.running.pop(number, None)
            if begun_late is None:  # the garbage collector has just closed it
                continue
            self._late[number] = begun_late, ends
            if ends:
                begun_late[0].cancel()


class Watches:
    """One watch for each event loop in which calls are made; used by several loops and threads at once.

    A watch is kept by its calls and by its timer, which the loop has, and by nobody else. So what is left in a loop
    that was closed can be collected, and that ends it.

    Args:
        seconds: As for `Watch`.
        ends: As for `Watch`.

    Attributes:
        known: Returns, for a loop, what returns its watch, or None if that is gone: `known(loop, gone)() or of(loop)`.
    """

    __slots__ = ("_ends", "_seconds", "_watches", "known")

    def __init__(self, seconds: float, ends: Callable[[], bool]) -> None:
        self._watches: dict[asyncio.AbstractEventLoop, Callable[[], Watch | None]] = {}
        self.known = self._watches.get
        self._seconds = seconds
        self._ends = ends

    def of(self, loop: asyncio.AbstractEventLoop) -> Watch:
        """Return a new watch of a loop, which has none; those of closed loops go."""
        for each in tuple(self._watches):
            if each.is_closed():
                self._watches.pop(each, None)
        watch = Watch(loop, self._seconds, self._ends)
        self._watches[loop] = ref(watch)
        return watch


def gone() -> None:
    """Stand for a watch that there is not."""


def no_task() -> NoReturn:
    """Refuse to make a call outside of a task.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("a call with a deadline needs a task that can be cancelled; make it in one")


if sys.version_info >= (3, 12):
    wait_for = asyncio.wait_for
else:

    async def wait_for(fut: Any, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncio's own shape
        """Wait for an awaitable, for so many seconds at most: `asyncio.wait_for` as it is from Python 3.12 on.

        On 3.11 asyncio's own swallows a cancellation that comes at the moment when the result is there
        (github.com/python/cpython/issues/86296), and the task that was to be stopped goes on.

        Args:
            fut: The awaitable. It is cancelled when the time is over, and when the caller is.
            timeout: Seconds; None for any time. With 0 or less, only a result that is there already is returned.

        Returns:
            Its result, also if it ignored that its time was over.

        Raises:
            TimeoutError: The time was over.
            asyncio.CancelledError: The caller was cancelled, even if the awaitable ignored that.
        """
        if timeout is not None and timeout <= 0:
            return await _at_once(fut)
        task = asyncio.current_task()
        cancelling = task.cancelling() if task else 0
        async with asyncio.timeout(timeout):
            result = await fut
        if task and task.cancelling() > cancelling:
            raise asyncio.CancelledError
        return result

    async def _at_once(awaitable: Any) -> Any:
        future = asyncio.ensure_future(awaitable)
        if not future.done():
            future.cancel()
            await asyncio.wait((future,))
            if future.cancelled():
                try:
                    future.result()
                except asyncio.CancelledError as error:
                    raise TimeoutError from error
        return future.result()
