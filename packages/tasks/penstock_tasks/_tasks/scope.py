"""A named group of tasks: the block ends when all have ended, and a failure ends them all."""

from __future__ import annotations

import asyncio
import sys
from asyncio import Task
from collections.abc import Callable, Coroutine
from contextvars import Context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from penstock_tasks._tasks.block import Block
from penstock_tasks._tasks.calls import called, function_name

if TYPE_CHECKING:
    from penstock_limits import Limiter

    from penstock_tasks._tasks.manager import TaskManager

__all__ = ["TaskScope"]

T = TypeVar("T")


class TaskScope:
    """A named `asyncio.TaskGroup` of a manager, made by `tasks.scope()`; for `async with`, once.

    Leaving the block waits for its tasks. The first that fails, and an error or cancellation of the block itself,
    cancel the others; the errors are raised as one ExceptionGroup. A task that does not stop within `cancel_timeout`
    after that is reported and left behind, so that it does not hold up the others' end for ever.
    """

    def __init__(self, manager: TaskManager, name: str, cancel_timeout: float) -> None:
        self.name = name
        self._manager = manager
        self._cancel_timeout = cancel_timeout
        self._part_of = f"scope {name!r}"
        self._block: Block | None = None
        self._tasks: set[Task[Any]] = set()
        self._errors: list[BaseException] = []
        self._fatal: BaseException | None = None
        self._empty: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._leaving = self._aborting = self._interrupted = False

    def __repr__(self) -> str:
        state = "cancelling" if self._aborting else "leaving" if self._leaving else "open" if self._block else "new"
        return f"<TaskScope {self.name!r} {state}: {len(self._tasks)} running, {len(self._errors)} failed>"

    async def __aenter__(self) -> Self:
        """Enter the block.

        Raises:
            RuntimeError: It was entered before, or no task runs.
        """
        if self._block is not None:
            raise RuntimeError(f"scope {self.name!r} has already been entered; make another with scope()")
        self._block = Block()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the tasks.

        Raises:
            BaseExceptionGroup: What has failed, in the block or in its tasks; an ExceptionGroup if all are Exceptions.
        """
        assert self._block is not None
        try:
            await self._leave(error, self._block.task)
        finally:  # no cycle of errors and frames
            del error
            self._fatal = None
            self._errors = []
            if self._timer is not None:
                self._timer.cancel()

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None, **kwargs: Any
    ) -> Task[T]:
        """Start a coroutine in a task of this scope.

        Args:
            coro: The coroutine; it is closed if the task cannot be made.
            name: The task's name.
            context: The context to run in; None for a copy of the current one.
            kwargs: What the event loop's `create_task` takes, too: `eager_start` on 3.14.

        Raises:
            RuntimeError: The scope has not been entered, is finished or shutting down, or its manager refuses.
        """
        return self._start(coro, name, context, sys._getframe(1), kwargs)

    def start_soon(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        name: str | None = None,
        limit: str | Limiter | None = None,
    ) -> Task[T]:
        """Call an async function in a task of this scope.

        Args:
            function: The function.
            args: Its arguments.
            name: The task's name; the function's by default.
            limit: The name of a limit, or a Limiter, that admits it.

        Raises:
            RuntimeError: As for `create_task`.
            TypeError: The function returns no coroutine.
        """
        self._refuse()
        return self._start(called(function, args), name or function_name(function), None, sys._getframe(1), {}, limit)

    def scope(self, name: str, *, cancel_timeout: float | None = None) -> TaskScope:
        """Return a scope to nest in this one.

        Args:
            name: Its name.
            cancel_timeout: How many seconds cancelled tasks may take; None for half of what this scope gives.
        """
        return self._manager.scope(
            name, cancel_timeout=self._cancel_timeout / 2 if cancel_timeout is None else cancel_timeout
        )

    def cancel(self) -> None:
        """Cancel the tasks; the block goes on, and is left as if they had ended."""
        for task in tuple(self._tasks):
            task.cancel()
        self._set_timer()

    def _start(
        self,
        coro: Coroutine[Any, Any, T],
        name: str | None,
        context: Context | None,
        frame: Any,
        kwargs: dict[str, Any],
        limit: str | Limiter | None = None,
    ) -> Task[T]:
        try:
            self._refuse()
        except RuntimeError:
            coro.close()
            raise
        task = self._manager._start(coro, name, context, frame, self._part_of, limit, **kwargs)
        if task.done():
            self._ended(task)
        else:
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return task

    def _refuse(self) -> None:
        if self._block is None:
            raise RuntimeError(f"scope {self.name!r} has not been entered: use `async with`")
        if self._leaving and not self._tasks:
            raise RuntimeError(f"scope {self.name!r} is finished")
        if self._aborting:
            raise RuntimeError(f"scope {self.name!r} is shutting down, as it was cancelled or something in it failed")

    async def _leave(self, error: BaseException | None, parent: Task[Any]) -> None:
        self._leaving = True
        if isinstance(error, (SystemExit, KeyboardInterrupt)) and self._fatal is None:
            self._fatal = error
        cancelled = error if isinstance(error, asyncio.CancelledError) else None
        if error is not None and not self._aborting:
            self._abort()
        try:
            cancelled = await self._wait() or cancelled
            if self._interrupted and not parent.uncancel():
                cancelled = None
            if self._fatal is not None:
                raise self._fatal
            if cancelled is not None and not self._errors:
                raise cancelled
            if error is not None and not isinstance(error, asyncio.CancelledError):
                self._errors.append(error)
            if self._errors:
                self._raise(parent)
        finally:
            del error, cancelled, parent

    async def _wait(self) -> asyncio.CancelledError | None:
        """Wait until no task is left; return the cancellation that has come meanwhile, and ended them."""
        cancelled: asyncio.CancelledError | None = None
        while self._tasks:
            self._empty = asyncio.get_running_loop().create_future()
            try:
                await self._empty
            except asyncio.CancelledError as error:
                if not self._aborting:
                    cancelled = error
                    self._abort()
            self._empty = None
        try:
            return cancelled
        finally:
            del cancelled

    def _raise(self, parent: Task[Any]) -> None:
        if parent.cancelling():  # by somebody else: they must not be forgotten for the errors
            parent.uncancel()
            parent.cancel()
        raise BaseExceptionGroup(f"tasks of scope {self.name!r} have failed", self._errors) from None

    def _abort(self) -> None:
        self._aborting = True
        for task in self._tasks:
            task.cancel()
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:  # it was for those of an earlier cancel()
            self._timer.cancel()
        if self._tasks:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._cancel_timeout, self._leave_behind, frozenset(self._tasks))

    def _leave_behind(self, cancelled: frozenset[Task[Any]]) -> None:
        self._timer = None
        for task in cancelled & self._tasks:
            task.remove_done_callback(self._ended)
            self._tasks.discard(task)
            self._manager._leave_behind(task)
        self._wake()

    def _ended(self, task: Task[Any]) -> None:
        self._tasks.discard(task)
        self._wake()
        if task.cancelled() or (error := task.exception()) is None:
            return
        assert self._block is not None
        self._errors.append(error)
        if isinstance(error, (SystemExit, KeyboardInterrupt)) and self._fatal is None:
            self._fatal = error
        parent = self._block.task
        if parent.done():
            message = f"a task of scope {self.name!r} has failed, and nobody is in its block any more"
            parent.get_loop().call_exception_handler({"message": message, "exception": error, "task": task})
        elif not self._aborting and not self._interrupted:
            self._abort()
            self._interrupted = True
            parent.cancel()

    def _wake(self) -> None:
        if self._empty is not None and not self._tasks and not self._empty.done():
            self._empty.set_result(None)
