"""One test from its call to its accusations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from penstock_guard._accusations import Accusation
from penstock_guard._checks import CHECKS, Check, Watch
from penstock_guard._loops import Loops, following
from penstock_guard._settings import Settings
from penstock_guard._tasks import TaskLog
from penstock_guard._watchdog import Watchdog
from penstock_guard._watched import WatchedTest, watched

__all__ = ["Verdict", "guarded"]


class Verdict:
    """What came of a test.

    Attributes:
        accusations: What it is accused of; nothing if it failed by itself.
        guarded: Whether it could be watched; not if it ran in trio's event loop.
    """

    def __init__(self) -> None:
        self.accusations: tuple[Accusation, ...] = ()
        self.guarded = True


@contextmanager
def guarded(item: pytest.Item, settings: Settings, watchdog: Watchdog) -> Iterator[Verdict]:
    """Watch a test while it is called; its verdict is known when the block is left.

    Nothing is said of a test that fails: it has not come to its own clean-up, and is red already.
    """
    verdict = Verdict()
    test = WatchedTest(settings, _owners(item))
    loops = Loops(test)
    watch = Watch(test, loops, TaskLog(test), watchdog)
    with ExitStack() as undo:
        undo.callback(test.end)
        looking = [(check, check.before(watch)) for check in CHECKS if not settings.ignore.issuperset(check.names)]
        loops.watch()
        undo.enter_context(following(item, test, loops))
        token = watched.set(test)
        undo.callback(watched.reset, token)
        yield verdict
    verdict.guarded = not test.foreign
    if verdict.guarded:
        verdict.accusations = tuple(_accusations(looking, watch, settings))


def _accusations(looking: list[tuple[Check, Any]], watch: Watch, settings: Settings) -> Iterator[Accusation]:
    of_line: dict[object, list[Accusation]] = {}
    for check, state in looking:
        for each in check.after(watch, state):
            if each.check not in settings.ignore:
                place = id(each) if each.path is None else (each.path, each.line)
                of_line.setdefault((each.check, each.code, place), []).append(each)
    yield from map(_once, of_line.values())


def _once(of_line: list[Accusation]) -> Accusation:
    """Return what the report says of a line: the first, and how many more; a stack of one line is the line."""
    first, more = of_line[0], len(of_line) - 1
    message = f"{first.message} (and {more} more of this line)" if more else first.message
    return replace(first, message=message, stack=first.stack if len(first.stack) > 1 else ())


def _owners(item: pytest.Item) -> tuple[object, ...]:
    """Return what lived before: the values of fixtures, and what `setup_method` and `setUpClass` have made."""
    instance: Any = getattr(item, "instance", None)
    values = list(getattr(item, "funcargs", {}).values())
    if instance is not None:
        values += [*vars(instance).values(), *vars(type(instance)).values()] if hasattr(instance, "__dict__") else []
    return tuple(values)
