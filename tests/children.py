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
from types import TracebackType
from typing import Self

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


class SignalForks:
    """Forks in the handler of a signal that comes while this thread waits.

    Args:
        waits: Tells whether it waits.
        give_back: Gives back, in the parent, what it waits for.
    """

    def __init__(self, waits: Callable[[], bool], give_back: Callable[[], object]) -> None:
        self._waits = waits
        self._give_back = give_back
        self._reading, self.writing = os.pipe()
        self.is_child = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGUSR1, self._handle)
        self._thread = threading.Thread(target=self._send, args=(threading.get_ident(),))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.join()
        signal.signal(signal.SIGUSR1, self._before)

    def _send(self, whom: int) -> None:
        while not self._waits():
            pass
        signal.pthread_kill(whom, signal.SIGUSR1)

    def _handle(self, *_: object) -> None:
        self.child = fork()
        if self.child == 0:
            signal.alarm(PATIENCE)
            self.is_child = True
        else:
            os.close(self.writing)
            self._give_back()

    def end_child(self, said: object) -> None:
        """End the child, if this is it."""
        if self.is_child:
            os.write(self.writing, repr(said).encode())
            os._exit(0)

    def told(self) -> str:
        """Return what the child has said."""
        with os.fdopen(self._reading, encoding="utf-8") as answer:
            told = answer.read()
        os.waitpid(self.child, 0)
        return told
