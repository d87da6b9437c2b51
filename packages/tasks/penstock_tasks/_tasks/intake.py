"""How work is let in: in one event loop of one thread and process, as long as it is open."""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import Task, current_task
from collections.abc import Coroutine
from contextvars import Context
from threading import get_ident
from types import FrameType
from typing import Any, Literal, TypeVar
from weakref import ref

import penstock_limits
from penstock_limits import Limiter, Mode, mode_of
from penstock_limits.forks import after_fork

from penstock_tasks._settings import CAPABILITY, mode_given
from penstock_tasks._tasks.jobs import Job, Jobs

__all__ = ["Intake", "options"]

T = TypeVar("T")
State = Literal["new", "open", "draining", "cancelling", "closed"]


class Intake:
    """Lets work in, and owns its tasks; it belongs to the event loop in which it is first used.

    Args:
        name: What people know it by.
        where: Whose mode it is, for the error.
        mode: Its mode; None for that of the capability, read once when it is first used.
        cancels_all: Whether a task that fails is told of at once, as it ends the others.

    Raises:
        ConfigurationError: The mode is none.
    """

    def __init__(self, name: str, where: str, mode: Mode | str | None, *, cancels_all: bool) -> None:
        self.name = name
        self._cancels_all = cancels_all
        self._given = mode_given(where, mode)
        self._mode = Mode.OFF
        self._state: State = "new"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._thread: int | None = None  # in which it takes work in
        self._jobs: Jobs | None = None

    @property
    def mode(self) -> Mode:
        """Its mode; what the capability says now, as long as it is unused and follows that."""
        return self._mode if self._state != "new" else self._given or mode_of(CAPABILITY)

    def _admit(self, coro: Coroutine[Any, Any, Any] | None = None) -> None:
        """Let work in, or refuse it and close its coroutine."""
        loop = asyncio._get_running_loop()
        try:
            if loop is None:
                raise RuntimeError(self._elsewhere())
            if self._state == "new":
                self._open(loop)
            if loop is not self._loop:
                raise RuntimeError(self._elsewhere())
            if self._state != "open" and not (self._state == "draining" and self._is_own(current_task())):
                raise RuntimeError(
                    f"task manager {self.name!r} is {self._state} and takes no more work in; "
                    f"make another one, or start the work before its block is left"
                )
        except RuntimeError:
            if asyncio.iscoroutine(coro):
                coro.close()
            raise

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._mode = self._given or mode_of(CAPABILITY)
        self._loop = loop
        self._process = os.getpid()
        if self._mode is not Mode.OFF:
            tells = self._cancels_all and self._mode is Mode.ENFORCE
            self._jobs = Jobs(self.name, loop, self._mode, self._task_failed if tells else None)
        self._state = "open"
        self._thread = get_ident()
        after_fork(self._close_in_child)

    def _close_in_child(self) -> None:
        """Take no work in: the loop, which is the parent's, does not run here."""
        self._thread = None

    def _elsewhere(self) -> str:
        """Say why it cannot be used here."""
        here = f"task manager {self.name!r} was used in thread {threading.current_thread().name!r}"
        if os.getpid() != self._process:
            return f"{here} of a process that was forked: its event loop is the parent's. Make one in this process"
        if self._loop is None:
            return f"{here} without a running event loop: use it in a coroutine"
        if self._loop.is_closed():
            return f"{here}, but the event loop it belongs to is closed. Make one for each loop"
        return (
            f"{here}, outside of the event loop it belongs to. From another thread use "
            f"asyncio.run_coroutine_threadsafe(...), or loop.call_soon_threadsafe(tasks.start_soon, ...); "
            f"for another loop make another manager"
        )

    def _is_own(self, task: Task[Any] | None) -> bool:
        return self._jobs is not None and task in self._jobs.running

    def _start(
        self,
        coro: Coroutine[Any, Any, T],
        name: str | None,
        context: Context | None,
        frame: FrameType,
        part_of: str,
        limit: str | Limiter | None = None,
        **kwargs: Any,
    ) -> Task[T]:
        self._admit(coro)
        kwargs |= options(name, context)
        if limit is not None:
            task = penstock_limits.create_task(coro, limit=limit, **kwargs)
        else:
            task = self._the_loop().create_task(coro, **kwargs)
        self._own(task, frame, part_of)
        return task

    def _own(self, task: Task[Any], frame: FrameType, part_of: str = "") -> None:
        """Own a task that was made in a frame, if the mode lets it own any."""
        if self._jobs is not None:
            self._jobs.watch(task, self._jobs.known(frame, part_of))

    def _made(self, frame: FrameType, what: str) -> Job:
        loop = self._the_loop()
        parent = current_task()
        return Job(frame.f_code, frame.f_lasti, None if parent is None else ref(parent), loop.time(), what)

    def _launch(self, coro: Coroutine[Any, Any, T], name: str, context: Context, job: Job) -> Task[T]:
        task = self._the_loop().create_task(coro, name=name, context=context)
        if self._jobs is not None:
            self._jobs.watch(task, job)
        return task

    def _the_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None
        return self._loop

    def _stop_intake(self) -> None:
        """Take no more work in; what runs may still start what it needs."""
        if self._state == "open":
            self._state = "draining"
            self._thread = None

    def _task_failed(self, task: Task[Any], job: Job, error: BaseException) -> None:
        """Be told that a task has failed."""


def options(name: str | None, context: Context | None) -> dict[str, Any]:
    """Return what was given: from 3.14 on a task factory is handed every keyword, and may not know all."""
    given = {"name": name, "context": context}
    return {key: value for key, value in given.items() if value is not None}
