"""Calls that block a thread, made in an event loop: those that `blockbuster` knows, if it is installed."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._sites import modules_between, site_here

__all__ = ["BlockingCalls"]

SLEEP: Final = ("PEN502", "Await asyncio.sleep() instead.")
REMEDY: Final = ("PEN503", "Await an asynchronous counterpart, or call it in a thread: `await asyncio.to_thread(...)`.")
WAITING: Final = (
    "time.sleep",
    "socket.",
    "ssl.",
    "sqlite3.",
    "io.",
    "os.read",
    "os.write",
    "os.sendfile",
    "builtins.input",
)  # neither what asks for a file's name or date, as imports do, nor locks: a long wait for one is the watchdog's
Calls = dict[tuple[str, "CallSite | None"], int]


class BlockingCalls:
    """Has blockbuster watch its functions; where it would raise, this counts, and lets the call go on."""

    names = ("blocked-loop",)

    def before(self, watch: Watch) -> Calls:
        """Begin to listen."""
        calls: Calls = {}
        if watch.test.settings.blockbuster and importlib.util.find_spec("blockbuster") is not None:
            from blockbuster import BlockBuster

            buster = BlockBuster()
            buster.functions = {name: each for name, each in buster.functions.items() if name.startswith(WAITING)}
            for function in buster.functions.values():
                function.can_block_predicate = functools.partial(
                    _let_go, watch, calls, function, function.can_block_predicate
                )
            buster.activate()
            watch.test.when_done(buster.deactivate)
        return calls

    def after(self, watch: Watch, state: Calls) -> Iterator[Accusation]:
        """Accuse each line that made such calls."""
        for (name, site), number in state.items():
            if site is not None:
                watch.blocked_at.add(site)
            times = "" if number == 1 else f", {number} times"
            remedy = SLEEP if name == "time.sleep" else REMEDY
            yield accuse("blocked-loop", remedy, f"{name} was called in the event loop{times}", site)


def _let_go(
    watch: Watch, calls: Calls, function: Any, can_block: Callable[..., bool], *args: Any, **kwargs: Any
) -> bool:
    """Tell blockbuster that a call may block, and take note of it if it may not."""
    if watch.test.owns_this() and not can_block(*args, **kwargs) and not _is_allowed(function):
        key = function.full_name, site_here()
        calls[key] = calls.get(key, 0) + 1
    return True


def _is_allowed(function: Any) -> bool:
    """Tell whether somebody calls who may: what blockbuster lists for the function, or the loop beside the test."""
    frame: Any = sys._getframe(1)
    if any(module == "logging" for module, _ in modules_between(frame)):  # where a log goes is not the line's to choose
        return True
    while frame is not None:
        path, name = frame.f_code.co_filename.replace("\\", "/"), frame.f_code.co_name
        if any(path.endswith(end) and name in names for end, names in function.can_block_functions):
            return True
        frame = frame.f_back
    return False
