"""Async generators that a test begins and does not end."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator
from types import AsyncGeneratorType
from typing import Any, Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._sites import site_here
from penstock_guard._watched import Made

__all__ = ["AsyncGenerators"]

REMEDY: Final = ("PEN606", "Put `async with contextlib.aclosing(...)` around the loop that may leave it early.")
Generator = AsyncGenerator[Any, Any]


class _Begun:
    """Those that were begun, and what became of them.

    Attributes:
        alive: By id, as weak references are gone when the garbage collector tells.
        dropped: Names and lines of those that it found unfinished.
        left: Those that were suspended still at the end.
        stop: Ends the listening; None if nobody listens.
    """

    def __init__(self) -> None:
        self.alive: dict[int, tuple[weakref.ref[Generator], CallSite | None]] = {}
        self.dropped: list[tuple[str, CallSite | None]] = []
        self.left: list[Made[Generator]] = []
        self.stop: Callable[[], None] | None = None

    def suspects(self) -> list[Made[Generator]]:
        found = [(reference(), site) for reference, site in self.alive.values()]
        return [Made(each, site) for each, site in found if each is not None and _is_suspended(each)]

    def look(self) -> None:
        self.left += self.suspects()
        self.alive.clear()


class AsyncGenerators:
    """Hears of each that is begun by the hooks that event loops use too, and chains theirs."""

    names = ("async-generator",)

    def before(self, watch: Watch) -> _Begun:
        """Begin to listen when the test's coroutine begins."""
        begun = _Begun()
        watch.loops.entered.append(lambda _: _listen(watch, begun))
        watch.loops.left.append(lambda _: _stop_listening(begun))
        watch.loops.suspicious.append(lambda _: bool(begun.suspects()))
        watch.loops.at_end.append(lambda _: begun.look())
        return begun

    def after(self, watch: Watch, state: _Begun) -> Iterator[Accusation]:
        """Accuse those that are suspended still, and those that were left to the garbage collector."""
        for name, site in state.dropped:
            message = f"the async generator {name}() was left to the garbage collector"
            yield accuse("async-generator", REMEDY, message, site)
        for made in watch.left(state.left, lambda _: True):
            message = f"the async generator {_name(made.thing)}() was begun and not closed"
            yield accuse("async-generator", REMEDY, message, made.site)


def _listen(watch: Watch, begun: _Begun) -> None:
    if asyncio._get_running_loop() is None or begun.stop is not None:  # about to run, a loop sets its own hooks first
        return
    before = sys.get_asyncgen_hooks()

    def firstiter(generator: Generator) -> None:
        if watch.test.owns_this():
            begun.alive[id(generator)] = weakref.ref(generator), site_here()
        if before.firstiter is not None:
            before.firstiter(generator)

    def finalizer(generator: Generator) -> None:
        if id(generator) in begun.alive:
            begun.dropped.append((_name(generator), begun.alive.pop(id(generator))[1]))
        if before.finalizer is not None:
            before.finalizer(generator)

    def stop() -> None:
        if sys.get_asyncgen_hooks().firstiter is firstiter:
            sys.set_asyncgen_hooks(*before)

    sys.set_asyncgen_hooks(firstiter, finalizer)
    begun.stop = stop


def _stop_listening(begun: _Begun) -> None:
    stop, begun.stop = begun.stop, None
    if stop is not None:
        stop()


def _name(generator: Generator) -> str:
    return str(getattr(generator, "__qualname__", type(generator).__name__))


def _is_suspended(generator: Generator) -> bool:
    return isinstance(generator, AsyncGeneratorType) and generator.ag_frame is not None and not generator.ag_running
