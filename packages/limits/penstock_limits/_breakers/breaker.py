"""A circuit breaker: when too many calls fail or are slow, it makes none for a while, and then a few to see.

The pattern is Michael Nygard's ("Release It!"); windows, rates and trial calls follow resilience4j.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from penstock_limits import _modes, _resources
from penstock_limits._breakers.attempt import ENDED, FAILED, BreakerAttempt
from penstock_limits._breakers.states import BreakerState, Circuit, News, Rules, State
from penstock_limits._breakers.windows import CountWindow
from penstock_limits._checks import seconds, whole
from penstock_limits._errors import CircuitOpenError, ConfigurationError, LimitReachedError, RequestTooLargeError
from penstock_limits._events import emit
from penstock_limits._modes import Mode
from penstock_limits.forks import after_fork

__all__ = ["CAPABILITY", "BreakerAttempt", "BreakerStatistics", "CircuitBreaker"]

logger = logging.getLogger("penstock.limits")

CAPABILITY: Final = "governed-breaker"

_NEVER_MADE = (LimitReachedError, RequestTooLargeError, CircuitOpenError)  # say nothing about the service


@dataclass(frozen=True, slots=True)
class BreakerStatistics:
    """A snapshot of a circuit breaker.

    Attributes:
        mode: Its mode now.
        state: `closed`, `open` or `half_open`.
        calls: Outcomes in the window; of the trial calls, while it is half open.
        failure_rate: The share of them that failed; None unless it is closed and knows `minimum_calls`.
        slow_call_rate: The share of them that were slow; None likewise.
        succeeded: Calls that went well, ever.
        failed: Calls that failed, ever; among them trial calls that did not report in time, whatever they report later.
        slow: Calls that were slow, ever, whether they went well or failed.
        ignored: Calls that were not recorded: cancelled, refused by a limit, or begun in an earlier state.
        rejected: Calls that were refused.
        bypassed: Calls that were made though the breaker would have refused them, in mode `off`.
        would_reject: Calls that were made though the breaker would have refused them, in mode `observe`.
        opened: How often it has opened.
        trials: Trial calls that are out; some may have begun before it opened again.
        half_open_in: Seconds until it lets trial calls through; None unless it is open.
    """

    mode: Mode
    state: BreakerState
    calls: int
    failure_rate: float | None
    slow_call_rate: float | None
    succeeded: int
    failed: int
    slow: int
    ignored: int
    rejected: int
    bypassed: int
    would_reject: int
    opened: int
    trials: int
    half_open_in: float | None


_BYPASS: Final = State("open", CountWindow(1))  # in which a call begins that the breaker would have refused


class CircuitBreaker(Circuit):
    """Makes no calls for a while when too many have failed or were slow, and then a few to see.

    `async with breaker.attempt():` around each call, or `with` in a thread. One breaker may be shared by several event
    loops and threads. Nothing but its mode switches it off.

    Closed, it makes every call. It opens when, of at least `minimum_calls` in the window, the share of failures or of
    slow calls reaches its rate. Open, it refuses every call for `open_seconds`. Then it is half open and lets
    `half_open_calls` trial calls through. When all have ended and both shares are below their rates, it closes; as soon
    as that cannot come to pass any more, it opens again. This is the verdict of resilience4j, which gives it only after
    the last trial call.

    Args:
        name: What people know it by; None for `breaker`.
        window_calls: Of how many calls, the latest, the shares are taken; 100 unless `window_seconds` is given.
        window_seconds: Of the calls of how many seconds they are taken, in place of a number of calls.
        minimum_calls: How few calls say nothing; at most `window_calls` count.
        failure_rate: The share of failures that opens it, above 0 and up to 1.
        slow_call_rate: The share of slow calls that opens it, above 0 and up to 1.
        slow_call_seconds: How long a call takes that is not slow yet; None if no call is slow.
        open_seconds: How long it refuses every call.
        half_open_calls: How many trial calls are made.
        half_open_seconds: How long a trial call may take; then it counts as a failure, so that one that never reports
            cannot hold the breaker half open.
        is_failure: Tells whether an exception is the service's failure; None if every one is. The others mean that the
            service has answered. Calls that a limit or another breaker refused count as nothing, whatever it says.
        mode: `enforce`, `observe` or `off`; None follows the mode of the capability `governed-breaker`.
        clock: Says the time, in seconds.

    Raises:
        ConfigurationError: A value is wrong.
    """

    __slots__ = (
        "__weakref__",
        "_bypass_told",
        "_bypassed",
        "_fixed_mode",
        "_is_failure",
        "_misjudged",
        "_name",
        "_rejected",
        "_would_reject",
    )

    def __init__(
        self,
        name: str | None = None,
        *,
        window_calls: int | None = None,
        window_seconds: float | None = None,
        minimum_calls: int = 10,
        failure_rate: float = 0.5,
        slow_call_rate: float = 1.0,
        slow_call_seconds: float | None = None,
        open_seconds: float = 30.0,
        half_open_calls: int = 3,
        half_open_seconds: float = 60.0,
        is_failure: Callable[[Exception], bool] | None = None,
        mode: Mode | str | None = Mode.ENFORCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name or "breaker"
        where = f"breaker {self._name!r}"
        if window_calls is not None and window_seconds is not None:
            raise ConfigurationError(
                f"{where}: window_calls = {window_calls!r} and window_seconds = {window_seconds!r}; "
                f"allowed is one of the two"
            )
        if is_failure is not None and not callable(is_failure):
            raise ConfigurationError(f"{where}: is_failure = {is_failure!r}; allowed is a function of the exception")
        window_calls = whole(where, "window_calls", 100 if window_calls is None else window_calls, least=1)
        minimum_calls = whole(where, "minimum_calls", minimum_calls, least=1)
        rules = Rules(
            window_calls=window_calls,
            window_seconds=_seconds(where, "window_seconds", window_seconds),
            minimum_calls=min(minimum_calls, window_calls) if window_seconds is None else minimum_calls,
            failure_rate=_share(where, "failure_rate", failure_rate),
            slow_call_rate=_share(where, "slow_call_rate", slow_call_rate),
            slow_call_seconds=_seconds(where, "slow_call_seconds", slow_call_seconds),
            open_seconds=seconds(where, "open_seconds", open_seconds, above=True),
            half_open_calls=whole(where, "half_open_calls", half_open_calls, least=1),
            half_open_seconds=seconds(where, "half_open_seconds", half_open_seconds, above=True),
        )
        super().__init__(rules, clock)
        self._is_failure = is_failure
        self._misjudged = False  # is_failure has failed, and that has been logged
        self._fixed_mode = None if mode is None else _modes.parse_mode(mode, f"{where}: mode")
        _resources.enter(self)
        after_fork(self._forked)

    def _start_in(self, state: State) -> None:
        super()._start_in(state)
        self._rejected = self._bypassed = self._would_reject = 0
        self._bypass_told: tuple[int, Mode] | None = None  # the opening and the mode of the latest bypass told

    def __repr__(self) -> str:
        now = self.statistics()
        about = f"{now.calls} calls in its window"
        if now.failure_rate is not None:
            about = f"{now.failure_rate:.0%} of {now.calls} calls failed"
        elif now.half_open_in is not None:
            about = f"half open in {now.half_open_in:.3g} s"
        elif now.state == "half_open":
            about = f"{now.trials} of {self._rules.half_open_calls} trial calls out"
        return f"<CircuitBreaker {self._name!r} {now.mode}: {now.state}, {about}>"

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "breaker"

    @property
    def mode(self) -> Mode:
        """Its mode now: its own, or that of the capability `governed-breaker`."""
        return self._fixed_mode or _modes.mode_of(CAPABILITY)

    @property
    def state(self) -> BreakerState:
        """Its state; an open breaker becomes half open with the first call after `open_seconds`."""
        return self._state.name

    def attempt(self) -> BreakerAttempt:
        """Return a call to make with `async with` or `with`: one for each.

        An exception that leaves the block is a failure if `is_failure` says so. One that is no `Exception`, such as
        `asyncio.CancelledError`, says nothing about the service and is not recorded. So put deadlines inside the block.
        """
        attempt = BreakerAttempt()
        attempt._breaker = self
        attempt._state = attempt._said = None
        return attempt

    def check(self) -> None:
        """Refuse a call that is to wait for something else first, if it would be refused now.

        So nobody waits for nothing. The call itself is an `attempt()`, made when the wait is over: until then it takes
        no trial call's place, and what it has waited is not taken for the service's time. Unless the breaker enforces,
        nothing is refused, nor counted.

        Raises:
            CircuitOpenError: The breaker would refuse it.
        """
        if self._state.name == "closed" or (mode := self.mode) is not Mode.ENFORCE:
            return
        news: News = []
        with self._lock:
            now = self._clock()
            self._pass_time(now, news)
            state, has_room = self._state, self._has_room()
            if not has_room:
                self._note_refusal(mode, news)
        self._tell(news)
        if not has_room:
            raise self._refusal(state, now)

    def statistics(self) -> BreakerStatistics:
        """Return a snapshot of its counters."""
        mode, now = self.mode, self._clock()
        with self._lock:
            state = self._state
            calls, failed, slow = state.window.counts()
            enough = state.name == "closed" and calls >= self._rules.minimum_calls
            return BreakerStatistics(
                mode=mode,
                state=state.name,
                calls=calls,
                failure_rate=failed / calls if enough else None,
                slow_call_rate=slow / calls if enough else None,
                succeeded=self._recorded + state.window.recorded - self._failed,
                failed=self._failed,
                slow=self._slow,
                ignored=self._ignored,
                rejected=self._rejected,
                bypassed=self._bypassed,
                would_reject=self._would_reject,
                opened=self._opened,
                trials=len(self._trials),
                half_open_in=max(0.0, state.until - now) if state.name == "open" else None,
            )

    # --- a call begins and ends

    def _begin(self, attempt: BreakerAttempt) -> State:
        """Return the state in which a call begins, or refuse it."""
        if attempt._state is not None:
            raise RuntimeError(f"{attempt!r} is begun twice; ask for another with breaker.attempt()")
        attempt._began = self._clock()
        state = self._state
        return state if state.name == "closed" else self._begin_unless_open(attempt)

    def _begin_unless_open(self, attempt: BreakerAttempt) -> State:
        mode = self.mode
        news: News = []
        with self._lock:
            now = self._clock()  # under the lock, so that no thread goes back in time
            self._pass_time(now, news)
            state, admitted = self._state, self._admit(attempt, now)
            if not admitted:
                self._note_refusal(mode, news)
        self._tell(news)
        if admitted:
            return state
        if mode is Mode.ENFORCE:
            raise self._refusal(state, now)
        return _BYPASS

    def _refusal(self, state: State, now: float) -> CircuitOpenError:
        return CircuitOpenError(self._name, state.name, state.until - now if state.name == "open" else 0.0)

    def _note_refusal(self, mode: Mode, news: News) -> None:
        """Count a call that is refused or, where nothing is enforced, made nevertheless; the lock is held."""
        self._rejected += mode is Mode.ENFORCE
        self._would_reject += mode is Mode.OBSERVE
        self._bypassed += mode is Mode.OFF
        if mode is not Mode.ENFORCE and self._bypass_told != (self._opened, mode):
            self._bypass_told = (self._opened, mode)
            news.append(("breaker.bypassed", {"mode": str(mode), "state": self._state.name}))

    def _end(self, attempt: BreakerAttempt, error: BaseException | None) -> None:
        """Take note of how a call ended."""
        state, said = attempt._state, attempt._said
        attempt._said = ENDED
        if state is None or state is _BYPASS or said is ENDED:
            return
        now, patience = self._clock(), self._rules.slow_call_seconds
        slow = patience is not None and now - attempt._began > patience
        if error is None and said is None and not slow and now < state.settled_until and state is self._state:
            self._draw_ticket(state, now)
            return
        failed = None
        try:
            failed = self._is_failed(said, error)
        finally:
            news: News = []
            with self._lock:
                self._report(attempt, state, news, failed=failed, slow=slow)
            self._tell(news)

    def _draw_ticket(self, state: State, now: float) -> None:
        """Record a call that went well in a settled state."""
        ticket = next(state.tickets)
        if state is not self._state:
            self._note_late(state, ticket)
        elif now >= state.settled_until:  # another thread has found meanwhile that it is settled no longer
            news: News = []
            with self._lock:
                if state is self._state:
                    self._conclude(self._clock(), news)
            self._tell(news)

    def _is_failed(self, said: str | None, error: BaseException | None) -> bool | None:
        """Tell whether a call failed; None if it says nothing about the service."""
        if said is not None:
            return True if said is FAILED else None
        if error is None:
            return False
        if not isinstance(error, Exception) or isinstance(error, _NEVER_MADE):
            return None
        try:
            return self._is_failure is None or bool(self._is_failure(error))
        except Exception:
            if not self._misjudged:
                self._misjudged = True
                logger.exception("is_failure of breaker %r fails; what it cannot judge counts as a failure", self._name)
            return True

    def _tell(self, news: News) -> None:
        for name, details in news:
            emit(name, self._name, **details)


def _seconds(where: str, key: str, value: float | None) -> float | None:
    return None if value is None else seconds(where, key, value, above=True)


def _share(where: str, key: str, value: float) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1:
        return value
    raise ConfigurationError(f"{where}: {key} = {value!r}; allowed is a share above 0, up to 1")
