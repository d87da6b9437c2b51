"""Executors that a test makes and does not shut down."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import Executor
from concurrent.futures.thread import ThreadPoolExecutor
from typing import Any, Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._watched import Made

__all__ = ["Executors"]

REMEDY: Final = ("PEN605", "Make it with `with`, or call shutdown(); penstock_tasks.ThreadPoolExecutor has an owner.")
LOOPS_OWN: Final = ("asyncio", "uvloop")  # names of the default executors of loops, which end with their loop


class _Opened:
    def __init__(self) -> None:
        self.made: list[tuple[weakref.ref[Executor], CallSite | None]] = []
        self.down: weakref.WeakSet[Executor] = weakref.WeakSet()

    def left(self) -> list[Made[Executor]]:
        found = [(reference(), site) for reference, site in self.made]
        return [Made(each, site) for each, site in found if each is not None and each not in self.down]


class Executors:
    """Takes note of each that is made, and of each that is shut down."""

    names = ("executor",)

    def before(self, watch: Watch) -> _Opened:
        """Begin to take note; executors of processes if the module is loaded."""
        opened = _Opened()

        def made(site: CallSite | None, executor: Executor, *args: Any, **kwargs: Any) -> None:
            prefix = kwargs.get("thread_name_prefix", args[1] if len(args) > 1 else "")
            if prefix not in LOOPS_OWN:
                opened.made.append((weakref.ref(executor), site))

        def shut_down(original: Any, executor: Executor, *args: Any, **kwargs: Any) -> Any:
            opened.down.add(executor)
            return original(executor, *args, **kwargs)

        for kind in _kinds():
            watch.test.note(kind, "__init__", made)
            watch.test.replace(kind, "shutdown", shut_down)
        return opened

    def after(self, watch: Watch, state: _Opened) -> Iterator[Accusation]:
        """Accuse those that live and were not shut down."""
        if state.left():
            gc.collect()
        for made in watch.left(state.left(), lambda _: True):
            yield accuse("executor", REMEDY, f"a {type(made.thing).__name__} was not shut down", made.site)


def _kinds() -> list[Any]:
    processes = sys.modules.get("concurrent.futures.process")
    return [ThreadPoolExecutor] if processes is None else [ThreadPoolExecutor, processes.ProcessPoolExecutor]
