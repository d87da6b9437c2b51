"""Whether somebody else than those who wait could give a connection back."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from asyncio import Task
from collections.abc import Collection, Iterator
from threading import Thread
from types import FrameType, FunctionType, ModuleType

from penstock_limits.introspection import awaited_frames, frame_of

from penstock_pooling._pools.memory import is_partly_hidden
from penstock_pooling._sessions.waiters import Borrower

__all__ = ["may_be_handed_on"]

FEW = 64  # objects that lead to a connection; more of them are no variables of a few functions
_OF_OTHERS = (asyncio.Future, FunctionType, ModuleType, Thread, threading.local, type)


def may_be_handed_on(connection: object, waiting: Collection[Borrower]) -> bool:
    """Tell whether anything but the variables of those who wait leads to a connection.

    It takes a look at everything in memory, so it is asked only where somebody would wait for himself.
    """
    if not any(isinstance(each, Task) for each in waiting) and set(sys._current_frames()) <= _idents(waiting):
        return False  # there is nobody else
    if is_partly_hidden():
        return True
    own = {id(frame) for frame in _frames_of(waiting)}
    seen = {id(connection)}
    latest: tuple[object, ...] = (connection,)  # a tuple, as a call with a list would make another that refers to it
    while latest:
        found = gc.get_referrers(*latest)
        latest = tuple([each for each in found if each is not latest and id(each) not in seen and _leads_on(each, own)])
        if any(isinstance(each, _OF_OTHERS) for each in latest) or len(seen) + len(latest) > FEW:
            return True
        seen.update(map(id, latest))
        del found
    return any(id(each) in seen for frame in _frames_of_others(waiting) for each in frame.f_locals.values())


def _leads_on(referrer: object, own: Collection[int]) -> bool:
    """Leave out the calls of those who wait, and calls that have ended with an error."""
    return not isinstance(referrer, FrameType) and id(frame_of(referrer)) not in own


def _frames_of(waiting: Collection[Borrower]) -> Iterator[FrameType]:
    """Return the frames of the tasks that wait, and of whoever asks.

    As a running loop stands still while its thread waits, none of its tasks could give anything back.
    """
    tasks = {each for each in waiting if isinstance(each, Task)}
    if threading.current_thread() in waiting and (loop := asyncio._get_running_loop()) is not None:
        tasks |= asyncio.all_tasks(loop)
    for task in tasks:
        yield from awaited_frames(task)
    yield from _stack(sys._getframe())


def _frames_of_others(waiting: Collection[Borrower]) -> Iterator[FrameType]:
    own = _idents(waiting)
    for ident, innermost in sys._current_frames().items():
        if ident not in own:
            yield from _stack(innermost)


def _idents(waiting: Collection[Borrower]) -> set[int | None]:
    return {thread.ident for thread in waiting if isinstance(thread, Thread)} | {threading.get_ident()}


def _stack(innermost: FrameType) -> Iterator[FrameType]:
    frame: FrameType | None = innermost
    while frame is not None:
        yield frame
        frame = frame.f_back
