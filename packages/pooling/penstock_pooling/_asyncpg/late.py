"""Acts on what takes too long, where many things may each take the same time: one timer for all of them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_pooling._asyncpg.holder import Holder

__all__ = ["LateWatch"]


class LateWatch:
    """Watches connections; those watched first are late first, so a timer for the first is enough.

    The timer keeps nothing alive: a pool that is forgotten is not late.

    Args:
        seconds: From when one is late; None for never.
        act: Called once with each that is.
    """

    __slots__ = ("__weakref__", "_act", "_seconds", "_since", "_timer")

    def __init__(self, seconds: float | None, act: Callable[[Holder], None]) -> None:
        self._seconds = seconds
        self._act = act
        self._since: dict[Holder, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self, holder: Holder, loop: asyncio.AbstractEventLoop, now: float) -> None:
        """Watch a connection from now on, in the loop's time."""
        if self._seconds is None:
            return
        self._since[holder] = now
        if self._timer is None:
            self._set_timer(loop, now + self._seconds)

    def stop(self, holder: Holder) -> None:
        """Watch it no longer."""
        self._since.pop(holder, None)

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Act on those that are late, and set the timer for the first that is not."""
        assert self._seconds is not None
        self._timer = None
        now = loop.time()
        for holder, since in list(self._since.items()):
            if since + self._seconds > now:
                self._set_timer(loop, since + self._seconds)
                return
            del self._since[holder]
            self._act(holder)

    def _set_timer(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        reference: weakref.ref[LateWatch] = weakref.ref(self)
        self._timer = loop.call_at(when, _look, reference, loop)


def _look(reference: weakref.ref[LateWatch], loop: asyncio.AbstractEventLoop) -> None:
    watch = reference()
    if watch is not None:
        watch.look(loop)
