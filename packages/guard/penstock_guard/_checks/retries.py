"""Retries whose callers come back together, as virtual time shows."""

from __future__ import annotations

import asyncio
import itertools
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

from penstock_limits.introspection import CallSite
from penstock_limits.testing import VirtualTimeLoop

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._sites import modules_between, site_of

__all__ = ["Retries"]

LIBRARY: Final = ("PEN801", "Ask the library for random delays, or use penstock_limits.retry.")
BY_HAND: Final = ("PEN802", "Use penstock_limits.retry, or wait for penstock_limits.backoff_delay(attempt) seconds.")
LIBRARIES: Final = ("tenacity", "backoff", "stamina", "retrying", "aiohttp_retry")
FEWEST: Final = 3  # delays of one caller from which a rule shows


class _Line:
    """A line that waits between attempts.

    Attributes:
        delays: The delays of each task, in seconds.
        wakes: For each attempt and delay, when tasks come back.
    """

    def __init__(self, site: CallSite | None, *, library: bool) -> None:
        self.site = site
        self.library = library
        self.delays: dict[int, list[float]] = {}
        self.wakes: dict[float, set[int]] = {}

    def wait(self, task: int, delay: float, wakes: float) -> None:
        self.delays.setdefault(task, []).append(delay)
        self.wakes.setdefault(wakes, set()).add(task)

    def fault(self) -> str | None:
        """Return what shows that nothing is random; None if nothing does."""
        together = max((len(tasks) for tasks in self.wakes.values()), default=0)
        if together > 1:
            return f"{together} callers that failed come back at the same instant"
        for delays in self.delays.values():
            if _is_regular(delays):
                return f"a caller that fails comes back after {', '.join(f'{each:g}' for each in delays[:4])} s"
        return None


class Retries:
    """Hears the timers of a `VirtualTimeLoop` that are set while an error is handled, or by a library that retries.

    Random delays are never the same twice, nor each twice the last.
    """

    names = ("retry",)

    def before(self, watch: Watch) -> list[dict[tuple[str, int], _Line]]:
        """Begin to listen, in loops of virtual time, each with a time of its own."""
        of_loops: list[dict[tuple[str, int], _Line]] = []

        def follow(loop: Any) -> None:
            if isinstance(loop, VirtualTimeLoop):
                of_loops.append({})
                watch.test.replace(loop, "call_later", _hearing(watch, weakref.ref(loop), of_loops[-1]))

        watch.test.on_loop.append(follow)
        return of_loops

    def after(self, watch: Watch, state: list[dict[tuple[str, int], _Line]]) -> Iterator[Accusation]:
        """Accuse lines whose delays follow a rule."""
        for line in (line for lines in state for line in lines.values()):
            fault = line.fault()
            if fault is not None:
                yield accuse("retry", LIBRARY if line.library else BY_HAND, fault, line.site)


def _hearing(
    watch: Watch, reference: weakref.ref[VirtualTimeLoop], lines: dict[tuple[str, int], _Line]
) -> Callable[..., Any]:
    def call_later(original: Callable[..., Any], delay: float, *args: Any, **kwargs: Any) -> Any:
        loop = reference()
        if loop is not None and delay > 0 and watch.test.owns_this():
            _note(sys._getframe(2), loop, delay, lines)
        return original(delay, *args, **kwargs)

    return call_later


def _note(frame: Any, loop: VirtualTimeLoop, delay: float, lines: dict[tuple[str, int], _Line]) -> None:
    between = modules_between(frame)
    task = asyncio.current_task(loop)
    if between[:1] != [("asyncio.tasks", "sleep")] or task is None:
        return
    if any(module.startswith("penstock_") for module, _ in between):  # ours are random
        return
    library = any(module.partition(".")[0] in LIBRARIES for module, _ in between)
    if not library and not isinstance(sys.exception(), Exception):  # a cancellation is no failure
        return
    site = site_of(frame)
    key = ("", 0) if site is None else (site.path, site.line)
    line = lines.setdefault(key, _Line(site, library=library))
    line.wait(id(task), delay, loop.time() + delay)


def _is_regular(delays: list[float]) -> bool:
    """Tell whether delays are all the same, or each the same multiple of the one before."""
    if len(delays) < FEWEST:
        return False
    factor = delays[1] / delays[0]
    return all(abs(later - factor * each) < 1e-9 * later for each, later in itertools.pairwise(delays))
