"""Sessions that were closed, and that the server may not have ended yet."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections import deque

__all__ = ["GLANCE", "Endings"]

PATIENCE = 1.0  # seconds for a server to end a session
GLANCE = 0.001  # seconds between two looks


class Endings:
    """Waits for the server to have ended what was closed, so that it never has more sessions than it may have.

    A duplicate of a session's socket outlives the session, until the server closes its end.
    """

    def __init__(self) -> None:
        self._ending: deque[_Ending] = deque()

    def enter(self, descriptor: int) -> None:
        """Take note of a session that is about to be closed; the garbage collector may do so."""
        if hasattr(select, "poll"):
            with contextlib.suppress(OSError, ValueError):  # it is closed already
                self._ending.append(_Ending(os.dup(descriptor)))

    def count(self) -> int:
        """Return how many the server has still."""
        for _ in range(len(self._ending)):
            with contextlib.suppress(IndexError):  # another thread was faster
                ending = self._ending.popleft()
                if not ending.is_over():
                    self._ending.append(ending)
        return len(self._ending)


class _Ending:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._deadline = time.monotonic() + PATIENCE

    def __del__(self) -> None:
        os.close(self._descriptor)

    def is_over(self) -> bool:
        """Tell whether the server has closed its end, or takes too long to."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while poll.poll(0):
            try:
                if not os.read(self._descriptor, 65_536):
                    return True
            except BlockingIOError:
                break
            except OSError:
                return True
        return time.monotonic() > self._deadline
