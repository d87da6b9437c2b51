"""One thread that asks event loops whether they turn, and says where the code stands of one that does not."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

__all__ = ["Watchdog"]

PERIODS = 10  # in the time for which a loop may stand still
LONGEST = 0.1  # seconds
DEBUGGERS = ("bdb", "pdb", "pydevd")


class _Patient:
    """A loop that is asked.

    Attributes:
        stood: For how many seconds it has not answered.
        told: Whether that has been told.
    """

    __slots__ = ("answered", "loop", "on_blocked", "patience", "stood", "thread", "told")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, patience: float, on_blocked: Callable[[FrameType, float], None]
    ) -> None:
        self.loop = loop
        self.thread = threading.get_ident()
        self.patience = patience
        self.on_blocked = on_blocked
        self.answered = True
        self.stood = 0.0
        self.told = False

    def answer(self) -> None:
        self.answered = True

    def ask(self) -> None:
        self.answered, self.stood, self.told = False, 0.0, False
        with contextlib.suppress(RuntimeError):  # it is closed
            self.loop.call_soon_threadsafe(self.answer)

    def look(self, passed: float) -> None:
        if self.answered:
            self.ask()
            return
        self.stood += passed
        if self.stood >= self.patience and not self.told:
            self.told = True
            frame = sys._current_frames().get(self.thread)
            if frame is not None and not _is_debugged(frame):
                self.on_blocked(frame, self.stood)


class Watchdog:
    """Watches event loops from a thread of its own, until `stop()`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._patients: dict[asyncio.AbstractEventLoop, _Patient] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="penstock-guard", daemon=True)
        self._thread.start()

    def watch(
        self, loop: asyncio.AbstractEventLoop, patience: float, on_blocked: Callable[[FrameType, float], None]
    ) -> None:
        """Watch a loop that runs in this thread.

        Args:
            loop: The loop.
            patience: For how many seconds it may stand still.
            on_blocked: Called in the watchdog's thread with the innermost frame, and the seconds so far.
        """
        with self._changed:
            self._patients[loop] = _Patient(loop, patience, on_blocked)
            self._changed.notify()

    def unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch it no longer; what is being told of it has been told when this returns."""
        with self._changed:
            self._patients.pop(loop, None)

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                if not self._patients:
                    self._changed.wait()
                    continue
                period = min(LONGEST, min(each.patience for each in self._patients.values()) / PERIODS)
                passed = self._sleep(period)
                for patient in tuple(self._patients.values()):
                    patient.look(passed)

    def _sleep(self, period: float) -> float:
        """Sleep, and return how long loops can have stood still of their own: not while the machine gave us no time."""
        wall, cpu = time.monotonic(), time.process_time()
        self._changed.wait(period)
        passed = time.monotonic() - wall
        if passed <= 3 * period:
            return passed
        return min(passed, max(period, time.process_time() - cpu))  # a call that keeps the GIL has used the processor


def _is_debugged(frame: FrameType | None) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(DEBUGGERS):
            return True
        frame = frame.f_back
    return False
