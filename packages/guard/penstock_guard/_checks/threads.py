"""Threads that a test starts and leaves running, daemons too."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._watched import Made

__all__ = ["Threads"]

REMEDY: Final = (
    "PEN301",
    "Stop the thread and join it; penstock_tasks.Thread has an owner that does.",
)
PATIENCE: Final = 0.2  # seconds in which threads that are about to end may end
LOOPS_OWN: Final = ("asyncio_", "uvloop_", "asyncio-waitpid-")  # a default executor's, which end with their loop


class Threads:
    """Takes note of each thread that is started."""

    names = ("thread",)

    def before(self, watch: Watch) -> list[Made[threading.Thread]]:
        """Begin to take note."""
        started: list[Made[threading.Thread]] = []

        def note(site: CallSite | None, thread: threading.Thread) -> None:
            watch.test.threads.add(thread)
            started.append(Made(thread, site))

        watch.test.note(threading.Thread, "start", note)
        return started

    def after(self, watch: Watch, state: list[Made[threading.Thread]]) -> Iterator[Accusation]:
        """Accuse those that live on."""
        deadline = time.monotonic() + PATIENCE
        for made in state:
            if _is_left(made.thing):
                made.thing.join(max(0.0, deadline - time.monotonic()))
        for made in watch.left(state, _is_left):
            thread = made.thing
            kind = "daemon thread" if thread.daemon else "thread"
            yield accuse("thread", REMEDY, f"the {kind} {thread.name!r} was left running", made.site)


def _is_left(thread: threading.Thread) -> bool:
    own = thread.name.startswith(LOOPS_OWN) or type(thread).__module__.startswith("anyio.")  # they end with their loop
    return thread.is_alive() and not own and thread is not threading.current_thread()
