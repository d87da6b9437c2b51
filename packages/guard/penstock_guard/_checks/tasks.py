"""Tasks that a test leaves running."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any, Final

from penstock_limits.introspection import CallSite, awaited_frames

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._sites import is_users
from penstock_guard._watched import Made

__all__ = ["Tasks"]

REMEDY: Final = (
    "PEN603",
    "Await the task, cancel it and await it, or let a TaskManager or a TaskGroup own it.",
)
AnyTask = asyncio.Task[Any]


class Tasks:
    """Looks inside the loop when the test's coroutine has returned, and at stopped loops when the test has ended."""

    names = ("task",)

    def before(self, watch: Watch) -> list[Made[AnyTask]]:
        """Begin to look."""
        left: list[Made[AnyTask]] = []

        def pending(loop: asyncio.AbstractEventLoop) -> list[tuple[AnyTask, CallSite | None]]:
            me = asyncio.current_task()
            return [(task, site) for task, site in watch.tasks.left(loop) if task is not me]

        def look(loop: asyncio.AbstractEventLoop) -> None:
            left.extend(Made(task, site) for task, site in pending(loop))
            watch.tasks.forget()

        watch.loops.begun.append(watch.tasks.forget)
        watch.loops.suspicious.append(lambda loop: bool(pending(loop)))
        watch.loops.at_end.append(look)
        return left

    def after(self, watch: Watch, state: list[Made[AnyTask]]) -> Iterator[Accusation]:
        """Accuse those that were left in the test's loop, and those that wait in a loop that stands still."""
        if _elsewhere(watch):
            gc.collect()
            state += [Made(task, site) for task, site in _elsewhere(watch)]
        for made in watch.left(state, lambda _: True):
            yield accuse("task", REMEDY, f"{_named(made.thing)} was left running", made.site)


def _elsewhere(watch: Watch) -> list[tuple[AnyTask, CallSite | None]]:
    """Return what is left in loops that nobody looked into while they ran."""
    return [(task, site) for task, site in watch.tasks.left() if task.get_loop() not in watch.loops.settled]


def _named(task: AnyTask) -> str:
    coroutine: Any = task.get_coro()
    name = getattr(coroutine, "__qualname__", None) or type(coroutine).__name__
    users = [frame for frame in awaited_frames(task) if is_users(frame)]
    where = f", which waits at line {users[-1].f_lineno} of {users[-1].f_code.co_qualname}," if users else ""
    return f"the task {task.get_name()!r} of {name}(){where}"
