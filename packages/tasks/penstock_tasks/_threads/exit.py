"""The end of the program: threads are told to stop, waited for until a deadline, and reported if they overstay.

CPython ends a program in two steps, and so does this. When the main thread is at its end, it runs the functions of
`threading._register_atexit`, last registered first, and joins every thread that is no daemon, without a deadline. Then
come the functions of `atexit`, and what still lives is frozen. Here, non-daemon threads and the workers of executors
end in the first step, before the program's own `atexit` functions, as they do without penstock. Daemons serve the
program until it has nothing else left: they are told to stop when no other thread is, and waited for in the second
step, after those `atexit` functions that were registered later than ours and may be what stops them.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from penstock_limits import emit
from penstock_limits.forks import after_fork

from penstock_tasks._settings import seconds_given
from penstock_tasks._shown import shown_name
from penstock_tasks._threads.counters import counters
from penstock_tasks._threads.ownership import Ownership, owned_threads, ownership_of

__all__ = ["hook", "note_started", "on_exit", "set_exit_deadline"]

logger = logging.getLogger("penstock.tasks")

EXIT_DEADLINE = 5.0
GLANCE = 0.5  # seconds; a Ctrl-C that comes just before a thread begins to wait is seen only when it has waited


class _Exit:
    """How far the exit of this process is; times as `time.monotonic()` has them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.seconds = EXIT_DEADLINE
        self.hooked = False
        self.before_waiting: Callable[[], None] | None = None
        self.after_waiting: Callable[[], None] | None = None
        self.main_ended: float | None = None
        self.daemons_told: float | None = None
        self.interrupted = False


_exit = _Exit()


def set_exit_deadline(seconds: float) -> None:
    """Say how long the exit of the program waits for threads that were told to stop.

    Args:
        seconds: For all of them together; 5 by default, 0 for not at all. Threads that are no daemons hold the exit
            beyond it, as they do without penstock.

    Raises:
        ConfigurationError: It is no number of seconds.
    """
    _exit.seconds = seconds_given("set_exit_deadline()", "seconds", seconds)


def on_exit(before_waiting: Callable[[], None], after_waiting: Callable[[], None]) -> None:
    """Let executors be ended, before their workers are waited for, and after that."""
    _exit.before_waiting = before_waiting
    _exit.after_waiting = after_waiting


def hook() -> None:
    """Take part in the exit of this process; called when the first thread or executor is made."""
    if _exit.hooked:
        return
    with _exit.lock:
        hooked, _exit.hooked = _exit.hooked, True
    if hooked:
        return
    after_fork(_forked)
    try:
        # Private, and what concurrent.futures itself uses: there is no other way to be asked before the joining.
        threading._register_atexit(_end_of_main)  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):  # it has gone, or the main thread had ended before
        _exit.main_ended = _exit.main_ended or time.monotonic()
    atexit.register(_end_of_program)


def note_started(thread: threading.Thread, ownership: Ownership) -> None:
    """Tell a thread to stop that was started when it was too late to."""
    if _exit.main_ended is not None and _ends_now(thread, ownership):
        ownership.tell(thread)


def _forked() -> None:
    _exit.lock = threading.Lock()
    _exit.hooked = False  # multiprocessing clears atexit in its children
    _exit.main_ended = _exit.daemons_told = None
    _exit.interrupted = False


def _end_of_main() -> None:
    """The first step: CPython waits for whoever is no daemon when this returns."""
    _exit.main_ended = _exit.main_ended or time.monotonic()
    _wait(_ends_with_main, _exit.main_ended)


def _end_of_program() -> None:
    """The second step: nobody waits for a daemon when this returns."""
    now = time.monotonic()
    _exit.main_ended = _exit.main_ended or now
    _exit.daemons_told = _exit.daemons_told or now
    _wait(_ends_now, _exit.daemons_told)


def _ends_with_main(thread: threading.Thread, ownership: Ownership) -> bool:
    return ownership.is_worker or not thread.daemon


def _ends_now(thread: threading.Thread, ownership: Ownership) -> bool:
    return _exit.daemons_told is not None or _ends_with_main(thread, ownership)


def _wait(concerns: Callable[[threading.Thread, Ownership], bool], since: float) -> None:
    """Tell threads to stop, wait for some of them, and report who overstays; Ctrl-C ends this waiting and the next."""
    try:
        while waited_for := _tell(concerns):
            left = since + _exit.seconds - time.monotonic()
            if left <= 0 or _exit.interrupted:
                break
            waited_for[0].join(min(left, GLANCE))
    except KeyboardInterrupt:
        _exit.interrupted = True
        raise
    finally:
        if _exit.after_waiting is not None:
            _exit.after_waiting()
        for thread, ownership in owned_threads():
            if ownership.enforces and concerns(thread, ownership):
                _report(thread, ownership)


def _tell(concerns: Callable[[threading.Thread, Ownership], bool]) -> list[threading.Thread]:
    """Tell whoever has to stop by now, and return whom to wait for."""
    if _exit.daemons_told is None and not _serves_somebody():
        _exit.daemons_told = time.monotonic()
    owned = owned_threads()
    if _exit.before_waiting is not None:  # now: whoever works for an executor was found after it was made
        _exit.before_waiting()
    for thread, ownership in owned:
        if _ends_now(thread, ownership):
            ownership.tell(thread)
    return [thread for thread, ownership in owned if ownership.enforces and concerns(thread, ownership)]


def _serves_somebody() -> bool:
    """Tell whether the program lives on in threads that are no daemons."""
    ended = (threading.main_thread(), threading.current_thread())
    return any(not _may_be_left(thread) and thread not in ended for thread in threading.enumerate())


def _may_be_left(thread: threading.Thread) -> bool:
    """Tell whether CPython does not wait for a thread: a daemon, or the worker of an executor that enforces."""
    ownership = ownership_of(thread)
    return thread.daemon or (ownership is not None and ownership.is_worker and ownership.enforces)


def _report(thread: threading.Thread, ownership: Ownership) -> None:
    if ownership.reported:
        return
    ownership.reported = True
    name = shown_name(thread.name)
    counters.count("left_behind")
    frame = sys._current_frames().get(thread.ident or 0)
    stack = "".join(traceback.format_stack(frame)) if frame is not None else "(it has just ended)\n"
    emit(
        "thread.left_behind",
        name,
        owner=ownership.owner,
        daemon=_may_be_left(thread),
        created=str(ownership.site),
        seconds=_exit.seconds,
        stack=stack,
    )
    logger.error(
        "the thread %r, made at %s, did not stop within %g s at the exit%s. "
        "Let its loop wait on penstock_tasks.stop_event(), or see set_exit_deadline(). It stands at:\n%s",
        name,
        ownership.site,
        _exit.seconds,
        "" if _may_be_left(thread) else ", and holds it, being no daemon",
        stack,
    )
