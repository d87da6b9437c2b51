"""The tasks that a test makes, by the line that made them."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from penstock_limits.introspection import CallSite

from penstock_guard._sites import modules_between, site_of
from penstock_guard._watched import WatchedTest

__all__ = ["Birthplace", "TaskLog"]

AnyTask = asyncio.Task[Any]


class Birthplace:
    """A line that makes tasks.

    Attributes:
        site: The line.
        through: What it called: `gather`, or anything.
        created: How many it has made.
        live: Those that are not done, by id.
    """

    __slots__ = ("__weakref__", "created", "live", "site", "through")

    def __init__(self, site: CallSite | None, through: str) -> None:
        self.site = site
        self.through = through
        self.created = 0
        self.live: dict[int, weakref.ref[AnyTask]] = {}

    def add(self, task: AnyTask) -> None:
        self.created += 1
        self.live[id(task)] = weakref.ref(task)
        task.add_done_callback(self._done)

    def tasks(self) -> Iterator[AnyTask]:
        """Return those that are not done, and alive."""
        for reference in tuple(self.live.values()):
            task = reference()
            if task is not None and not task.done():
                yield task

    def _done(self, task: AnyTask) -> None:
        self.live.pop(id(task), None)


class TaskLog:
    """Takes note of each task that a test makes, in any event loop.

    The loop's `create_task` is replaced on the object, and calls on: a task factory that is there, or comes, is used.

    Args:
        test: The test.

    Attributes:
        on_task: Called with the event loop and the birthplace after each task.
    """

    def __init__(self, test: WatchedTest) -> None:
        self._test = test
        self._places: dict[tuple[str, int], Birthplace] = {}
        self.on_task: list[Callable[[asyncio.AbstractEventLoop, Birthplace], None]] = []
        test.on_loop.append(self._follow)

    def left(self, *loops: asyncio.AbstractEventLoop) -> list[tuple[AnyTask, CallSite | None]]:
        """Return the tasks that are not done, of these loops or of all."""
        return [
            (task, place.site)
            for place in tuple(self._places.values())
            for task in place.tasks()
            if not loops or task.get_loop() in loops
        ]

    def forget(self) -> None:
        """Forget what was made before the test's own code."""
        for place in self._places.values():
            place.live.clear()

    def _follow(self, loop: asyncio.AbstractEventLoop) -> None:
        def create_task(original: Callable[..., AnyTask], *args: Any, **kwargs: Any) -> AnyTask:
            task = original(*args, **kwargs)
            if not task.done() and self._test.owns_this():
                self._add(loop, task)
            return task

        self._test.replace(loop, "create_task", create_task)

    def _add(self, loop: asyncio.AbstractEventLoop, task: AnyTask) -> None:
        caller = sys._getframe(3)  # of `create_task`: what is above are this method and the two that replace it
        site = site_of(caller)
        key = ("", 0) if site is None else (site.path, site.line)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Birthplace(site, _through(caller))
        place.add(task)
        for told in self.on_task:
            told(loop, place)


def _through(caller: FrameType) -> str:
    """Return who asked for the task on the user's behalf: `penstock_limits`, `gather`, or nobody."""
    between = modules_between(caller)
    if any(module.startswith("penstock_limits.") for module, _ in between):
        return "penstock_limits"
    return "gather" if ("asyncio.tasks", "gather") in between else ""
