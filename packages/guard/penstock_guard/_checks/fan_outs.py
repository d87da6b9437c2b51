"""Lines that make more tasks than may live at once, without a limit."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import AsyncGeneratorType, MethodType
from typing import Any, Final

import penstock_limits
from penstock_limits.introspection import awaited_coroutines

from penstock_guard._accusations import Accusation, accuse
from penstock_guard._checks.check import Watch
from penstock_guard._tasks import AnyTask, Birthplace

__all__ = ["FanOuts"]

GATHER: Final = ("PEN101", "Use penstock_limits.gather(..., limit=...), or take a semaphore in each.")
LOOP: Final = ("PEN102", "Use penstock_limits.bounded_map(...) or create_task(..., limit=...), or take a semaphore.")
_EXITS: Final = {"__exit__", "__aexit__"}


@dataclass(slots=True)
class _Seen:
    """What is known of a line that makes many.

    Attributes:
        looks_at: How many tasks it has made when it is looked at next.
        looking: Whether a look is due.
        peak: The most that lived at once, once it is accused; 0 until then.
    """

    looks_at: int = 0
    looking: bool = False
    peak: int = 0


class FanOuts:
    """Looks at the tasks of a line when more live than may: after their first step, and when twice as many were made.

    Those that wait in a semaphore, or hold one, do not count, and a line of which some wait in one is limited.
    """

    names = ("fan-out",)

    def before(self, watch: Watch) -> dict[Birthplace, _Seen]:
        """Begin to look."""
        lines: dict[Birthplace, _Seen] = {}
        most = watch.test.settings.fanout

        def made(loop: asyncio.AbstractEventLoop, place: Birthplace) -> None:
            if len(place.live) <= most or place.through == "penstock_limits":
                return
            seen = lines.setdefault(place, _Seen())
            if seen.peak:
                seen.peak = max(seen.peak, len(place.live))
            elif not seen.looking and place.created >= seen.looks_at:
                seen.looking = True
                loop.call_soon(look, place, seen)

        def look(place: Birthplace, seen: _Seen) -> None:
            tasks = list(place.tasks())
            seen.looking, seen.looks_at = False, place.created + max(most, len(tasks))
            if _is_unlimited(tasks, most):
                seen.peak = len(tasks)

        watch.tasks.on_task.append(made)
        return lines

    def after(self, watch: Watch, state: dict[Birthplace, _Seen]) -> Iterator[Accusation]:
        """Accuse the lines that made too many."""
        for place, seen in state.items():
            if seen.peak:
                message = f"{seen.peak} tasks lived at once that this line made; allowed are {_most(watch)}"
                yield accuse("fan-out", GATHER if place.through == "gather" else LOOP, message, place.site)


def _most(watch: Watch) -> int:
    return watch.test.settings.fanout


def _is_unlimited(tasks: list[AnyTask], most: int) -> bool:
    """Tell whether more run than may, and nothing holds them back."""
    running, limiters = 0, _limiters()
    for task in tasks:
        coroutines: list[Any] = list(awaited_coroutines(task))
        if any(_waits_in(each, limiters) for each in coroutines):
            return False
        running += _has_begun(coroutines) and not any(_holds(each, limiters) for each in coroutines)
    return running > most


def _limiters() -> tuple[type[Any], ...]:
    """Return the classes that limit how much runs at once, of what is loaded."""
    found: list[type[Any]] = [asyncio.Semaphore, penstock_limits.Limiter, penstock_limits.Hold, penstock_limits.Slot]
    anyio = sys.modules.get("anyio")
    found += [getattr(anyio, name) for name in ("CapacityLimiter", "Semaphore") if hasattr(anyio, name)]
    return tuple(found)


def _has_begun(coroutines: list[Any]) -> bool:
    return not (
        coroutines
        and inspect.iscoroutine(coroutines[0])
        and inspect.getcoroutinestate(coroutines[0]) == inspect.CORO_CREATED
    )


def _waits_in(coroutine: Any, limiters: tuple[type[Any], ...]) -> bool:
    """Tell whether a coroutine is a limiter's own method: what is suspended there waits for a permit."""
    frame = getattr(coroutine, "cr_frame", None)
    return frame is not None and isinstance(frame.f_locals.get("self"), limiters)


def _holds(suspended: object, limiters: tuple[type[Any], ...]) -> bool:
    """Tell whether a coroutine is suspended within `with` or `async with` of a limiter.

    The interpreter keeps what leaves the block beside the coroutine's variables: a bound method, or from Python 3.14 on
    the function and the manager.
    """
    kept = gc.get_referents(suspended)
    leaves = any(getattr(each, "__name__", "") in _EXITS for each in kept if not isinstance(each, MethodType))
    for each in kept:
        bound = isinstance(each, MethodType) and each.__func__.__name__ in _EXITS
        manager = each.__self__ if isinstance(each, MethodType) and bound else each
        if not (bound or leaves):
            continue
        if isinstance(manager, limiters):
            return True
        generator = getattr(manager, "gen", None)  # of contextlib.asynccontextmanager
        if isinstance(generator, AsyncGeneratorType) and generator is not suspended and _holds(generator, limiters):
            return True
    return False
