"""Where threads stand: every live thread, as data and as text."""

from __future__ import annotations

import concurrent.futures._base
import concurrent.futures.thread
import queue
import selectors
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from penstock_limits import Mode
from penstock_limits.introspection import CallSite

from penstock_tasks._threads.ownership import ownership_of

__all__ = ["ThreadNode", "place_of", "threads"]


@dataclass(frozen=True, slots=True)
class ThreadNode:
    """A live thread; `str()` is a line of text.

    Attributes:
        name: Its name.
        ident: Its number, as `threading.get_ident()` has it.
        owner: Who ends it: `main` for the main thread, the name of its executor, or `exit`, the exit of the program;
            None if nobody does.
        mode: The mode it was made in; None if penstock has not made it, which in mode off it does not.
        daemon: Whether it is a daemon.
        age: Seconds since it was made; None if that is not known.
        created: The line that made it, or its executor; None as above.
        stack: Where it stands, outermost first.
    """

    name: str
    ident: int
    owner: str | None
    mode: Mode | None
    daemon: bool
    age: float | None
    created: CallSite | None
    stack: tuple[CallSite, ...]

    @property
    def stands_at(self) -> CallSite | None:
        """The innermost line that is not the standard library's way of waiting; None if the thread has just ended."""
        return _place(self.stack)

    def __str__(self) -> str:
        kind = "daemon" if self.daemon else "thread"
        owner = "without an owner" if self.owner is None else f"of {self.owner}"
        age = "" if self.age is None else f", {self.age:.1f} s old"
        made = "" if self.created is None else f", made at {self.created}"
        return f"{kind} {self.name!r} {owner}{age}{made}, is at {self.stands_at}"


def threads() -> tuple[ThreadNode, ...]:
    """Return every live thread of this process, whoever made it, the oldest first as far as that is known."""
    frames = sys._current_frames()
    return tuple(
        _node(thread, thread.ident, frames.get(thread.ident))
        for thread in threading.enumerate()
        if thread.ident is not None  # it is about to start
    )


def place_of(ident: int) -> CallSite | None:
    """Return where a thread stands, None if it has ended."""
    return _place(_stack(sys._current_frames().get(ident)))


def _node(thread: threading.Thread, ident: int, frame: FrameType | None) -> ThreadNode:
    ownership = ownership_of(thread)
    owner = "main" if thread is threading.main_thread() else None
    if ownership is not None and ownership.enforces:
        owner = ownership.owner
    return ThreadNode(
        name=thread.name,
        ident=ident,
        owner=owner,
        mode=None if ownership is None else ownership.mode,
        daemon=thread.daemon,
        age=None if ownership is None else time.monotonic() - ownership.created,
        created=None if ownership is None else ownership.site,
        stack=_stack(frame),
    )


def _stack(frame: FrameType | None) -> tuple[CallSite, ...]:
    stack: list[CallSite] = []
    while frame is not None:
        # Beside an instruction without a line, the function's own will do.
        stack.append(CallSite(frame.f_code, frame.f_lineno or frame.f_code.co_firstlineno))
        frame = frame.f_back
    return tuple(reversed(stack))


def _place(stack: tuple[CallSite, ...]) -> CallSite | None:
    for site in reversed(stack):
        if not _is_nobodys(site):
            return site
    return stack[-1] if stack else None


def _is_nobodys(site: CallSite) -> bool:
    return site.path in _WAITING or site.path.startswith(_OURS)


_WAITING = {
    module.__file__ for module in (threading, queue, selectors, concurrent.futures._base, concurrent.futures.thread)
}
_OURS = str(Path(__file__).parent)
