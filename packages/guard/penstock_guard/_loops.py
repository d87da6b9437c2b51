"""The event loops that run a test's code, and the end of its coroutine as seen from inside."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import unittest
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from penstock_guard._watched import WatchedTest, watched

__all__ = ["Loops", "following"]

FEWEST_TURNS: Final = 3  # of the event loop: what the end of the test has set in motion shows by then
TURNS: Final = 10  # before and after garbage is collected


class Loops:
    """Knows the event loops that run a test's code.

    Args:
        test: The test.

    Attributes:
        entered: Called with a loop when code of the test begins to run in it.
        left: Called with a loop when code of the test runs in it no longer.
        begun: Called in the loop before the test's coroutine begins.
        suspicious: Tell whether there is something left to wait for, in a loop.
        at_end: Called with a loop when the test's coroutine has returned and the loop has settled.
        settled: The loops that were looked at so.
    """

    def __init__(self, test: WatchedTest) -> None:
        self._test = test
        self._known: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self.settled: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self.entered: list[Callable[[asyncio.AbstractEventLoop], None]] = []
        self.left: list[Callable[[asyncio.AbstractEventLoop], None]] = []
        self.begun: list[Callable[[], None]] = []
        self.suspicious: list[Callable[[asyncio.AbstractEventLoop], bool]] = []
        self.at_end: list[Callable[[asyncio.AbstractEventLoop], None]] = []

    def watch(self) -> None:
        """See the loops that the test runs itself, as with `asyncio.run`; those in Cython are not seen."""

        def run_forever(original: Callable[..., Any], loop: asyncio.AbstractEventLoop) -> Any:
            if not self._test.owns_this():
                return original(loop)
            self.enter(loop)
            try:
                return original(loop)
            finally:
                self.leave(loop)

        self._test.replace(asyncio.BaseEventLoop, "run_forever", run_forever)

    def enter(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note that code of the test runs in a loop from now on."""
        if loop not in self._known:
            self._known.add(loop)
            for attach in self._test.on_loop:
                attach(loop)
        for enter in self.entered:
            enter(loop)

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take note that it runs there no longer, for now."""
        for leave in self.left:
            leave(loop)

    async def settle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let what is about to end come to its end."""
        for turn in range(2 * TURNS):
            if turn >= FEWEST_TURNS and not any(suspicious(loop) for suspicious in self.suspicious):
                break
            if turn == TURNS:
                gc.collect()
            await asyncio.sleep(0)
        for look in self.at_end:
            look(loop)
        self.settled.add(loop)


@contextmanager
def following(item: pytest.Item, test: WatchedTest, loops: Loops) -> Iterator[None]:
    """Look at a test that is a coroutine function from inside its event loop, when it has returned."""
    holder, name = _where(item)
    function = getattr(holder, name, None)
    if not inspect.iscoroutinefunction(function):
        yield
        return
    own = name in vars(holder) or not isinstance(holder, unittest.TestCase)
    setattr(holder, name, _followed(function, test, loops))
    try:
        yield
    finally:
        if own:
            setattr(holder, name, function)
        else:
            delattr(holder, name)


def _where(item: pytest.Item) -> tuple[Any, str]:
    """Return where the plugins of event loops look up the coroutine function."""
    instance = getattr(item, "instance", None)
    if isinstance(instance, unittest.TestCase):
        return instance, instance._testMethodName
    function = getattr(item, "obj", None)
    hypothesis = getattr(function, "hypothesis", None)
    return (item, "obj") if hypothesis is None else (hypothesis, "inner_test")


def _followed(function: Callable[..., Any], test: WatchedTest, loops: Loops) -> Callable[..., Any]:
    @functools.wraps(function)
    async def followed(*args: Any, **kwargs: Any) -> Any:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # it is trio's
            test.foreign = True
            return await function(*args, **kwargs)
        for begin in loops.begun:
            begin()
        token = watched.set(test)
        loops.enter(loop)
        try:
            result = await function(*args, **kwargs)
            loops.leave(loop)
            await loops.settle(loop)
        finally:
            loops.leave(loop)
            watched.reset(token)
        return result

    return followed
