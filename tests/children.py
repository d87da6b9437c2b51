"""Forked children, for tests of what a child sees of its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

PATIENCE = 10  # seconds, after which a child that waits is ended


def told_by_a_child(tell: Callable[[], object]) -> str:
    """Return what a forked child has to say; nothing if it waits for ever."""
    reading, writing = os.pipe()
    child = fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE)
        try:
            os.write(writing, repr(tell()).encode())
        except BaseException:  # noqa: BLE001 - what it raises is what it has to say
            os.write(writing, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return told


def fork() -> int:
    """Fork, though there are threads: this is what it is about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


@contextlib.contextmanager
def held_by_a_thread(held: AbstractContextManager[object]) -> Iterator[None]:
    """Have another thread hold a lock, or whatever can be held."""
    holds, ends = threading.Event(), threading.Event()

    def hold() -> None:
        with held:
            holds.set()
            ends.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait()
    try:
        yield
    finally:
        ends.set()
        thread.join()
