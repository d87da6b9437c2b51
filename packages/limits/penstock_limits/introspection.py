"""Which line of a program has called, and where a task stands: for packages that name their callers and their tasks."""

from __future__ import annotations

import gc
import sys
from asyncio import Task, current_task
from inspect import CO_COROUTINE
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

__all__ = ["CallSite", "awaited_coroutines", "awaited_frames", "call_site", "frame_of"]

_NOBODYS = ("penstock_", "asyncio.", "contextlib")
_WRAPPERS = {"async_generator_asend", "async_generator_athrow", "coroutine_wrapper"}  # C types without attributes


class CallSite(NamedTuple):
    """A line of code that has called something; shown as `path:line in function`.

    Attributes:
        code: The function's code.
        line: The line, from 1.
    """

    code: CodeType
    line: int

    @property
    def path(self) -> str:
        """The file, as Python knows it."""
        return self.code.co_filename

    @property
    def function(self) -> str:
        """The qualified name of the function; `<module>` at the top of a file."""
        return self.code.co_qualname

    def __str__(self) -> str:
        return f"{self.path}:{self.line} in {self.function}"


def call_site(*skipped: str) -> CallSite:
    """Return the innermost line that is neither penstock's, asyncio's, contextlib's nor a skipped module's.

    Where there is none above, as in a task of its own, it is the outermost line that there is. SQLAlchemy's greenlets
    are followed to the task that runs them.

    Args:
        skipped: How the names of further modules begin: `"asyncpg."`.
    """
    nobodys = _NOBODYS + skipped
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith(nobodys):
        if frame.f_code.co_flags & CO_COROUTINE and _is_outermost(frame):
            break
        above = frame.f_back or _frame_of_parent()
        if above is None or above is frame:
            break
        if above.f_code.co_name == "_run" and above.f_globals.get("__name__") == "asyncio.events":
            break  # the event loop runs a task's step there: what is above did not call
        frame = above
    return tuple.__new__(CallSite, (frame.f_code, frame.f_lineno))  # as CallSite(), in less time


def _is_outermost(frame: FrameType) -> bool:
    """Tell whether a frame is that of a task's own coroutine; uvloop has no frame between it and what runs the loop."""
    try:
        task = current_task()
    except RuntimeError:  # no loop runs
        return False
    return task is not None and frame_of(task.get_coro()) is frame


def awaited_frames(task: Task[Any]) -> list[FrameType]:
    """Return the frames of a task that waits, from its coroutine to the innermost that awaits; none if it has ended.

    Coroutines, generators and asynchronous generators are followed. A task that runs has its outermost frame only.
    """
    return [frame for awaited in awaited_coroutines(task) if (frame := frame_of(awaited)) is not None]


def awaited_coroutines(task: Task[Any]) -> list[Any]:
    """Return the coroutines, generators and asynchronous generators whose frames `awaited_frames` returns."""
    found: list[Any] = []
    awaited: Any = task.get_coro()
    while frame_of(awaited) is not None:
        found.append(awaited)
        awaited = _unwrapped(_awaited_by(awaited))
    return found


def frame_of(awaited: object) -> FrameType | None:
    """Return the frame of a coroutine, generator or asynchronous generator; None of what has ended, or has none."""
    if isinstance(awaited, CoroutineType):
        return awaited.cr_frame
    if isinstance(awaited, GeneratorType):
        return awaited.gi_frame
    if isinstance(awaited, AsyncGeneratorType):
        return awaited.ag_frame
    return None


def _awaited_by(awaiting: object) -> object:
    if isinstance(awaiting, CoroutineType):
        return awaiting.cr_await
    if isinstance(awaiting, AsyncGeneratorType):
        return awaiting.ag_await
    return getattr(awaiting, "gi_yieldfrom", None)


def _unwrapped(awaited: object) -> object:
    """Return the coroutine or asynchronous generator that is driven by an object without attributes."""
    if type(awaited).__name__ not in _WRAPPERS:
        return awaited
    driven = [each for each in gc.get_referents(awaited) if isinstance(each, (CoroutineType, AsyncGeneratorType))]
    return driven[0] if driven else None


def _frame_of_parent() -> FrameType | None:
    """Return where a task stands beside which SQLAlchemy runs, in a greenlet, what is to be awaited."""
    greenlet = sys.modules.get("greenlet")
    parent = None if greenlet is None else greenlet.getcurrent().parent
    return None if parent is None else parent.gr_frame
