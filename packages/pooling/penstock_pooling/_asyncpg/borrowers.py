"""Who has a pool's connections, and since when: they are counted, and told if they keep them for too long."""

from __future__ import annotations

import asyncio
import weakref
from asyncio import Task
from typing import TYPE_CHECKING

from penstock_limits import Mode, emit

from penstock_pooling._asyncpg.late import LateWatch
from penstock_pooling._pools.callers import listed
from penstock_pooling._pools.counters import Counters

if TYPE_CHECKING:
    from penstock_pooling._asyncpg.holder import Holder

__all__ = ["Borrowers"]


class Borrowers:
    """Those who have connections of one pool.

    Args:
        pool: The pool's name.
        counters: The pool's counters.
        leak_after: From how many seconds on a connection that is out counts as leaked; None for never.
        reset_within: How many seconds the reset of one that is given back may take; None for any time.

    Attributes:
        lent: The connections that are out, the first lent first.
        having: How many connections a task has.
        returns: Watches those that are being given back.
    """

    __slots__ = ("_counters", "_leaks", "_pool", "having", "lent", "returns")

    def __init__(self, pool: str, counters: Counters, leak_after: float | None, reset_within: float | None) -> None:
        self._pool = pool
        self._counters = counters
        self._leaks = LateWatch(leak_after, self._note_leaked)
        self.returns = LateWatch(reset_within, self._note_stalled)
        self.lent: dict[Holder, None] = {}
        self.having: dict[weakref.ref[Task[object]] | None, int] = {}

    def lend(
        self, holder: Holder, task: Task[object] | None, mode: Mode, loop: asyncio.AbstractEventLoop, now: float
    ) -> None:
        """Take note that a connection was lent to a task."""
        reference = None if task is None else weakref.ref(task)
        holder.task, holder.lent_at, holder.told = reference, now, False
        lent, counters = self.lent, self._counters
        lent[holder] = None
        had = self.having.get(reference, 0)
        self.having[reference] = had + 1
        counters.acquired += 1
        if had:
            counters.nested += 1
        if len(lent) > counters.peak_running:
            counters.peak_running = len(lent)
        if holder.single_use:
            holder.outdate()
        if mode is not Mode.OFF:
            self._leaks.start(holder, loop, now)

    def take_back(self, holder: Holder, loop: asyncio.AbstractEventLoop) -> None:
        """Take note that a connection has come back."""
        self.lent.pop(holder, None)
        self._leaks.stop(holder)
        self.returns.stop(holder)
        reference, holder.task = holder.task, None
        left = self.having.get(reference, 0) - 1
        if left > 0:
            self.having[reference] = left
        else:
            self.having.pop(reference, None)
        holder.idle_since = now = loop.time()
        held = now - holder.lent_at
        self._counters.note_hold(held)
        if holder.told:
            emit("pool.returned", self._pool, borrower=str(holder.site), seconds=held)

    def listed(self, now: float) -> str:
        """Return their lines of code, and for how long they have had connections, as a message shows it."""
        out = listed((holder.site, now - holder.lent_at) for holder in self.lent)
        return out or "none, they are being opened or closed"

    def _note_leaked(self, holder: Holder) -> None:
        holder.told = True
        self._counters.leaked += 1
        ended = holder.has_lost_borrower()
        out = holder._pool._loop.time() - holder.lent_at
        emit("pool.leaked", self._pool, borrower=str(holder.site), seconds=out, task_ended=ended)

    def _note_stalled(self, holder: Holder) -> None:
        """Cut off a connection whose server does not answer when it is reset."""
        emit("pool.stalled", self._pool, borrower=str(holder.site))
        holder.terminate()
