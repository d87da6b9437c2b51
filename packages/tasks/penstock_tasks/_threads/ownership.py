"""What is known of a thread that somebody answers for, and how it is told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from penstock_limits import Mode, emit, mode_of
from penstock_limits.introspection import CallSite, call_site

from penstock_tasks._settings import CAPABILITY
from penstock_tasks._shown import shown_name

__all__ = [
    "Ownership",
    "Stop",
    "is_owned",
    "new_ownership",
    "owned_threads",
    "ownership_of",
    "stop_event",
    "with_stop",
]

T = TypeVar("T")


class Stop:
    """Tells to stop; the event is made when somebody wants it, as it costs more than all else together."""

    __slots__ = ("_events", "_told")

    def __init__(self) -> None:
        self._told = False
        self._events: list[threading.Event] = []  # the first counts; two threads may have wanted it at once

    def set(self) -> None:
        """Tell."""
        self._told = True
        for event in self._events:
            event.set()

    def event(self) -> threading.Event:
        """Return what is waited on."""
        if not self._events:
            self._events.append(threading.Event())
        if self._told:
            self._events[0].set()
        return self._events[0]


@dataclass(eq=False, slots=True)
class Ownership:
    """What travels with a thread from its construction on; a thread without one is nobody's.

    Attributes:
        mode: The mode it was made in: observe or enforce.
        owner: Who ends it: the name of its executor, or `exit`.
        site: The line that made it.
        is_worker: Whether it works for an executor, and so may not outlive it.
        created: When it was made, as `time.monotonic()` has it.
        stop: Tells it to stop; that of the call it makes, if it makes one for a task.
        told: Whether it was told.
        reported: Whether it was reported as left behind.
    """

    mode: Mode
    owner: str
    site: CallSite
    is_worker: bool = False
    created: float = field(default_factory=time.monotonic)
    stop: Stop = field(default_factory=Stop)
    told: bool = False
    reported: bool = False

    @property
    def enforces(self) -> bool:
        """Whether it is acted upon."""
        return self.mode is Mode.ENFORCE

    def tell(self, thread: threading.Thread) -> None:
        """Tell its thread to stop; a timer that waits is cancelled. In observe it is only told that one would have."""
        before, self.told = self.told, True  # first: a call that begins now looks at it after it has put its own stop
        if self.enforces:
            self.stop.set()
            if isinstance(thread, threading.Timer):
                thread.cancel()
        elif not before and not self.is_worker:  # an executor tells for its workers
            emit("thread.would_stop", shown_name(thread.name), daemon=thread.daemon, created=str(self.site))


def new_ownership(owner: str) -> Ownership | None:
    """Return what is known of what is made now, by the capability's mode; None if that is off."""
    mode = mode_of(CAPABILITY)
    return None if mode is Mode.OFF else Ownership(mode, owner, call_site())


def ownership_of(thread: threading.Thread) -> Ownership | None:
    """Return what is known of a thread; None if nobody answers for it."""
    known: Ownership | None = vars(thread).get("_penstock")
    return known


def is_owned(thing: object) -> bool:
    """Tell whether a thread or an executor is ended by somebody: what was made in observe is not."""
    known = getattr(thing, "_penstock", None)
    return isinstance(known, Ownership) and known.enforces


def owned_threads() -> list[tuple[threading.Thread, Ownership]]:
    """Return every live thread that is known, but for the current one."""
    here = threading.current_thread()
    known = ((thread, ownership_of(thread)) for thread in threading.enumerate() if thread is not here)
    return [(thread, ownership) for thread, ownership in known if ownership is not None]


def stop_event(thread: threading.Thread | None = None) -> threading.Event:
    """Return the event that tells a thread to stop: what a loop waits on instead of sleeping.

    `while not stop_event().wait(60): refresh()` ends at the exit of the program. In a call by `to_thread` it ends also
    when the call's deadline has passed, or its task was cancelled. To tell another thread to stop, set its event.

    Args:
        thread: The thread; None for the current one.

    Returns:
        Its event. Of a thread that nobody owns - made in mode off or observe, or by somebody else - an event of its own
        that penstock never sets.
    """
    thread = thread or threading.current_thread()
    ownership = ownership_of(thread)
    if ownership is not None and ownership.enforces:
        return ownership.stop.event()
    event: threading.Event = vars(thread).setdefault("_penstock_stop", threading.Event())
    return event


def with_stop(stop: Stop, call: Callable[[], T]) -> T:
    """Make a call in the current thread that is told to stop by an event of the call."""
    ownership = ownership_of(threading.current_thread())
    if ownership is None or not ownership.enforces:
        return call()
    before, ownership.stop = ownership.stop, stop
    if ownership.told:  # the exit came between two calls
        stop.set()
    try:
        return call()
    finally:
        ownership.stop = before
