"""Who gets a connection next: the holders that are free, and the callers that wait, first come, first served."""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock_pooling._asyncpg.holder import Holder

__all__ = ["HolderQueue", "Waiter"]

Waiter = Future["Holder | None"]


class HolderQueue:
    """Takes the place of asyncpg's queue of holders, which wakes a caller and lets others be faster.

    Here a holder that comes free is handed to the caller that has waited longest. So nobody waits while a holder is
    free, and a newcomer may take a free one at once. Of the free ones, it gets the last used that is connected.

    Args:
        keeps: Asked about a holder that comes free; if it says False, the holder is none of this queue's any more.
    """

    def __init__(self, keeps: Callable[[Holder], bool]) -> None:
        self._keeps = keeps
        self._free: list[Holder] = []
        self._waiters: OrderedDict[Waiter, tuple[Task[Any] | None, float]] = OrderedDict()

    def qsize(self) -> int:
        """Return how many holders are free."""
        return len(self._free)

    def waiting(self) -> int:
        """Return how many callers wait; who was cancelled does not, even if it has not run since."""
        return sum(not waiter.done() for waiter in self._waiters)

    def has_room(self, most: int) -> bool:
        """Tell whether fewer callers wait than may."""
        return len(self._waiters) < most or self.waiting() < most

    def waits(self) -> dict[Task[Any], tuple[Waiter, float]]:
        """Return what each task waits for, and until when; who waits longest is first."""
        return {
            task: (waiter, deadline) for waiter, (task, deadline) in self._waiters.items() if task and not waiter.done()
        }

    def free(self) -> list[Holder]:
        """Return the holders that are free, the next to be lent last."""
        return list(self._free)

    # --- what asyncpg calls

    def put_nowait(self, holder: Holder) -> None:
        """Hand a holder that came free to whoever waits longest."""
        if not self._keeps(holder):
            return
        while self._waiters:
            waiter = self._pop()
            if not waiter.done():  # else it was cancelled, and is about to leave
                waiter.set_result(holder)
                return
        self._free.append(holder)

    def get_disconnected_nowait(self) -> Holder:
        """Take a free holder that is not connected.

        Raises:
            asyncio.QueueEmpty: There is none.
        """
        for holder in reversed(self._free):
            if not holder.is_connected():
                self._free.remove(holder)
                return holder
        raise asyncio.QueueEmpty

    # --- what our pool calls

    def take(self) -> Holder | None:
        """Take a free holder, connected if there is one; None if none is free."""
        free = self._free
        if not free:
            return None
        if free[-1].is_connected():  # as it mostly is
            return free.pop()
        for number in range(len(free) - 2, -1, -1):
            if free[number].is_connected():
                return free.pop(number)
        return free.pop()

    def remove(self, holder: Holder) -> bool:
        """Take a holder out, if it is free."""
        if holder not in self._free:
            return False
        self._free.remove(holder)
        return True

    def join(self, waiter: Waiter, task: Task[Any] | None, deadline: float) -> None:
        """Let a caller wait behind all others."""
        self._waiters[waiter] = task, deadline

    def leave(self, waiter: Waiter) -> None:
        """Let a caller go that did not get what it waited for; what it was handed meanwhile goes to the next."""
        if waiter in self._waiters:
            del self._waiters[waiter]
        elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            holder = waiter.result()
            if holder is not None:
                self.put_nowait(holder)

    def refuse(self, waiter: Waiter, error: Exception) -> bool:
        """Let a caller go with an error; tell whether it still waited."""
        if waiter.done() or waiter not in self._waiters:
            return False
        del self._waiters[waiter]
        waiter.set_exception(error)
        return True

    def refuse_all(self, make_error: Callable[[], Exception]) -> None:
        """Let everybody go with an error."""
        for waiter in list(self._waiters):
            self.refuse(waiter, make_error())

    def dissolve(self) -> None:
        """Let everybody go on without a holder of the pool's."""
        while self._waiters:
            waiter = self._pop()
            if not waiter.done():
                waiter.set_result(None)

    def _pop(self) -> Waiter:
        return self._waiters.popitem(last=False)[0]
