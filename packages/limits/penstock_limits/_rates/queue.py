"""Who waits for a rate: tasks of several loops, and threads, first come, first served."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from penstock_limits._queue_time import QueueTime
from penstock_limits._settling import call_in_loop, settle

if TYPE_CHECKING:
    from penstock_limits._rates.reservation import Reservation

__all__ = ["TaskTurn", "ThreadTurn", "Turn", "Turns"]

GRAIN: Final = 0.001  # seconds; timers are no finer, and one that fires a little early must not be set to nothing


class TaskTurn:
    """A task that waits.

    Args:
        reservation: What it waits for.
        clock: Says the time, in seconds, for alarms.
        ring: Called at an alarm, in the task's loop.

    Attributes:
        due: The time of its alarm; None if none is set.
    """

    __slots__ = ("_clock", "_future", "_ring", "_timer", "due", "loop", "reservation")

    def __init__(self, reservation: Reservation, clock: Callable[[], float], ring: Callable[[], None]) -> None:
        self.reservation = reservation
        self.due: float | None = None
        self.loop = asyncio.get_running_loop()
        self._clock = clock
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._future: asyncio.Future[None] = self.loop.create_future()

    async def wait(self) -> None:
        """Wait until it is admitted or refused.

        Raises:
            Exception: What it was refused with.
        """
        try:
            await self._future
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def admit(self) -> bool:
        """Wake it; False if nobody is there any more."""
        return not self._future.done() and call_in_loop(self.loop, settle, self._future)

    def refuse(self, error: Exception) -> None:
        """Let it fail with an error."""
        call_in_loop(self.loop, settle, self._future, error)

    def set_alarm(self, due: float) -> None:
        """Ring at a time, and not at the one that was set before."""
        if due != self.due:
            self.due = due
            call_in_loop(self.loop, self._wind)

    def _wind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self.due
        if due is not None and not self._future.done():
            self._timer = self.loop.call_later(max(GRAIN, due - self._clock()), self._fire)

    def _fire(self) -> None:
        self.due = None
        self._ring()


class ThreadTurn:
    """A thread that waits; its gate is a bare lock.

    Args:
        reservation: What it waits for.
        clock: Says the time, in seconds, for alarms.
        ring: Called at an alarm, in the thread.

    Attributes:
        due: The time of its alarm; None if none is set.
        thread: The number of the thread, which stays the same in a child that it forks.
    """

    __slots__ = ("_clock", "_done", "_error", "_gate", "_ring", "due", "reservation", "thread")
    loop: Final = None

    def __init__(self, reservation: Reservation, clock: Callable[[], float], ring: Callable[[], None]) -> None:
        self.reservation = reservation
        self.due: float | None = None
        self._clock = clock
        self._ring = ring
        self._done = False
        self._error: Exception | None = None
        self.thread = threading.get_ident()
        self._gate = threading.Lock()
        self._gate.acquire()

    def wait(self, timeout: float | None) -> bool:
        """Block until it is admitted or refused; False if the timeout, in seconds, comes first.

        Raises:
            Exception: What it was refused with.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while not self._done:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            due = self.due
            pause = math.inf if due is None else max(GRAIN, due - self._clock())
            if not self._gate.acquire(timeout=min(left, pause, threading.TIMEOUT_MAX)) and pause <= left:
                self.due = None
                self._ring()
        if self._error is not None:
            raise self._error
        return True

    def admit(self) -> bool:
        """Wake it; True, as a thread that waits is there."""
        self._done = True
        self._open()
        return True

    def refuse(self, error: Exception) -> None:
        """Let it fail with an error."""
        self._error = error
        self._done = True
        self._open()

    def set_alarm(self, due: float) -> None:
        """Ring at a time, and not at the one that was set before."""
        if due != self.due:
            self.due = due
            self._open()

    def _open(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is open
            self._gate.release()


Turn = TaskTurn | ThreadTurn


class Turns(OrderedDict[Turn, float]):
    """Those who wait, in the order in which they came, and the first of each loop; threads count as one more loop.

    The first of all has an alarm for when it is due, and so has the first of each other loop: a loop that is closed, or
    stands still, with the first of all in it, holds up nobody else.

    Args:
        clock: Says the time, in seconds.

    Attributes:
        time: How long they wait.
    """

    __slots__ = ("_by_loop", "time")

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.time = QueueTime(clock)
        self._by_loop: dict[asyncio.AbstractEventLoop | None, OrderedDict[Turn, None]] = {}

    def first(self) -> Turn | None:
        """Return whose turn it is."""
        return next(iter(self), None)

    def add(self, turn: Turn) -> bool:
        """Put somebody behind all others; tell whether nobody of their loop is before them."""
        self[turn] = self.time.changes(len(self))
        of_loop = self._by_loop.setdefault(turn.loop, OrderedDict())
        of_loop[turn] = None
        return len(of_loop) == 1

    def remove(self, turn: Turn) -> bool:
        """Take somebody out; False if they are not here."""
        if turn not in self:
            return False
        self._drop(turn)
        of_loop = self._by_loop[turn.loop]
        del of_loop[turn]
        if not of_loop:
            del self._by_loop[turn.loop]
        return True

    def set_alarms(self, due: float) -> None:
        """Let the first be told when it is due, and, unless they will be told of something, those of other loops."""
        first = self.first()
        for of_loop in self._by_loop.values():
            turn = next(iter(of_loop))
            if turn is first or turn.due is None:
                turn.set_alarm(due)

    def drop_closed(self) -> bool:
        """Take out whoever cannot be woken, as their loop is closed; tell whether there were any."""
        closed = [loop for loop in self._by_loop if loop is not None and loop.is_closed()]
        for loop in closed:
            for turn in self._by_loop.pop(loop):
                self._drop(turn)
        return bool(closed)

    def _drop(self, turn: Turn) -> None:
        queued = len(self)
        self.time.left(queued, self.pop(turn))
