"""What every check is, and what it works with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from penstock_limits.introspection import CallSite

from penstock_guard._accusations import Accusation
from penstock_guard._holding import held_by, is_owned
from penstock_guard._loops import Loops
from penstock_guard._tasks import TaskLog
from penstock_guard._watchdog import Watchdog
from penstock_guard._watched import Made, WatchedTest

__all__ = ["Check", "Left", "Watch"]

T = TypeVar("T")
Left = list[tuple[T, "CallSite | None"]]


@dataclass(slots=True)
class Watch:
    """A test under watch.

    Attributes:
        test: The test: what belongs to it, and how to take note of what it makes.
        loops: The event loops that run its code.
        tasks: The tasks that it makes.
        watchdog: What finds loops that stand still.
        accused: What it was accused of, so that nothing is accused twice.
        blocked_at: The lines that are known to have blocked a loop, likewise.
    """

    test: WatchedTest
    loops: Loops
    tasks: TaskLog
    watchdog: Watchdog
    accused: list[object] = field(default_factory=list)
    blocked_at: set[CallSite] = field(default_factory=set)

    def left(self, made: Iterable[Made[T]], is_left: Callable[[T], bool]) -> list[Made[T]]:
        """Return what a test has left: nobody owns it, no fixture's value leads to it, nor what was accused before.

        What is returned counts as accused.
        """
        suspects = [each for each in made if is_left(each.thing) and not is_owned(each.thing)]
        held = held_by((*self.test.owners, *self.accused), [each.thing for each in suspects])
        left = [each for each in suspects if id(each.thing) not in held]
        self.accused += [each.thing for each in left]
        return left


class Check(Protocol):
    """Sees one kind of thing that a test may leave behind or do."""

    @property
    def names(self) -> tuple[str, ...]:
        """What its accusations are called."""
        ...

    def before(self, watch: Watch) -> Any:
        """Begin to look, before the test is called; what is returned is handed to `after`."""
        ...

    def after(self, watch: Watch, state: Any) -> Iterable[Accusation]:
        """Return what a test is accused of that has passed; all that was replaced is put back already."""
        ...
