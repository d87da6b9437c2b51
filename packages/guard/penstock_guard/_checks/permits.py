"""Permits of limiters that a test takes and does not give back."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any, Final

import penstock_limits
from penstock_limits import Limiter
from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch

__all__ = ["Permits"]

REMEDY: Final = ("PEN101", "Hold permits with `async with limiter`, or release() them in a `finally`.")


class _State:
    def __init__(self) -> None:
        self.before = {limiter: limiter.statistics().running for limiter in _limiters()}
        self.sites: weakref.WeakKeyDictionary[Limiter, CallSite | None] = weakref.WeakKeyDictionary()
        self.taken: weakref.WeakKeyDictionary[Limiter, int] = weakref.WeakKeyDictionary()

    def change(self, limiter: Limiter, by: int) -> None:
        self.taken[limiter] = self.taken.get(limiter, 0) + by


class Permits:
    """Reads the statistics of limiters of which the test itself has taken permits to give them back itself.

    The line is the latest that did. What waits within `async with` is a task, a thread or a generator that is left;
    those of a fixture may hold permits, too.
    """

    names = ("permit",)

    def before(self, watch: Watch) -> _State:
        """Read what was out before."""
        state = _State()

        def took(site: CallSite | None, limiter: Limiter, *_: Any, weight: int = 1, **__: Any) -> None:
            state.sites[limiter] = site
            state.change(limiter, weight)

        def gave(_: CallSite | None, limiter: Limiter, weight: int = 1) -> None:
            state.change(limiter, -(weight == 1))  # several are given back one by one

        for name in ("acquire", "acquire_nowait", "hold"):
            watch.test.note(Limiter, name, took)
        watch.test.note(Limiter, "release", gave)
        return state

    def after(self, watch: Watch, state: _State) -> Iterator[Accusation]:
        """Accuse limiters that miss permits."""
        if any(_missing(limiter, state) for limiter in _limiters()):
            gc.collect()
        for limiter in _limiters():
            missing = _missing(limiter, state)
            if missing > 0:
                message = f"the limiter {limiter.name!r} has not got back {missing} of its permits"
                yield accuse("permit", REMEDY, message, state.sites.get(limiter))


def _limiters() -> list[Limiter]:
    return [each for each in penstock_limits.resources() if isinstance(each, Limiter)]


def _missing(limiter: Limiter, state: _State) -> int:
    more = limiter.statistics().running - state.before.get(limiter, 0)
    return max(0, min(more, state.taken.get(limiter, 0)))
