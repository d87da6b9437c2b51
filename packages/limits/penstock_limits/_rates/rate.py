"""How much of several things callers may use in a period: requests, tokens, whatever a provider counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from penstock_limits import _checks, _modes, _resources
from penstock_limits._errors import AcquireTimeoutError, ConfigurationError, LimitReachedError, RequestTooLargeError
from penstock_limits._events import emit
from penstock_limits._headers import advice
from penstock_limits._modes import Mode
from penstock_limits._rates.admission import CAPABILITY, LOOK, OFF, RateAdmission, T
from penstock_limits._rates.algorithms import MOST, PLAIN, Number, Rate, exact
from penstock_limits._rates.dimension import DimensionStatistics, RateStatistics
from penstock_limits._rates.queue import TaskTurn, ThreadTurn, Turn
from penstock_limits._rates.reservation import Reservation
from penstock_limits.forks import after_fork

__all__ = ["CAPABILITY", "DimensionStatistics", "Rate", "RateLimiter", "RateStatistics", "Reservation"]


class RateLimiter(RateAdmission):
    """Admits callers at the rates that a provider allows, of all things counted at once; the others wait in order.

    Only the first in the queue is considered, so light requests do not overtake a heavy one for ever. One may be shared
    by several event loops and threads.

    Args:
        name: What people know it by; None gives it a name that shows its rates.
        max_queued: How many callers may wait before one is refused; None for any number.
        mode: `enforce`, `observe` or `off`; None follows the mode of the capability `provider-rates`.
        clock: Says the time, in seconds.
        rates: By dimension - `requests`, `tokens`, any name - how much is admitted; at least one.

    Raises:
        ConfigurationError: A value is wrong.
    """

    __slots__ = ("__weakref__",)

    def __init__(
        self,
        name: str | None = None,
        *,
        max_queued: int | None = None,
        mode: Mode | str | None = Mode.ENFORCE,
        clock: Callable[[], float] = time.monotonic,
        **rates: Rate,
    ) -> None:
        name = name or "-".join(f"{getattr(rate, 'amount', rate)}-{each}" for each, rate in rates.items())
        if not rates or "timeout" in rates:
            raise ConfigurationError(
                f"rate {name!r} counts {', '.join(rates) or 'nothing'}; it needs a dimension such as "
                f"requests=Rate(60), of any name but timeout"
            )
        super().__init__(
            name,
            {dimension: _rate(name, dimension, rate) for dimension, rate in rates.items()},
            None if max_queued is None else _checks.whole(f"rate {name!r}", "max_queued", max_queued, least=0),
            None if mode is None else _modes.parse_mode(mode, f"rate {name!r}: mode"),
            clock,
        )
        _resources.enter(self)
        after_fork(self._forked)

    def __repr__(self) -> str:
        rates = ", ".join(f"{each.rate.amount:g} {each.name} / {each.rate.per:g} s" for each in self._dimensions)
        bound = "" if self._max_queued is None else f" of {self._max_queued}"
        return f"<RateLimiter {self._name!r} {self.mode}: {rates}, {len(self._turns)}{bound} queued>"

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "rate"

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What it counts: `requests`, `tokens` ..."""
        return tuple(self._index)

    def reserve(self, *, timeout: float | None = None, **amounts: float) -> Reservation:
        """Return a reservation, to take with `await`, with `async with`, or with `with` in a thread.

        Taking it raises QueueFullError (as many wait as may wait), AcquireTimeoutError (it was not admitted in time),
        RequestTooLargeError (more than a strict rate admits in a whole period), and RuntimeError (it was taken before,
        or `with` would block a running event loop).

        Args:
            timeout: How many seconds to wait at most; None for any time.
            amounts: By dimension, how much; 0 takes nothing. `requests` is 1 unless it is given, all others are 0.

        Raises:
            ConfigurationError: A dimension is unknown, or a value is wrong.
        """
        if timeout is not None:
            _checks.seconds(f"rate {self._name!r}", "timeout", timeout)
        wanted, index = self._least[:], self._index
        for name in amounts:  # noqa: PLC0206 - half the price of items()
            amount = amounts[name]
            if type(amount) is int and 0 <= amount <= PLAIN and name in index:
                wanted[index[name]] = amount
            else:
                wanted[self._index_of(name)] = self._number(name, amount)
        return Reservation(self, wanted, timeout)

    def learn(self, headers: Mapping[str, str], *, now: float | None = None) -> None:
        """Learn from the headers of a response what the provider still allows; nonsense is ignored.

        `retry-after` and `retry-after-ms` hold back everybody until then. What remains, as OpenAI, Anthropic and most
        others say it, is all that is admitted until it is set again, less what is reserved and on its way.

        Args:
            headers: The response headers, with names in any case.
            now: The time now, as `time.time()` gives it, for headers that are dates; None for that.
        """
        learned = advice(headers, self._index, time.time() if now is None else now)
        with self._lock:
            told = self._apply(learned)
            self._chores.append(LOOK)
        self._work()
        for details in told:
            emit("rate.learned", self._name, **details)

    def resize(self, **rates: Rate) -> None:
        """Change rates with callers waiting; what was used still counts, and whoever fits now is admitted now.

        Args:
            rates: By dimension, the rate from now on; the others stay as they are.

        Raises:
            ConfigurationError: A dimension is unknown, or a value is no rate.
        """
        changes = [
            (self._dimensions[self._index_of(name)], _rate(self._name, name, rate)) for name, rate in rates.items()
        ]
        with self._lock:
            now = self._clock()
            for dimension, rate in changes:
                dimension.resize(rate, now)
            self._meters = [dimension.meter for dimension in self._dimensions]
            self._chores.append(LOOK)
        self._work()

    def statistics(self) -> RateStatistics:
        """Return a snapshot of its counters."""
        mode = self.mode
        with self._lock:
            self._catch_up(mode)
            now = self._turns.time.changes(len(self._turns))
            statistics = RateStatistics(
                mode=mode,
                queued=len(self._turns),
                max_queued=self._max_queued,
                acquired=self._acquired - self._inherited,
                waited=self._waited,
                rejected=self._rejected,
                timed_out=self._timed_out,
                wait_seconds=self._turns.time.waited,
                longest_wait=self._turns.time.longest,
                saturated_seconds=self._turns.time.occupied,
                would_wait=self._would_wait,
                would_reject=self._would_reject,
                blocked=max(0.0, self._blocked_until - now),
                dimensions={dimension.name: dimension.statistics(now) for dimension in self._dimensions},
            )
        if self._chores:
            self._work()
        return statistics

    # --- the way in, and out

    def _enter(self, reservation: Reservation, kind: type[T]) -> T | None:
        """Admit a reservation, or return how it waits."""
        mode = self._fixed_mode or self.mode
        outcome: T | Exception | None = None
        if reservation._state:  # not NEW
            raise RuntimeError(f"{reservation!r} is taken twice; ask for another with reserve()")
        lock = self._lock  # a fork in between gives the child another
        lock.acquire()  # half the price of `with`
        try:
            if self._turns or mode is OFF or not self._take(reservation, self._clock()):
                outcome = self._enter_otherwise(reservation, kind, mode)
        finally:
            lock.release()
        if self._chores:
            self._work()
        if outcome is None:
            return None
        if isinstance(outcome, Exception):
            self._tell(outcome)
            raise outcome
        return outcome

    async def _wait(self, turn: TaskTurn, patience: float | None) -> None:
        expiry = None if patience is None else turn.loop.call_later(patience, self._expire, turn, patience)
        try:
            await turn.wait()
        except BaseException as error:
            self._give_up(turn, error)
            raise
        finally:
            if expiry is not None:
                expiry.cancel()

    def _wait_in_thread(self, turn: ThreadTurn, patience: float | None) -> None:
        try:
            if not turn.wait(patience):
                self._expire(turn, patience)
                turn.wait(None)
        except BaseException as error:
            self._give_up(turn, error)
            raise

    def _expire(self, turn: Turn, patience: float | None) -> None:
        self._do(self._refuse_late, turn, patience)

    def _give_up(self, turn: Turn, error: BaseException) -> None:
        """Leave nothing behind of somebody who goes without having run."""
        self._do(self._withdraw, turn)
        self._tell(error)

    def _tell(self, error: BaseException) -> None:
        if isinstance(error, LimitReachedError):
            happened = "rate.timed_out" if isinstance(error, AcquireTimeoutError) else "rate.rejected"
            emit(happened, self._name, counted=error.counted, allowed=error.allowed)
        elif isinstance(error, RequestTooLargeError):
            emit("rate.rejected", self._name, dimension=error.dimension, asked=error.asked, allowed=error.allowed)

    # --- what callers say

    def _index_of(self, name: str) -> int:
        if name not in self._index:
            known = ", ".join(self._index)
            raise ConfigurationError(f"rate {self._name!r} has no dimension {name!r}; known are: {known}")
        return self._index[name]

    def _number(self, name: str, amount: float) -> Number:
        return exact(_checks.number(f"rate {self._name!r}", name, amount, most=MOST))


def _rate(name: str, dimension: str, rate: Rate) -> Rate:
    if not isinstance(rate, Rate):
        raise ConfigurationError(f"rate {name!r}: {dimension} = {rate!r}; allowed is a Rate, such as Rate(60)")
    return rate
