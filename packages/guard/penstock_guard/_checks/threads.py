"""Threads that a test starts and leaves running, daemons too."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import thread as executors
from dataclasses import dataclass
from typing import Any, Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._watched import Made

__all__ = ["Threads"]

REMEDY: Final = (
    "PEN301",
    "Stop the thread and join it; penstock_tasks.Thread has an owner that does.",
)
PATIENCE: Final = 0.2  # seconds in which threads that are about to end may end,
STEPS: Final = 10  # in steps: when the machine stalls they take longer
LOOPS_OWN: Final = "asyncio-waitpid-"  # ends with the process that it waits for


@dataclass(frozen=True, slots=True)
class _Started:
    """A thread.

    Attributes:
        thread: Returns it; None if it has ended and nobody holds it.
        site: The line that started it.
        executor: Returns what it works for, None if that is gone; None if it works for nobody.
    """

    thread: weakref.ref[threading.Thread]
    site: CallSite | None
    executor: Callable[[], Any] | None

    def is_left(self) -> bool:
        """Tell whether it runs, and will: those of an executor end with it, and anyio's with their loop."""
        thread = self.thread()
        if thread is None:
            return False
        own = thread.name.startswith(LOOPS_OWN) or type(thread).__module__.startswith("anyio.")
        return thread.is_alive() and not own and thread is not threading.current_thread() and not self._serves()

    def _serves(self) -> bool:
        executor = self.executor and self.executor()
        return executor is not None and not getattr(executor, "_shutdown", False)


class Threads:
    """Takes note of each thread that is started."""

    names = ("thread",)

    def before(self, watch: Watch) -> list[_Started]:
        """Begin to take note."""
        started: list[_Started] = []

        def note(site: CallSite | None, thread: threading.Thread) -> None:
            watch.test.threads.add(thread)
            started.append(_Started(weakref.ref(thread), site, _executor_of(thread)))

        watch.test.note(threading.Thread, "start", note)
        return started

    def after(self, watch: Watch, state: list[_Started]) -> Iterator[Accusation]:
        """Accuse those that live on."""
        for _ in range(STEPS):
            left = next((thread for each in state if each.is_left() and (thread := each.thread())), None)
            if left is not None:
                left.join(PATIENCE / STEPS)
        suspects = [Made(thread, each.site) for each in state if each.is_left() and (thread := each.thread())]
        for made in watch.left(suspects, lambda _: True):
            kind = "daemon thread" if made.thing.daemon else "thread"
            yield accuse("thread", REMEDY, f"the {kind} {made.thing.name!r} was left running", made.site)


def _executor_of(thread: Any) -> Callable[[], Any] | None:
    """Return the reference to its executor that a thread of one is given."""
    is_worker = getattr(thread, "_target", None) is executors._worker
    return thread._args[0] if is_worker else None
