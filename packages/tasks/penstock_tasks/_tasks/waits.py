"""What a task waits for, told from its innermost frames."""

from __future__ import annotations

from asyncio import Task
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from penstock_limits.introspection import CallSite, awaited_frames

__all__ = ["stands_at", "waits_on"]

_LIBRARIES = ("asyncio.", "anyio.", "contextlib", "penstock_")
_OURS = ("penstock_tasks._tasks.",)
_DOES = {"get": " to get from", "put": " to put into", "join": " to join"}  # queues, where it matters which


def stands_at(task: Task[Any]) -> CallSite | None:
    """Return the innermost line of a program in a task; of a library, if there is no other; None if it has ended."""
    frames = awaited_frames(task)
    own = [frame for frame in frames if not _module(frame).startswith(_LIBRARIES)]
    frame = own[-1] if own else frames[-1] if frames else None
    return None if frame is None else CallSite(frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno)


def waits_on(task: Task[Any], shown: Callable[[str], str] = str) -> str | None:
    """Return what a task waits for: `sleep of 5 s`, `limiter 'api_call'`, `Lock`; None if it is about to run.

    Args:
        task: The task.
        shown: Returns what of a name may be shown.
    """
    awaited = getattr(task, "_fut_waiter", None)
    frames = awaited_frames(task)
    if awaited is None:
        return None
    told = [_told(frame, shown) for frame in _of_libraries(reversed(frames))]
    named = [each for each in told if each and each.endswith("'")]
    for each in (*named, *told):
        if each is not None:
            return each
    if isinstance(awaited, Task):
        return f"task {shown(awaited.get_name())!r}"
    children = getattr(awaited, "_children", None)
    return _kind(type(awaited).__name__) if children is None else f"gather of {len(children)}"


def _of_libraries(frames: Iterable[FrameType]) -> Iterator[FrameType]:
    """Yield frames until one of a program: what is in it is not what is waited for."""
    for frame in frames:
        if not _module(frame).startswith(_LIBRARIES) or _module(frame).startswith(_OURS):
            return
        yield frame


def _told(frame: FrameType, shown: Callable[[str], str]) -> str | None:
    names = frame.f_locals
    if frame.f_code.co_name == "sleep" and "delay" in names:
        delay = names["delay"]
        return f"sleep of {round(delay, 3):g} s" if isinstance(delay, (int, float)) else f"sleep of {delay} s"
    if frame.f_code.co_name == "_wait" and isinstance(names.get("fs"), set):
        return f"wait of {len(names['fs'])}"
    waited_for = names.get("limiter", names.get("self"))
    if waited_for is None or isinstance(waited_for, Task):
        return None
    kind, name = _kind(type(waited_for).__name__), getattr(waited_for, "name", None)
    if kind == "task" or kind.endswith("timeout"):
        return None
    does = _DOES.get(frame.f_code.co_name, "") if "queue" in kind else ""
    told = kind if not isinstance(name, str) else f"{kind} {shown(name)!r}"
    return f"{does.strip()} {told}" if does else told


def _kind(name: str) -> str:
    """Return the name of a class as a word: `_GatheringFuture` is `gathering future`."""
    name = name.lstrip("_")
    return "".join(f" {each.lower()}" if each.isupper() and at else each.lower() for at, each in enumerate(name))


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
