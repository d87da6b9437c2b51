"""Who has a connection: which line of which code borrowed it, and whether only its task can give it back."""

from __future__ import annotations

import asyncio
import gc
import math
import sys
from asyncio import Task
from collections.abc import Iterable
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType, MethodType
from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg.connresource import ConnectionResource

from penstock_pooling._shared._callers import listed

if TYPE_CHECKING:
    from penstock_pooling._database._holder import Holder

__all__ = ["borrowers", "caller", "cut_at", "is_inside", "is_kept", "place"]

_OURS = ("penstock_pooling.", "penstock_limits.", "asyncpg.", "contextlib")
_DEPTH = 3  # from a connection to its transaction, to the method that ends it, to the block that calls it


def caller() -> tuple[CodeType, int]:
    """Return the code, and the line in it, that has called into the pool."""
    frame = sys._getframe(2)
    if not frame.f_globals.get("__name__", "").startswith(_OURS):
        return frame.f_code, frame.f_lineno
    while (above := frame.f_back) is not None and frame.f_globals.get("__name__", "").startswith(_OURS):
        if above.f_globals.get("__name__", "").startswith("asyncio."):  # a task of its own: there is nobody above
            break
        frame = above
    return frame.f_code, frame.f_lineno


def place(holder: Holder) -> str:
    """Return which line has borrowed a connection."""
    return f"{holder.code.co_filename}:{holder.line} in {holder.code.co_qualname}" if holder.code else "somebody"


def borrowers(holders: Iterable[Holder], now: float) -> str:
    """Return which lines have borrowed how many connections, and for how long; the longest first."""
    lines = listed((place(holder), now - holder.lent_at) for holder in holders)
    return lines or "none, they are being opened or closed"


def is_inside(task: Task[Any], frame: FrameType | None) -> bool:
    """Tell whether a task waits somewhere inside a frame, so that nobody but it can leave the frame's blocks."""
    return any(each is frame for each in _frames(task))


def is_kept(holder: Holder) -> bool:
    """Tell whether only the task that borrowed a connection, and now waits, can give it back.

    Without an `async with` block, the connection may have been handed on; it has not if nothing but the variables of
    the task's own coroutines refers to it.
    """
    task = holder.borrower()
    if task is None:
        return False
    known: list[object] = [holder, holder._con, *_frames(task)]
    # Nothing here may have a variable for the connection: that would be one more that refers to it.
    return _are_kept(gc.get_referrers(holder._proxy if holder.stand_in is None else holder.stand_in()), known, _DEPTH)


def cut_at(task: Task[Any]) -> float:
    """Return when a task is cut off by the first `asyncio.timeout` block that it is in, in its loop's time."""
    blocks = [each for each in gc.get_referrers(task) if isinstance(each, asyncio.Timeout)]
    active = [each.when() for each in blocks if getattr(each, "_timeout_handler", None) is not None]
    return min((when for when in active if when is not None), default=math.inf)


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
    frame = _frame_of(referrer)
    return any(each is referrer or each is frame for each in known if each is not None)


def _frames(task: Task[Any]) -> list[FrameType]:
    """Return the frames of a task that waits."""
    found: list[FrameType] = []
    awaited: Any = task.get_coro()
    while (frame := _frame_of(awaited)) is not None:
        found.append(frame)
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return found


def _frame_of(awaited: object) -> FrameType | None:
    if isinstance(awaited, CoroutineType):
        return awaited.cr_frame
    if isinstance(awaited, GeneratorType):
        return awaited.gi_frame
    if isinstance(awaited, AsyncGeneratorType):
        return awaited.ag_frame
    return None
