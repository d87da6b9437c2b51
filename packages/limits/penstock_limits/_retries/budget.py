"""How many retries a target can bear: a share of the calls that are made to it, and a few more.

Retries multiply the load on a service that fails, just when it can bear least. A budget that all callers of a target
share keeps them a fraction of the load, as Finagle's RetryBudget and the retry throttling of gRPC (proposal A6) do.
Finagle counts the calls of the latest ten seconds in buckets; here what calls have saved fades away, which needs
neither buckets nor, while all goes well, a look at the clock.
"""

from __future__ import annotations

import math
import operator
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import EllipsisType
from typing import Final

from penstock_limits import _resources
from penstock_limits._checks import number, seconds
from penstock_limits._errors import ConfigurationError
from penstock_limits._events import emit
from penstock_limits.forks import after_fork

__all__ = ["RetryBudget", "RetryBudgetStatistics", "budget_of"]

_ONE: Final = 1 - 1e-9  # five calls save one retry, though five times 0.2 may be less


@dataclass(frozen=True, slots=True)
class RetryBudgetStatistics:
    """A snapshot of a retry budget.

    Attributes:
        calls: Calls ever made, retries not counted.
        granted: Retries ever granted.
        refused: Retries ever refused.
        balance: How many retries would be granted now.
    """

    calls: int
    granted: int
    refused: int
    balance: float


class RetryBudget:
    """Grants retries as long as they are a small share of the calls; one for all that call the same target.

    A call saves `ratio` of a retry, a retry takes one. Whatever the balance is, it returns to `minimum` as time goes
    by: what has been saved is forgotten, what has been spent beyond it is forgiven, with `window` as the time constant.
    So in any time `t` at most `ratio * calls + minimum * (1 + t / window)` retries are granted, beside what calls just
    before that time have saved; after a quiet time it is not more than `minimum` at once.

    It may be shared by event loops and threads. No call and no retry is lost on an interpreter with a GIL; without one,
    calls that end at the same moment in several threads may be counted as one.

    Args:
        name: What people know it by. `retry(budget=name)` finds it, or the latest made of that name.
        ratio: How many retries each call is good for, from 0 to 1.
        minimum: How many retries are granted to somebody who has made no calls.
        window: For how many seconds, about, a call counts.
        clock: Says the time, in seconds.

    Attributes:
        tickets: Gives each call its number, and tells how far it has come.

    Raises:
        ConfigurationError: A value is wrong.
    """

    __slots__ = (
        "__weakref__",
        "_balance",
        "_clock",
        "_counted",
        "_granted",
        "_inherited",
        "_lock",
        "_looked",
        "_minimum",
        "_name",
        "_ratio",
        "_refused",
        "_told",
        "_window",
        "tickets",
    )

    def __init__(
        self,
        name: str | None = None,
        *,
        ratio: float = 0.2,
        minimum: float = 10.0,
        window: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name or "retry-budget"
        where = f"retry budget {self._name!r}"
        self._ratio = number(where, "ratio", ratio, most=1)
        self._minimum = number(where, "minimum", minimum)
        self._window = seconds(where, "window", window, above=True)
        self._clock = clock
        self.tickets: Iterator[int] = iter(range(sys.maxsize))
        self._counted = 0
        self._begin()
        self._balance = float(minimum)
        self._looked = clock()
        self._told = False  # that it is spent
        if name:
            with _shared.lock:
                _shared.named[name] = self
        _resources.enter(self)
        after_fork(self._begin)

    def _begin(self) -> None:
        """Count from 0, as in a forked child: the calls so far are its parent's, the balance holds for both."""
        # Re-entrant: the garbage collector may run while it is held, and whatever it finalizes may make a call.
        self._lock = threading.RLock()
        self._inherited = self._drawn()
        self._granted = self._refused = 0

    def __repr__(self) -> str:
        return f"<RetryBudget {self._name!r}: {self.statistics().balance:.3g} retries left>"

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "retry-budget"

    @property
    def deposit(self) -> Callable[[], object]:
        """What to call for each call: one operation in C, as every call pays for it."""
        return self.tickets.__next__

    def take(self) -> bool:
        """Take one retry; False if none is left."""
        with self._lock:
            self._settle()
            granted = self._balance >= _ONE
            spent = not granted and not self._told
            recovered = self._balance >= 1 + max(1.0, self._minimum) / 2
            self._told = not granted or (self._told and not recovered)
            if granted:
                self._balance -= 1
                self._granted += 1
            else:
                self._refused += 1
            calls, retries = self._counted - self._inherited, self._granted
        if spent:
            emit("retry.budget_spent", self._name, calls=calls, granted=retries)
        return granted

    def statistics(self) -> RetryBudgetStatistics:
        """Return a snapshot of its counters."""
        with self._lock:
            self._settle()
            return RetryBudgetStatistics(self._counted - self._inherited, self._granted, self._refused, self._balance)

    def _settle(self) -> None:
        """Bring the balance up to date, as if the calls since the last time had come evenly."""
        now = self._clock()
        calls = self._drawn()
        windows = max(0.0, now - self._looked) / self._window
        kept = -math.expm1(-windows) / windows if windows else 1.0  # of what the calls have saved
        saved = self._ratio * (calls - self._counted) * kept
        self._balance = self._minimum + (self._balance - self._minimum) * math.exp(-windows) + saved
        self._counted, self._looked = calls, now

    def _drawn(self) -> int:
        return sys.maxsize - operator.length_hint(self.tickets)


class _Shared:
    """The budgets that are found by their names."""

    def __init__(self) -> None:
        self.named: weakref.WeakValueDictionary[str, RetryBudget] = weakref.WeakValueDictionary()
        self.renew_lock()

    def renew_lock(self) -> None:
        """Let nobody hold the lock, as in a forked child."""
        self.lock = threading.RLock()


_shared = _Shared()
after_fork(_shared.renew_lock)


def budget_of(where: str, budget: RetryBudget | str | EllipsisType | None, owner: str) -> RetryBudget | None:
    """Return the budget that a parameter stands for.

    Args:
        where: Whose parameter it is, for the error.
        budget: A budget, the name of one that many share, ... for one of its own, None for none.
        owner: What one of its own is called.

    Raises:
        ConfigurationError: It is nothing of that.
    """
    if budget is ...:
        own = RetryBudget()
        own._name = owner  # not entered by its name: nobody is to share it
        return own
    if isinstance(budget, str) and budget:
        with _shared.lock:
            return _shared.named.get(budget) or RetryBudget(budget)
    if budget is None or isinstance(budget, RetryBudget):
        return budget
    raise ConfigurationError(f"{where}: budget = {budget!r}; allowed are a RetryBudget, the name of one, or None")
