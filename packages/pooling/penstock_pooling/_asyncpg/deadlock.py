"""Whether those who have a pool's connections all wait for one more, and nobody else could give one back."""

from __future__ import annotations

import asyncio
import gc
import math
from asyncio import Task
from collections.abc import Sequence
from types import FrameType, MethodType
from typing import TYPE_CHECKING

import asyncpg
from asyncpg.connresource import ConnectionResource
from penstock_limits.introspection import CallSite, awaited_frames, frame_of

from penstock_pooling._asyncpg.queue import Waiter
from penstock_pooling._pools.memory import is_partly_hidden

if TYPE_CHECKING:
    from penstock_pooling._asyncpg.holder import Holder

__all__ = ["DeadlockWatch"]

_DEPTH = 3  # from a connection to its transaction, to the method that ends it, to the block that calls it


class DeadlockWatch:
    """Finds whom to refuse where everybody waits for everybody."""

    def __init__(self) -> None:
        self._handing_on: set[CallSite | None] = set()  # lines that do not give back what they borrow

    def victim(self, held: Sequence[Holder], waits: dict[Task[object], tuple[Waiter, float]]) -> Waiter | None:
        """Return who is to be refused, as whoever has a connection waits for one, too; None if not all do.

        It is the one whose deadline ends first: until then, none of the others gives anything back. Where anything
        else may free a place, nobody is refused, and deadlines do what they are for.

        Args:
            held: All places of the pool that are out.
            waits: What each task waits for, and until when; who waits longest is first.
        """
        if not all(each.is_held() and each.borrower() in waits for each in held):
            return None
        if not all(map(self._comes_from_its_borrower, held)):
            return None
        borrowers = {holder.borrower() for holder in held}
        ends = {task: min(deadline, _cut_at(task)) for task, (_, deadline) in waits.items() if task in borrowers}
        waiter, _ = waits[min(reversed(ends), key=ends.__getitem__)]
        return waiter

    def _comes_from_its_borrower(self, holder: Holder) -> bool:
        """Tell whether only who borrowed a connection, and waits, can give it back."""
        if holder.lexical:
            return _is_inside(holder)
        if holder.site not in self._handing_on and not is_kept(holder):
            self._handing_on.add(holder.site)  # asked once: it takes a look at everything in memory
        return holder.site not in self._handing_on


def _is_inside(holder: Holder) -> bool:
    """Tell whether the task that borrowed a connection waits inside the block that gives it back."""
    task = holder.borrower()
    return task is not None and any(frame is holder.frame for frame in awaited_frames(task))


def _cut_at(task: Task[object]) -> float:
    """Return when a task is cut off by the first `asyncio.timeout` block that it is in, in its loop's time."""
    blocks = [each for each in gc.get_referrers(task) if isinstance(each, asyncio.Timeout)]
    active = [each.when() for each in blocks if getattr(each, "_timeout_handler", None) is not None]
    return min((when for when in active if when is not None), default=math.inf)


def is_kept(holder: Holder) -> bool:
    """Tell whether only the task that borrowed a connection, and now waits, can give it back.

    Without an `async with` block, the connection may have been handed on; it has not if nothing but the variables of
    the task's own coroutines refers to it.
    """
    task = holder.borrower()
    if task is None or is_partly_hidden():
        return False
    known: list[object] = [holder, holder._con, *awaited_frames(task)]
    # Nothing here may have a variable for the connection: that would be one more that refers to it.
    return _are_kept(gc.get_referrers(holder._proxy if holder.stand_in is None else holder.stand_in()), known, _DEPTH)


def _are_kept(things: list[object], known: list[object], depth: int) -> bool:
    """Tell whether only those who are known have things that refer to a connection, such as its transactions."""
    for thing in things:
        if _is_among(known, thing):
            continue
        if depth < _DEPTH and isinstance(thing, asyncpg.Connection):  # which refers to its transaction
            continue
        if not depth or not isinstance(thing, (ConnectionResource, MethodType)):
            return False
        if not _are_kept([each for each in gc.get_referrers(thing) if each is not things], known, depth - 1):
            return False
    return True


def _is_among(known: list[object], referrer: object) -> bool:
    frame: FrameType | None = frame_of(referrer)
    return any(each is referrer or each is frame for each in known if each is not None)
