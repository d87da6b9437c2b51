"""SIGTERM and SIGINT: the blocks of all managers are left, and then the signal does what it would have done."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal
import threading
from asyncio import Task
from collections.abc import Iterable
from typing import Any, Final, Protocol

from penstock_tasks._shown import shown_name
from penstock_tasks._tasks.waits import stands_at

__all__ = ["GRACE", "Stoppable", "Watch", "watch"]

logger = logging.getLogger("penstock.tasks")

GRACE: Final = 1.0  # seconds beyond the deadlines for whoever keeps to them, to say what has happened


class Stoppable(Protocol):
    """What is to be shut down by a signal.

    Attributes:
        name: What people know it by.
    """

    name: str

    @property
    def _patience(self) -> float:
        """How many seconds its shutdown may take."""
        ...

    def _shut_down_by_signal(self) -> None:
        """Be told that a signal has come, and that its block is being cancelled."""


class Watch:
    """Catches signals for all managers that are open in a loop of the main thread.

    A signal cancels the tasks in whose blocks they are, once each. When the last has shut down, or their time is over,
    the signal takes its usual effect. Until then a second signal takes it at once. Signals that somebody else handles -
    a server, `lifespan`, `loop.add_signal_handler` - are theirs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._process = os.getpid()
        self._members: dict[Stoppable, Task[Any]] = {}
        self._usual: dict[int, Any] = {}
        self._caught: int | None = None
        self._cancelled: set[Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, member: Stoppable, task: Task[Any], signals: Iterable[int]) -> None:
        """Stop a member, too, whose block is in a task."""
        for each in signals:
            usual = signal.getsignal(each)
            if self._caught is None and _is_nobodys(usual):
                self._usual[each] = signal.signal(each, self._note)
        self._members[member] = task
        if self._caught is not None:
            self._stop(member)

    def leave(self, member: Stoppable) -> None:
        """Take note that a member has shut down; when it was the last, the signal takes its usual effect."""
        task = self._members.pop(member, None)
        if task in self._cancelled and task not in self._members.values():
            self._cancelled.discard(task)
            task.uncancel()
        if not self._members:
            self._restore()
            if self._timer is not None:
                self._timer.cancel()
            if self._caught is not None:
                caught, self._caught = self._caught, None
                self._take_effect(caught)

    def close(self) -> None:
        """Catch nothing any more."""
        self._restore()
        self._members.clear()

    def _note(self, number: int, frame: object) -> None:  # noqa: ARG002 - what a handler is given
        self._restore()  # so that the next one takes effect at once
        if os.getpid() != self._process or self.loop.is_closed():
            self._take_effect(number)  # a child that was forked has our handler, but not our loop
            return
        self._caught = number
        self.loop.call_soon_threadsafe(self._stop_all)

    def _stop_all(self) -> None:
        if not self._members:  # the last one has just left
            if self._caught is not None:
                self._take_effect(self._caught)
            return
        patience = sum(member._patience for member in self._members)
        self._timer = self.loop.call_later(patience + GRACE, self._give_up)
        for member in tuple(self._members):
            self._stop(member)

    def _stop(self, member: Stoppable) -> None:
        member._shut_down_by_signal()
        task = self._members[member]
        if task not in self._cancelled and task.cancel():
            self._cancelled.add(task)

    def _give_up(self) -> None:
        for member, task in self._members.items():
            name = shown_name(task.get_name())
            logger.error("%s has not been left after a signal: task %r stands at %s", member, name, stands_at(task))
        if self._caught is not None:
            self._take_effect(self._caught)

    def _take_effect(self, number: int) -> None:
        self._restore()  # again: somebody who had put a handler of theirs in our place may have given it back
        signal.raise_signal(number)

    def _restore(self) -> None:
        for number, usual in self._usual.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, usual)


_watch: Watch | None = None


def watch() -> Watch | None:
    """Return what catches signals in the running loop; None outside of the main thread, where nothing can."""
    global _watch  # noqa: PLW0603 - signals are the process's
    if threading.current_thread() is not threading.main_thread():
        return None
    loop = asyncio.get_running_loop()
    if _watch is None or _watch.loop is not loop:
        if _watch is not None:
            _watch.close()
        _watch = Watch(loop)
    return _watch


def _is_nobodys(handler: Any) -> bool:
    """Tell whether a signal would end the program: by default, or by `asyncio.run`."""
    if handler in (signal.SIG_DFL, signal.default_int_handler):
        return True
    function = handler.func if isinstance(handler, functools.partial) else handler
    return isinstance(getattr(function, "__self__", None), asyncio.Runner)
