"""What makes more than one attempt of a call: its name, its mode, the budget that grants them, and what it counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import EllipsisType
from typing import Final, Generic, TypeVar

from penstock_limits import _modes
from penstock_limits._modes import Mode
from penstock_limits._retries.budget import RetryBudget, budget_of

__all__ = ["CAPABILITY", "Budgeted"]

CAPABILITY: Final = "jittered-retry"

C = TypeVar("C")


class Budgeted(Generic[C]):
    """Makes further attempts as its mode and its budget allow; what has no name takes that of what it decorates.

    Args:
        name: What people know it by; None for its kind, until it decorates a function.
        kind: What kind of resource it is.
        budget: As `budget_of` takes it.
        mode: Its mode; None for that of the capability.
        counters: Makes what it counts; it begins to, and does anew in a forked child, with `_begin()`.

    Raises:
        ConfigurationError: A value is wrong.
    """

    __slots__ = ("_budget", "_counters", "_fixed_mode", "_lock", "_name", "_named", "_new_counters", "_owns_budget")

    def __init__(
        self,
        name: str | None,
        kind: str,
        budget: RetryBudget | str | EllipsisType | None,
        mode: Mode | str | None,
        counters: Callable[[], C],
    ) -> None:
        self._name = name or kind
        self._named = bool(name)
        where = f"{kind} {self._name!r}"
        self._fixed_mode = None if mode is None else _modes.parse_mode(mode, f"{where}: mode")
        self._new_counters = counters
        self._owns_budget = budget is ...
        self._budget = budget_of(where, budget, self._name)

    def _begin(self) -> None:
        """Count from 0, as in a forked child: the calls so far are its parent's."""
        # Re-entrant: the garbage collector may run while it is held, and whatever it finalizes may make a call.
        self._lock = threading.RLock()
        self._counters = self._new_counters()

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    @property
    def mode(self) -> Mode:
        """Its mode now: its own, or that of the capability `jittered-retry`."""
        return self._fixed_mode or _modes.mode_of(CAPABILITY)

    @property
    def budget(self) -> RetryBudget | None:
        """What grants further attempts; None if nothing bounds them."""
        return self._budget

    def _take_name(self, function: object) -> None:
        """Be called what the first function is called that it decorates, unless it has a name."""
        if self._named:
            return
        self._name, self._named = getattr(function, "__qualname__", self._name), True
        if self._owns_budget and self._budget is not None:
            self._budget._name = self._name

    def _add(self, **counted: float) -> None:
        with self._lock:
            for counter, number in counted.items():
                setattr(self._counters, counter, getattr(self._counters, counter) + number)
