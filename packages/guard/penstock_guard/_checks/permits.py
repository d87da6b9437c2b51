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


class Permits:
    """Reads the statistics of limiters; the line is the latest that took a permit to give it back itself."""

    names = ("permit",)

    def before(self, watch: Watch) -> _State:
        """Read what was out before."""
        state = _State()

        def note(site: CallSite | None, limiter: Limiter, *_: Any, **__: Any) -> None:
            state.sites[limiter] = site

        for name in ("acquire", "acquire_nowait", "hold"):
            watch.test.note(Limiter, name, note)
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
    return max(0, limiter.statistics().running - state.before.get(limiter, 0))
