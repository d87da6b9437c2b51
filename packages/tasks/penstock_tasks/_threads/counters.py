"""What the threads of a process tell of themselves together."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from penstock_limits import Mode, enter_resource
from penstock_limits.forks import after_fork

from penstock_tasks._threads.ownership import is_owned, owned_threads

__all__ = ["ThreadsStatistics", "counters"]


_COUNTED: tuple[str, ...] = ("started", "left_behind", "timed_out", "would_time_out", "unawaited")


@dataclass(frozen=True, slots=True)
class ThreadsStatistics:
    """A snapshot of the threads of this process that were made by penstock.

    Attributes:
        started: Threads and timers ever started in mode observe or enforce; workers of executors are their own.
        alive: Threads that live now and have an owner, workers included.
        observed: Threads that live now and would have one, were the mode not observe.
        unowned_daemons: Daemon threads that live now and have no owner, whoever made them.
        left_behind: Threads that did not stop by the deadline at the exit.
        timed_out: Calls by `to_thread` whose function still ran at their deadline.
        would_time_out: The same, counted in observe.
        unawaited: Calls by `to_thread` that nobody waits for any more, while their function still runs.
    """

    started: int
    alive: int
    observed: int
    unowned_daemons: int
    left_behind: int
    timed_out: int
    would_time_out: int
    unawaited: int


class Counters:
    """The resource `threads`; plain counters, under a lock."""

    name = "threads"
    kind = "threads"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Count from 0, as after a fork: the threads of the parent are not here."""
        self._lock = threading.Lock()
        self._counted: dict[str, int] = dict.fromkeys(_COUNTED, 0)
        self._entered = False

    def count(self, what: str) -> None:
        """Count something; the first makes the resource known."""
        after_fork(self.reset)
        with self._lock:
            self._counted[what] += 1
            entered, self._entered = self._entered, True
        if not entered:
            enter_resource(self)

    def owns(self, thing: object) -> bool:
        """Tell whether it is a thread that the exit, or its executor, ends."""
        return is_owned(thing)

    def statistics(self) -> ThreadsStatistics:
        """Return a snapshot."""
        here = threading.current_thread()
        daemons = {thread for thread in threading.enumerate() if thread.daemon and thread is not here}
        known = owned_threads()
        owned = {thread for thread, ownership in known if ownership.mode is Mode.ENFORCE}
        with self._lock:
            counted = dict(self._counted)
        return ThreadsStatistics(
            alive=len(owned), observed=len(known) - len(owned), unowned_daemons=len(daemons - owned), **counted
        )


counters = Counters()
