"""One thread that asks event loops whether they turn, and says where the code stands of one that does not."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from penstock_limits.forks import after_fork

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
                with contextlib.suppress(Exception):  # it must look after the others
                    self.on_blocked(frame, self.stood)


class Watchdog:
    """Watches event loops from a thread of its own, until `stop()`.

    It is none of `threading`, as tests count those, and begins with the first loop.
    """

    def __init__(self) -> None:
        self._begin()
        after_fork(self._begin)

    def _begin(self) -> None:
        """Watch nothing yet; in a forked child, where the thread is not, too."""
        self._changed = threading.Condition()
        self._patients: dict[asyncio.AbstractEventLoop, _Patient] = {}
        self._started = self._stopped = False
        self._ended = threading.Event()

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
            if not self._started:
                self._started = True
                _thread.start_new_thread(self._run, ())

    def unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch it no longer; what is being told of it has been told when this returns."""
        with self._changed:
            self._patients.pop(loop, None)

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._started:
            self._ended.wait()

    def _run(self) -> None:
        try:
            self._watch()
        finally:
            self._ended.set()

    def _watch(self) -> None:
        with self._changed:
            while not self._stopped:
                if not self._patients:
                    self._changed.wait()
                    continue
                period = min(LONGEST, min(each.patience for each in self._patients.values()) / PERIODS)
                self._look(self._sleep(period))

    def _look(self, passed: float) -> None:  # not in the loop that waits: it would keep the last event loop alive
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
