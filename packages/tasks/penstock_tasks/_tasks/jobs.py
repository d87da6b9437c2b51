"""Which tasks somebody owns: kept alive, known by where they were made, counted when they end."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from asyncio import Task, current_task
from collections.abc import Callable, MutableMapping
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary, ref

from penstock_limits import Mode, emit
from penstock_limits.introspection import CallSite

from penstock_tasks._shown import shown_name

__all__ = ["SWEPT_EVERY", "Job", "Jobs", "Known"]

SWEPT_EVERY: Final = 1.0  # seconds within which an error that nobody retrieves is reported

_FEW: Final = 100
_NOTE: Final = "made at "

Parent = Callable[[], Task[Any] | None]
Known = tuple[CodeType, int, Parent | None, float, str]  # a Job, at a quarter of the price


class Job(NamedTuple):
    """What is known of a task, beside the task itself.

    Attributes:
        code: The code that has made it.
        instruction: Where in that code; turned into a line when somebody asks.
        parent: Returns the task that has made it, or None if that is gone; None if no task has.
        since: When, by the loop's time.
        part_of: What it belongs to: `scope 'ingest'`; empty for a task of its own.
    """

    code: CodeType
    instruction: int
    parent: Parent | None
    since: float
    part_of: str

    @property
    def created(self) -> CallSite:
        """The line that has made it."""
        for start, end, line in self.code.co_lines():
            if start <= self.instruction < end and line is not None:
                return CallSite(self.code, line)
        return CallSite(self.code, self.code.co_firstlineno)


class Jobs:
    """The running tasks of an owner, and how those before them have ended.

    Enforcing, it keeps them alive, and an error learns where its task was made: a note that asyncio shows, too, when it
    reports an error that nobody has retrieved. Observing, it only looks.

    A callback for each task would cost as much as a third of the task itself. So those that need not be told at once
    are looked at together: when there are twice as many as the last time, and once a second.

    Args:
        owner: The name of the owner.
        loop: Their event loop.
        mode: `enforce` or `observe`.
        on_failure: Called with each task that has failed, what is known of it, and its error.

    Attributes:
        running: The tasks, each with what makes a Job; to be kept, enter one here and sweep if they are too `many`.
        many: How many tasks are to be swept.
        tells_at_once: Whether every task is to be `watch`ed.
        succeeded: How many have ended with a result.
        failed: With an error.
        cancelled: By a cancellation.
        left_behind: How many have been let go, as they did not stop.
        now: The loop's time.
    """

    __slots__ = (
        "__weakref__",
        "_done",
        "_enforces",
        "_loop",
        "_on_failure",
        "_owner",
        "_timer",
        "cancelled",
        "failed",
        "left_behind",
        "many",
        "now",
        "running",
        "succeeded",
        "tells_at_once",
    )

    def __init__(
        self,
        owner: str,
        loop: asyncio.AbstractEventLoop,
        mode: Mode,
        on_failure: Callable[[Task[Any], Job, BaseException], None] | None = None,
    ) -> None:
        self._owner = owner
        self._loop = loop
        self._enforces = mode is Mode.ENFORCE
        self._on_failure = on_failure
        self._done = self._ended  # one for all of them
        self._timer: asyncio.TimerHandle | None = None
        self.running: MutableMapping[Task[Any], Known] = {} if self._enforces else WeakKeyDictionary()
        self.many = -1  # as long as there is no timer, the first is too many
        self.tells_at_once = not self._enforces or on_failure is not None
        self.succeeded = self.failed = self.cancelled = self.left_behind = 0
        # What loop.time does, for half its price; loops with a time of their own have their own.
        plain = getattr(loop.time, "__func__", None) is asyncio.BaseEventLoop.time
        self.now = time.monotonic if plain else loop.time

    def known(self, frame: FrameType, part_of: str = "") -> Job:
        """Return what is known of a task that the current task makes in a frame."""
        parent = current_task(self._loop)
        return Job(frame.f_code, frame.f_lasti, None if parent is None else ref(parent), self.now(), part_of)

    def watch(self, task: Task[Any], known: Known) -> None:
        """Own a task, and deal with its end at once."""
        self.running[task] = known
        task.add_done_callback(self._done)

    def let_go(self, task: Task[Any]) -> Job | None:
        """Own a task no longer, though it runs on."""
        task.remove_done_callback(self._done)
        known = self.running.pop(task, None)
        self.left_behind += known is not None
        return None if known is None else Job._make(known)

    def sweep(self) -> None:
        """Deal with all that have ended."""
        for task in [task for task in self.running if task.done()]:
            self._ended(task)
        self.many = max(_FEW, 2 * len(self.running))
        if self._timer is None and not self._loop.is_closed():
            # In a context of its own, or the first caller's would be kept for as long as there are tasks.
            self._timer = self._loop.call_later(SWEPT_EVERY, self._tick, context=contextvars.Context())

    def close(self) -> None:
        """Deal with all that have ended, for the last time."""
        self.sweep()
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._timer = None
        self.many = -1
        if self.running:
            self.sweep()

    def _ended(self, task: Task[Any]) -> None:
        known = self.running.pop(task, None)
        if known is None:  # it was swept, or let go
            return
        if task.cancelled():
            self.cancelled += 1
        elif (error := getattr(task, "_exception", None)) is None:  # exception() would count as having retrieved it
            self.succeeded += 1
        else:
            self.failed += 1
            self._tell(task, Job._make(known), error)

    def _tell(self, task: Task[Any], job: Job, error: BaseException) -> None:
        made, name = str(job.created), shown_name(task.get_name())
        if self._enforces:
            _annotate(error, f"task {name!r} of {self._owner!r} was {_NOTE}{made}")
        emit("task.failed", self._owner, task=name, error=type(error).__qualname__, created=made)
        if self._on_failure is not None:
            self._on_failure(task, job, error)


def _annotate(error: BaseException, note: str) -> None:
    """Add a note to an error that has none of ours; one that many tasks raise keeps the first."""
    with contextlib.suppress(Exception):  # whatever an error's class makes of notes
        if not any(_NOTE in each for each in getattr(error, "__notes__", ())):
            error.add_note(note)
