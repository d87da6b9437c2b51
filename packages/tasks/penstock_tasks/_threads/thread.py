"""`Thread` and `Timer`: threading's, with an owner."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar

from penstock_tasks._threads.counters import counters
from penstock_tasks._threads.exit import hook, note_started
from penstock_tasks._threads.ownership import Ownership, new_ownership

__all__ = ["Thread", "Timer"]


class Thread(threading.Thread):
    """A `threading.Thread` that the exit of the program ends: drop-in, with the same arguments.

    The mode of the capability `managed-threads` is read when it is made, and stays its own. Off makes a
    `threading.Thread`. Observe changes nothing, and counts. Enforce tells it to stop at the exit by its `stop_event()`;
    a daemon is waited for until the deadline, and reported with its stack if it overstays. A subclass is of its own
    class in every mode, and does the same.
    """

    _original: ClassVar[type[threading.Thread]] = threading.Thread
    _penstock: Ownership | None = None

    # For type checkers it is a class like any other, with the arguments of threading's.
    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **kwargs: Any) -> threading.Thread:
            ownership = new_ownership("exit")
            if ownership is None and "_original" in vars(cls):
                now = getattr(threading, cls.__name__)  # what a test may have put in its place, or this class itself
                return (cls._original if now is cls else now)(*args, **kwargs)
            self = super().__new__(cls)
            self._penstock = ownership
            return self

    def start(self) -> None:
        """Start it, as `threading.Thread.start` does.

        Raises:
            RuntimeError: It was started before, or no thread can be started.
        """
        ownership = self._penstock
        if ownership is None:
            super().start()
            return
        hook()
        super().start()
        counters.count("started")
        note_started(self, ownership)


class Timer(Thread, threading.Timer):
    """A `threading.Timer` that the exit of the program cancels: drop-in, with the same arguments and modes as `Thread`.

    One that has fired already is told to stop like any thread; one that it starts at the exit, to go on, is cancelled.
    """

    _original: ClassVar[type[threading.Thread]] = threading.Timer
