"""Hands alerts to a hook, off the event loop: however long it takes and however it fails, nothing else notices."""

from __future__ import annotations

import inspect
import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from penstock_limits import ConfigurationError
from penstock_limits.forks import after_fork

from penstock_monitoring._alerts.hooks import Hook
from penstock_monitoring._alerts.rule import Alert

__all__ = ["WAITING", "Courier", "HookStatistics"]

logger = logging.getLogger("penstock.monitoring")

WAITING: Final = 100  # alerts that may wait for a hook; later ones are dropped, and counted


@dataclass(frozen=True, slots=True)
class HookStatistics:
    """What became of the alerts that a hook was to be told of.

    Attributes:
        told: It was told.
        failed: It raised.
        dropped: As many as may wait did already, since it takes so long.
    """

    told: int
    failed: int
    dropped: int


class Courier:
    """Calls one hook, one alert after the other, in a thread that lives while there is something to tell.

    Args:
        hook: Called with each alert.

    Raises:
        ConfigurationError: The hook cannot be called, or is a coroutine function.
    """

    def __init__(self, hook: Hook) -> None:
        self.name = str(getattr(hook, "__name__", type(hook).__name__))  # its repr may hold an address
        if not callable(hook):
            raise ConfigurationError(f"hooks: {self.name} cannot be called; a hook takes an alert")
        if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(getattr(hook, "__call__", None)):  # noqa: B004 - of the instance
            raise ConfigurationError(f"hooks: {self.name} is a coroutine function; hooks are called in a thread")
        self._hook = hook
        self._told = self._failed = self._dropped = 0
        self._begin()
        after_fork(self._begin)

    def _begin(self) -> None:
        """Have nothing to tell, as in a forked child: the thread, and what it was to tell, are the parent's."""
        self._waiting: deque[Alert] = deque()
        self._busy = threading.Lock()

    def send(self, alert: Alert) -> None:
        """Let the hook be told; never waits, never fails."""
        if len(self._waiting) >= WAITING:
            self._dropped += 1
            return
        self._waiting.append(alert)
        self._start()

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to tell."""
        return not self._waiting and not self._busy.locked()

    def statistics(self) -> HookStatistics:
        """Return what became of the alerts."""
        return HookStatistics(self._told, self._failed, self._dropped)

    def _start(self) -> None:
        if self._busy.acquire(blocking=False):
            # A daemon: a hook that hangs must not keep the program from ending.
            thread = threading.Thread(target=self._work, name=f"penstock-hook-{self.name}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends
                self._busy.release()

    def _work(self) -> None:
        """Tell what waits, until nothing does."""
        while True:
            try:
                while self._waiting:
                    self._tell(self._waiting.popleft())
            finally:
                self._busy.release()
            # One that came while the lock was still held has started no thread.
            if not self._waiting or not self._busy.acquire(blocking=False):
                return

    def _tell(self, alert: Alert) -> None:
        try:
            self._hook(alert)
            self._told += 1
        except BaseException as error:  # noqa: BLE001 - sys.exit() in a hook must not end its thread either
            self._failed += 1
            # Not what it says: an address or a header may be in it.
            logger.warning("the hook %s failed at %s: %s", self.name, alert.name, type(error).__name__)
