"""Deadlines of one length, with one timer of the event loop for all of them.

A timer per call is most of what `asyncio.timeout` costs. Deadlines of the same length end in the order in which they
start, so a queue and a timer for its head do the same. What a deadline does to its task is what `asyncio.timeout` does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from penstock_limits._errors import CallTimeoutError

__all__ = ["Deadline", "Deadlines", "current_task"]

_MANY = 64  # ended deadlines behind one that is still running, before they are swept out


class Deadlines:
    """Makes deadlines of one length, for calls in any event loop.

    Args:
        policy: The name of the policy they belong to.
        deadline: What they are called: `total_timeout` or `attempt_timeout`.
        seconds: Their length.
    """

    __slots__ = ("_deadline", "_policy", "_queues", "seconds")

    def __init__(self, policy: str, deadline: str, seconds: float) -> None:
        self.seconds = seconds
        self._policy = policy
        self._deadline = deadline
        self._queues: dict[asyncio.AbstractEventLoop, _Queue] = {}

    def start(self, task: asyncio.Task[Any]) -> Deadline:
        """Start a deadline of a task, which is running and must `leave()` it."""
        loop = task.get_loop()
        queue = self._queues.get(loop)
        if queue is None:
            queue = self._queue_for(loop)
        deadline = Deadline(queue, self, task, loop.time() + self.seconds)
        queue.deadlines.append(deadline)
        if queue.timer is None:
            queue.timer = loop.call_at(deadline.when, queue.fire)
        return deadline

    def error(self) -> CallTimeoutError:
        """Return what a call is told that was too slow."""
        return CallTimeoutError(self._policy, self._deadline, self.seconds)

    def _queue_for(self, loop: asyncio.AbstractEventLoop) -> _Queue:
        queues = {each: queue for each, queue in self._queues.items() if not each.is_closed()}
        queues[loop] = queue = _Queue(loop)
        self._queues = queues  # a new one, as threads with other loops may look at the old one now
        return queue


class _Queue:
    """The deadlines of one loop; used in its thread only."""

    __slots__ = ("_ended", "_loop", "deadlines", "timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ended = 0  # how many of them are only here because another before them still runs
        self.deadlines: deque[Deadline] = deque()
        self.timer: asyncio.TimerHandle | None = None

    def end(self, deadline: Deadline) -> None:
        deadlines = self.deadlines
        deadline.task = None
        self._ended += 1
        while deadlines and deadlines[0].task is None:
            deadlines.popleft()
            self._ended -= 1
        if self._ended > _MANY and self._ended * 2 > len(deadlines):
            self.deadlines = deque(each for each in deadlines if each.task is not None)
            self._ended = 0

    def fire(self) -> None:
        self.timer = None
        now = self._loop.time()
        for deadline in self.deadlines:
            if deadline.when > now:
                self.timer = self._loop.call_at(deadline.when, self.fire)
                return
            deadline.expire()


class Deadline:
    """One call's time."""

    __slots__ = ("_cancelling", "_expired", "_maker", "_queue", "task", "when")

    def __init__(self, queue: _Queue, maker: Deadlines, task: asyncio.Task[Any], when: float) -> None:
        self._queue = queue
        self._maker = maker
        self._expired = False
        self._cancelling = task.cancelling()
        self.task: asyncio.Task[Any] | None = task  # None once it has ended
        self.when = when

    def expire(self) -> None:
        """Cancel the call, once."""
        if self.task is not None and not self._expired:
            self._expired = True
            self.task.cancel()

    def leave(self, error: BaseException | None) -> CallTimeoutError | None:
        """End it; return what to raise if it has expired, and that is why the call was cancelled."""
        task = self.task
        self._queue.end(self)
        if not self._expired or task is None:
            return None
        if task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            return self._maker.error()
        return None


def current_task() -> asyncio.Task[Any]:
    """Return the task that runs.

    Raises:
        RuntimeError: There is none.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a deadline needs a task that can be cancelled; call this in one")
    return task
