"""The deadlines of a policy: of one length, in any event loop."""

from __future__ import annotations

import asyncio
from itertools import count

from penstock_limits._errors import CallTimeoutError
from penstock_limits._timeouts import Watch, Watches

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

    def start(self, loop: asyncio.AbstractEventLoop) -> Deadline:
        """Start a deadline of the current task, which must `leave()` it.

        Args:
            loop: The running loop, which the caller has asked for once.

        Raises:
            RuntimeError: There is no current task.
        """
        watch = self._watches.get(loop) or self._watches.of(loop)
        number = next(self._numbers)
        watch.start(number)
        return Deadline(self, watch, number)

    def error(self) -> CallTimeoutError:
        """Return what a call is told that was too slow."""
        return CallTimeoutError(self._policy, self._deadline, self.seconds)


class Deadline:
    """One call's time."""

    __slots__ = ("_maker", "_number", "_watch")

    def __init__(self, maker: Deadlines, watch: Watch, number: int) -> None:
        self._maker = maker
        self._watch = watch
        self._number = number

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it is of."""
        return self._watch.loop

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
        return self._maker.error() if self._watch.leave(self._number, error) else None
