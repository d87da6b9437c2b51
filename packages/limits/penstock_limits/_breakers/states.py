"""The states of a circuit breaker, and what leads from one to the next; it never waits, and knows of no mode.

Every state is an object, made anew whenever it is entered. A call remembers the state it began in, so what it reports
after that state has ended is told from the rest, and ignored.

Everything is changed under the breaker's lock, but for one: while a state is settled, a call that goes well is recorded
by drawing a ticket of its window, which needs to know no more of it. It cannot open the breaker: among enough calls,
one more that goes well raises no rate, unless the window forgets others meanwhile.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from penstock_limits._breakers.windows import CountWindow, TimeWindow, Window

__all__ = ["BreakerState", "Circuit", "News", "Rules", "State"]

BreakerState = Literal["closed", "open", "half_open"]

News = list[tuple[str, dict[str, Any]]]  # events, to be emitted when the lock is free


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens, and what brings it back; `CircuitBreaker` says what each means."""

    window_calls: int
    window_seconds: float | None
    minimum_calls: int
    failure_rate: float
    slow_call_rate: float
    slow_call_seconds: float | None
    open_seconds: float
    half_open_calls: int
    half_open_seconds: float

    def exceeded(self, failed: int, slow: int, calls: int) -> bool:
        """Tell whether so many failures and slow calls among so many calls are too many."""
        return failed / calls >= self.failure_rate or slow / calls >= self.slow_call_rate

    def new_window(self, clock: Callable[[], float]) -> Window:
        """Return an empty window for a closed breaker."""
        return CountWindow(self.window_calls) if self.window_seconds is None else TimeWindow(self.window_seconds, clock)


class State:
    """A state that the breaker is in, and what has happened in it.

    Args:
        name: Which it is.
        window: The outcomes of the calls that began in it.
        until: When it is time for trial calls, if it is open.

    Attributes:
        tickets: Those of the window.
        settled_until: Until when a call that goes well needs no more than a ticket.
        final: How many outcomes counted, once it has ended.
    """

    __slots__ = ("final", "name", "settled_until", "tickets", "until", "window")

    def __init__(self, name: BreakerState, window: Window, until: float = math.inf) -> None:
        self.name: BreakerState = name
        self.window = window
        self.until = until
        self.tickets = window.tickets
        self.settled_until = -math.inf
        self.final = 0


@dataclass(frozen=True, slots=True)
class _Trial:
    """A trial call: the state it began in, and when it should have reported."""

    state: State
    due: float


class Circuit:
    """A breaker's state and its counters."""

    __slots__ = (
        "_calm",
        "_clock",
        "_failed",
        "_ignored",
        "_lock",
        "_opened",
        "_recorded",
        "_rules",
        "_slow",
        "_state",
        "_trials",
    )

    def __init__(self, rules: Rules, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._start_in(State("closed", rules.new_window(clock)))

    def _start_in(self, state: State) -> None:
        """Be in a state, with no trial call out, and count from 0."""
        # Re-entrant: the garbage collector may run while it is held, and what it finalizes may make a call.
        self._lock = threading.RLock()
        self._state = state
        self._calm: State | None = None  # the state, if it is settled for good and no call is slow
        self._trials: dict[object, _Trial] = {}  # trial calls that are out, oldest first; of earlier states, too
        self._opened = 0
        self._recorded = 0  # outcomes of states that have ended; then those of every state:
        self._failed = self._slow = self._ignored = 0

    def _forked(self) -> None:
        """Begin anew in a forked child, in the same state: a service that fails its parent fails it, too."""
        state, rules = self._state, self._rules
        window = rules.new_window(self._clock) if state.name == "closed" else CountWindow(rules.half_open_calls)
        self._start_in(State(state.name, window, state.until))

    def _note_late(self, state: State, ticket: int) -> None:
        """Take note of a call that drew a ticket, after which the state was found to have ended."""
        with self._lock:
            self._ignored += ticket >= state.final  # else it counted, just in time

    # --- the lock is held from here on

    def _pass_time(self, now: float, news: News) -> None:
        """Before a call is made: become half open, if it is time."""
        self._expire_trials(now, news)
        if self._state.until <= now:
            self._become(State("half_open", CountWindow(self._rules.half_open_calls)))
            news.append(("breaker.half_opened", {"trials": self._rules.half_open_calls}))

    def _has_room(self) -> bool:
        """Tell whether another call may be made; if the breaker is half open, whether as a trial call."""
        state = self._state
        if state.name == "half_open":
            return len(self._trials) + state.window.recorded < self._rules.half_open_calls
        return state.name == "closed"

    def _admit(self, call: object, now: float) -> bool:
        """Tell whether a call is made; if the breaker is half open, as a trial call."""
        admitted = self._has_room()
        if admitted and self._state.name == "half_open":
            self._trials[call] = _Trial(self._state, now + self._rules.half_open_seconds)
        return admitted

    def _expire_trials(self, now: float, news: News) -> None:
        """Count trial calls that have not reported in time as failures, as of the time when they should have."""
        while self._trials:
            call, trial = next(iter(self._trials.items()))
            if trial.due > now:
                return
            self._trials.pop(call, None)
            if trial.state is self._state:
                self._count(trial.due, news, failed=True, slow=False)
            else:
                self._ignored += 1

    def _report(self, call: object, state: State, news: News, *, failed: bool | None, slow: bool) -> None:
        """Take note of how a call ended that began in a state; `failed` is None if it says nothing."""
        now = self._clock()
        self._expire_trials(now, news)
        owed = state.name == "closed" or self._trials.pop(call, None) is not None  # else it has expired, and counted
        if owed and failed is not None and state is self._state:
            self._count(now, news, failed=failed, slow=slow)
        else:
            self._ignored += owed

    def _count(self, at: float, news: News, *, failed: bool, slow: bool) -> None:
        """Add an outcome to the window, and draw the conclusion."""
        self._state.window.add(failed=failed, slow=slow)
        self._failed += failed
        self._slow += slow
        self._conclude(at, news)

    def _conclude(self, at: float, news: News) -> None:
        state, rules = self._state, self._rules
        calls, failed, slow = counts = state.window.counts()
        if state.name == "half_open":
            if rules.exceeded(failed, slow, rules.half_open_calls):
                self._open(at, counts, news)
            elif calls == rules.half_open_calls:
                self._close(counts, news)
        elif calls < rules.minimum_calls:
            state.settled_until = -math.inf
        elif rules.exceeded(failed, slow, calls):
            self._open(at, counts, news)
        else:
            state.settled_until = steady_until = state.window.steady_until
            if state is self._state and steady_until == math.inf and rules.slow_call_seconds is None:
                self._calm = state

    def _open(self, at: float, counts: tuple[int, int, int], news: News) -> None:
        calls, failed, slow = counts
        self._opened += 1
        self._become(State("open", CountWindow(1), at + self._rules.open_seconds))
        rates = {"failure_rate": failed / calls, "slow_call_rate": slow / calls}
        news.append(("breaker.opened", {"calls": calls, "failed": failed, "slow": slow, **rates}))

    def _close(self, counts: tuple[int, int, int], news: News) -> None:
        calls, failed, slow = counts
        self._become(State("closed", self._rules.new_window(self._clock)))
        news.append(("breaker.closed", {"calls": calls, "failed": failed, "slow": slow}))

    def _become(self, state: State) -> None:
        ended, self._state, self._calm = self._state, state, None
        ended.final = ended.window.recorded  # read last: whoever saw the state in place drew a ticket that is in it
        self._recorded += ended.final
