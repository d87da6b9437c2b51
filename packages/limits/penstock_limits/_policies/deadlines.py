"""The deadlines of a policy: of one length, in any event loop."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from penstock_limits._errors import CallTimeoutError
from penstock_limits._timeouts import Watch, Watches, gone, no_task

__all__ = ["Deadline", "Deadlines"]


class Deadlines:
    """Starts deadlines of one length, for calls in any event loop.

    Args:
        policy: The name of the policy they belong to.
        deadline: What they are called: `total_timeout` or `attempt_timeout`.
        seconds: Their length.
    """

    __slots__ = ("_deadline", "_numbers", "_policy", "_watches", "seconds")

    def __init__(self, policy: str, deadline: str, seconds: float) -> None:
        self.seconds = seconds
        self._policy = policy
        self._deadline = deadline
        self._numbers = count()
        self._watches = Watches(seconds, lambda: True)

    def start(self, outer: Deadline | None = None) -> Deadline:
        """Start a deadline of the current task, which must `leave()` it.

        Args:
            outer: A deadline of the same task; it knows the task and its loop already.

        Raises:
            RuntimeError: There is no current task.
        """
        if outer is None:
            loop = asyncio.get_running_loop()
            task = asyncio.current_task(loop) or no_task()
        else:
            loop, task = outer.loop, outer.task
        watch = self._watches.known(loop, gone)() or self._watches.of(loop)
        number = next(self._numbers)
        # Written out, as are the first lines of Watch.leave() below: every call under a policy pays for it, twice.
        watch.running[number] = begun = task, task.cancelling(), watch.now()
        if watch.timer is None:
            watch.set_timer(begun)
        return Deadline(self, watch, number, task)

    def error(self) -> CallTimeoutError:
        """Return what a call is told that was too slow."""
        return CallTimeoutError(self._policy, self._deadline, self.seconds)


class Deadline:
    """One call's time.

    Attributes:
        loop: The event loop in which the call is made.
        task: The task that makes it.
    """

    __slots__ = ("_maker", "_number", "_watch", "loop", "task")

    def __init__(self, maker: Deadlines, watch: Watch, number: int, task: asyncio.Task[Any]) -> None:
        self._maker = maker
        self._watch = watch
        self._number = number
        self.loop = watch.loop
        self.task = task

    @property
    def passed(self) -> bool:
        """Whether it has passed."""
        return self._number not in self._watch.running

    @property
    def when(self) -> float:
        """The time of its loop at which it passes, or now if it has."""
        begun = self._watch.running.get(self._number)
        return self._watch.now() if begun is None else begun[2] + self._maker.seconds

    def error(self) -> CallTimeoutError:
        """Return what the call is told that was too slow."""
        return self._maker.error()

    def leave(self, error: BaseException | None) -> CallTimeoutError | None:
        """End it; return what to raise if it has passed, and that is why the call was cancelled."""
        watch, number = self._watch, self._number
        if watch.running.pop(number, None) is not None:
            return None
        return self._maker.error() if watch.leave(number, error) else None
