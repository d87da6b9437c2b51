"""`create_task`: asyncio.create_task, whose task has an owner."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

from penstock_limits import Mode, mode_of

from penstock_tasks._settings import CAPABILITY
from penstock_tasks._tasks.intake import Intake
from penstock_tasks._tasks.manager import TaskManager
from penstock_tasks._tasks.open_managers import open_manager

__all__ = ["create_task"]

T = TypeVar("T")


def create_task(
    coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
) -> asyncio.Task[T]:
    """Create a task like `asyncio.create_task`, and own it as the mode of the capability `managed-threads` says.

    Off is `asyncio.create_task`, to the letter. Observing, the task is counted and shown. Enforcing, it is kept alive
    until it has ended, an error that nobody retrieves is reported with the line that has made the task, and it is ended
    with the TaskManager that is open in this loop; where none is, by `asyncio.run` as ever.

    Args:
        coro: The coroutine.
        name: The task's name.
        context: The context to run in; None for a copy of the current one.
    """
    options: dict[str, Any] = {} if name is None else {"name": name}
    if context is not None:
        options["context"] = context
    now = asyncio.create_task  # or what has been put in its place, if this function itself
    task = (asyncio.tasks.create_task if now is create_task else now)(coro, **options)
    mode = mode_of(CAPABILITY)
    if mode is not Mode.OFF:
        _owner(task.get_loop(), mode)._own(task, sys._getframe(1))
    return task


_keepers: dict[tuple[asyncio.AbstractEventLoop, Mode], TaskManager] = {}


def _owner(loop: asyncio.AbstractEventLoop, mode: Mode) -> Intake:
    """Return whose a task of a loop is: the manager's that is open there, else the loop's own."""
    if mode is Mode.ENFORCE and (manager := open_manager(loop)) is not None:
        return manager
    return _keepers.get((loop, mode)) or _keeper(loop, mode)


def _keeper(loop: asyncio.AbstractEventLoop, mode: Mode) -> TaskManager:
    """Make a loop's own manager, and forget those of closed loops."""
    for key in [each for each in tuple(_keepers) if each[0].is_closed()]:
        _keepers.pop(key, None)
    keeper = _keepers[loop, mode] = TaskManager("loop", mode=mode)
    keeper._admit()
    return keeper
