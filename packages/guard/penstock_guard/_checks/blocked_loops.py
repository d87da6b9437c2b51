"""Event loops that stand still."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import FrameType
from typing import Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._sites import modules_between, site_of, stack_of

__all__ = ["BlockedLoops"]

REMEDY: Final = (
    "PEN503",
    "Await an asynchronous counterpart, or ship what blocks or computes to a thread or a process.",
)
Blocked = list[tuple[float, "CallSite | None", tuple[str, ...]]]


class BlockedLoops:
    """Asks the watchdog: it says where the code stands of a loop that does not answer.

    What imports a module does so once for all tests, and is not accused.
    """

    names = ("blocked-loop",)

    def before(self, watch: Watch) -> Blocked:
        """Have the loops watched while they run code of the test."""
        blocked: Blocked = []

        def note(frame: FrameType, seconds: float) -> None:
            if not any(module == "importlib._bootstrap" for module, _ in modules_between(frame)):
                blocked.append((seconds, site_of(frame), stack_of(frame)))

        def begin(loop: asyncio.AbstractEventLoop) -> None:
            watch.watchdog.watch(loop, watch.test.settings.block, note)

        watch.loops.entered.append(begin)
        watch.loops.left.append(watch.watchdog.unwatch)
        return blocked

    def after(self, watch: Watch, state: Blocked) -> Iterator[Accusation]:
        """Accuse each line at which a loop stood still; what it called there is known of some."""
        for seconds, site, stack in state:
            if site in watch.blocked_at:
                continue
            if site is not None:
                watch.blocked_at.add(site)
            message = f"the event loop stood still for {seconds:.2g} s or longer"
            yield accuse("blocked-loop", REMEDY, message, site, stack)
