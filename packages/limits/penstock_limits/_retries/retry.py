"""Retry: makes a call again, later, when another attempt may mend what went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import operator
import random as chance
import sys
import threading
import time
from asyncio import _get_running_loop, current_task
from collections.abc import Awaitable, Callable, Iterator
from concurrent import futures
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Final, ParamSpec, TypeVar, cast

from penstock_limits import _modes, _resources
from penstock_limits._checks import seconds, whole
from penstock_limits._errors import (
    CircuitOpenError,
    ConfigurationError,
    LimitReachedError,
    PenstockError,
    RequestTooLargeError,
)
from penstock_limits._events import emit
from penstock_limits._guarded import check_function, is_coroutine_function, note
from penstock_limits._headers import retry_after
from penstock_limits._modes import Mode
from penstock_limits._outcomes import headers_of
from penstock_limits._retries.attempts import Call, TaskAttempts, ThreadAttempts
from penstock_limits._retries.backoff import backoff_delay
from penstock_limits._retries.budget import RetryBudget, budget_of
from penstock_limits._retries.transient import is_cancellation, is_transient
from penstock_limits._timeouts import Watch, Watches, gone, no_task
from penstock_limits.forks import after_fork

__all__ = ["CAPABILITY", "Retry", "RetryStatistics", "retry"]

CAPABILITY: Final = "jittered-retry"
_REFUSALS: Final = (LimitReachedError, RequestTooLargeError, CircuitOpenError)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryStatistics:
    """A snapshot of a retry.

    Attributes:
        mode: Its mode now.
        calls: Calls ever made.
        attempts: Attempts that were made or waited for, the first of each call included.
        retried: Calls that were tried again.
        gave_up: Calls that failed with what another attempt might have mended, or were ended by `total_timeout`.
        budget_refused: Those of them for which the budget had no retry left.
        timed_out: Those of them that were ended by `total_timeout` in the midst of an attempt.
        retry_after_honoured: Delays for which the service had asked.
        delayed_seconds: All delays together.
        would_retry: Calls that would have been tried again, in mode `observe`.
        would_delay_seconds: The delays before those attempts together.
        would_time_out: Calls that `total_timeout` would have ended, in mode `observe`.
    """

    mode: Mode
    calls: int
    attempts: int
    retried: int
    gave_up: int
    budget_refused: int
    timed_out: int
    retry_after_honoured: int
    delayed_seconds: float
    would_retry: int
    would_delay_seconds: float
    would_time_out: int


@dataclass(slots=True)
class _Counters:
    retries: int = 0
    retried: int = 0
    gave_up: int = 0
    budget_refused: int = 0
    timed_out: int = 0
    retry_after_honoured: int = 0
    delayed_seconds: float = 0.0
    would_retry: int = 0
    would_delay_seconds: float = 0.0
    would_time_out: int = 0


class Retry:
    """Makes a call again when another attempt may mend its failure: a decorator, a loop, and `call()`.

    ```text
    searching = retry("search")      # made once: its budget and its counters are shared by all calls

    @searching                       async for attempt in searching:
    async def search(query): ...         with attempt:
                                             ...
    ```

    Delays are random, below a bound that doubles ("full jitter", see `backoff_delay`), and longer if the service asks
    for it with a Retry-After header. When attempts, time or budget are used up, the error of the latest attempt is
    raised as it is, with a note that says so. One object may be shared by functions, tasks, event loops and threads;
    every call and every loop has a state of its own.

    Cancellation is never retried: not as `asyncio.CancelledError`, and not as whatever a cancelled function has made
    of it.

    `total_timeout` bounds a call with all its attempts and delays. In a coroutine the attempt that is running then,
    also the first, is cancelled, and the error of the attempt before it is raised; `TimeoutError` if there was none. In
    a thread an attempt cannot be cut short: none begins after that time.

    Args:
        name: What people know it by; None for the name of the first function it decorates, or `retry`.
        attempts: How many attempts a call has, the first included, from 1.
        total_timeout: How long a call may take with all its attempts and delays, in seconds; None for any time.
        base: The bound of the delay after the first attempt, in seconds.
        cap: The highest bound of a delay, in seconds.
        on: Which errors to retry: Exception classes, or a function that tells. By default `is_transient`: timeouts,
            connection errors, and errors with HTTP status 408, 425, 429, 500, 502, 503, 504 or 529.
        budget: What keeps retries a small share of the calls: a RetryBudget, or the name of one that all share who
            call the same target; None for none. One of its own if it is not given.
        mode: `enforce`, `observe` or `off`; None follows the mode of the capability `jittered-retry`. Off makes one
            plain call. Observe does too, and counts what would have been retried; it leaves the budget alone.
        clock: Says the time, in seconds, in threads; a coroutine goes by its event loop's time.
        sleep: How a thread waits for some seconds.
        random: Returns a number from 0 to 1.

    Raises:
        ConfigurationError: A value is wrong, or `on` would retry a cancellation.
    """

    __slots__ = (
        "__weakref__",
        "_attempts",
        "_base",
        "_budget",
        "_cap",
        "_clock",
        "_counters",
        "_deposit",
        "_fixed_mode",
        "_inherited",
        "_lock",
        "_name",
        "_named",
        "_on",
        "_owns_budget",
        "_random",
        "_sleep",
        "_tickets",
        "_total_timeout",
        "_watches",
    )

    def __init__(
        self,
        name: str | None = None,
        *,
        attempts: int = 3,
        total_timeout: float | None = 45.0,
        base: float = 0.1,
        cap: float = 10.0,
        on: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool] = is_transient,
        budget: RetryBudget | str | EllipsisType | None = ...,
        mode: Mode | str | None = Mode.ENFORCE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise ConfigurationError(f"retry: name = {name!r}; allowed is a text. As a decorator, write `@retry()`")
        self._name = name or "retry"
        self._named = bool(name)
        where = f"retry {self._name!r}"
        self._attempts = whole(where, "attempts", attempts, least=1)
        self._total_timeout = math.inf
        if total_timeout is not None:
            self._total_timeout = seconds(where, "total_timeout", total_timeout, above=True)
        self._base = seconds(where, "base", base)
        self._cap = seconds(where, "cap", cap)
        self._on = _matcher(where, on)
        self._fixed_mode = None if mode is None else _modes.parse_mode(mode, f"{where}: mode")
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._watches = Watches(self._total_timeout, self._ends_late)
        self._owns_budget = budget is ...
        self._budget = budget_of(where, budget, self._name)
        # One for each call; it tells how far it has come. Those of a budget of its own are of the same calls.
        self._tickets: Iterator[int] = iter(range(sys.maxsize))
        self._deposit = None if self._budget is None else self._budget.deposit
        if self._owns_budget and self._budget is not None:
            self._tickets, self._deposit = self._budget.tickets, None
        self._begin()
        _resources.enter(self)
        after_fork(self._begin)

    def _begin(self) -> None:
        """Count from 0, as in a forked child: the calls so far are its parent's."""
        # Re-entrant: the garbage collector may run while it is held, and whatever it finalizes may make a call.
        self._lock = threading.RLock()
        self._counters = _Counters()
        self._inherited = self._drawn()

    def __repr__(self) -> str:
        within = "" if self._total_timeout == math.inf else f" within {self._total_timeout:g} s"
        calls, retried = self._calls(), self._counters.retried
        return (
            f"<Retry {self._name!r} {self.mode}: {self._attempts} attempts{within}, {retried} of {calls} calls retried>"
        )

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._name

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "retry"

    @property
    def mode(self) -> Mode:
        """Its mode now: its own, or that of the capability `jittered-retry`."""
        return self._fixed_mode or _modes.mode_of(CAPABILITY)

    @property
    def budget(self) -> RetryBudget | None:
        """What grants its retries; None if nothing bounds them."""
        return self._budget

    def statistics(self) -> RetryStatistics:
        """Return a snapshot of its counters."""
        mode = self.mode
        with self._lock:
            now, calls = self._counters, self._calls()
            return RetryStatistics(
                mode=mode,
                calls=calls,
                attempts=calls + now.retries,
                retried=now.retried,
                gave_up=now.gave_up,
                budget_refused=now.budget_refused,
                timed_out=now.timed_out,
                retry_after_honoured=now.retry_after_honoured,
                delayed_seconds=now.delayed_seconds,
                would_retry=now.would_retry,
                would_delay_seconds=now.would_delay_seconds,
                would_time_out=now.would_time_out,
            )

    # --- making calls

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function or a coroutine function, so that every call of it is retried.

        Raises:
            ConfigurationError: It is a generator function, or something that cannot be called.
        """
        check_function(f"retry {self._name!r}", function)
        if not self._named:
            self._take_name(getattr(function, "__qualname__", self._name))
        guarded = self._in_task(function) if is_coroutine_function(function) else self._in_thread(function)
        return functools.wraps(function)(guarded)

    async def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a coroutine function, again if its failure may be mended.

        Args:
            function: What to call.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            What it returns.
        """
        result: T = await self._in_task(function)(*args, **kwargs)
        return result

    def __aiter__(self) -> TaskAttempts:
        """Return the attempts of one call: `async for attempt in retry(...):` and in it `with attempt:`."""
        return TaskAttempts(self)

    def __iter__(self) -> ThreadAttempts:
        """Return the attempts of one call in a thread: `for attempt in retry(...):` and in it `with attempt:`."""
        return ThreadAttempts(self)

    def _in_task(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self._unbounded(function) if self._total_timeout == math.inf else self._bounded(function)

    # Every call that goes well pays for what the next two do. So what could be a call of Watch is written out, and the
    # mode is not asked for: see benchmarks/bars/retry.py.

    def _bounded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        draw, deposit, known, task_of = self._tickets.__next__, self._deposit, self._watches.known, current_task
        running_loop: Any = _get_running_loop

        async def retried(*args: Any, **kwargs: Any) -> Any:
            number, loop = draw(), running_loop()
            if deposit is not None:
                deposit()
            task = task_of(loop) or no_task()
            watch = known(loop, gone)() or self._watches.of(loop)
            running = watch.running
            running[number] = begun = task, task.cancelling(), watch.now()
            if watch.timer is None:
                watch.set_timer(begun)
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                call = Call.of(begun, watch.now)
                if not self._goes_on(call, watch, number, error):
                    raise
            else:
                try:
                    del running[number]
                except KeyError:  # it was late
                    watch.leave(number)
                return result
            return await self._again(call, watch, number, functools.partial(function, *args, **kwargs))

        return retried

    def _unbounded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Retry without a watch until a call fails: it would have nothing to end, and its calls to keep."""
        draw, deposit, task_of = self._tickets.__next__, self._deposit, current_task
        running_loop: Any = _get_running_loop

        async def retried(*args: Any, **kwargs: Any) -> Any:
            number, loop = draw(), running_loop()
            if deposit is not None:
                deposit()
            task = task_of(loop) or no_task()
            begun = task, task.cancelling(), loop.time()
            try:
                return await function(*args, **kwargs)
            except BaseException as error:
                watch = Watch(loop, math.inf, self._ends_late)
                watch.running[number] = begun
                call = Call.of(begun, watch.now)
                if not self._goes_on(call, watch, number, error):
                    raise
            return await self._again(call, watch, number, functools.partial(function, *args, **kwargs))

        return retried

    async def _again(self, call: Call, watch: Watch, number: int, function: Callable[[], Awaitable[T]]) -> T:
        while not call.late:
            try:
                await asyncio.sleep(call.delay)
                result = await function()
            except BaseException as error:
                if not self._goes_on(call, watch, number, error):
                    raise
            else:
                watch.leave(number)
                call.error = None
                return result
        raise call.take_error()

    def _goes_on(self, call: Call, watch: Watch, number: int, error: BaseException) -> bool:
        """Tell, while an error is handled, whether it goes no further; if not, the call is over."""
        going_on = False
        try:
            going_on = isinstance(error, Exception) and self._failed(call, error)
        finally:
            if not going_on:
                call.late = going_on = watch.leave(number, error)
        if call.late:
            self._end_late(call, error)
        elif not going_on:
            call.error = None
        return going_on

    def _in_thread(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def retried(*args: Any, **kwargs: Any) -> Any:
            self._count()
            call = Call(self._clock(), self._clock)
            while True:
                try:
                    result = function(*args, **kwargs)
                except Exception as error:
                    if not self._failed(call, error):
                        raise
                else:
                    call.error = None
                    return result
                self._sleep(call.delay)
                self._check_late(call)

        return retried

    def _count(self) -> None:
        """Count a call."""
        next(self._tickets)
        if self._deposit is not None:
            self._deposit()

    def _calls(self) -> int:
        return self._drawn() - self._inherited

    def _drawn(self) -> int:
        return sys.maxsize - operator.length_hint(self._tickets)

    def _take_name(self, name: str) -> None:
        self._name, self._named = name, True
        if self._owns_budget and self._budget is not None:
            self._budget._name = name

    # --- when an attempt has failed

    def _failed(self, call: Call, error: Exception) -> bool:
        """Decide, while an error is handled, whether there is to be another attempt, and when."""
        call.attempts += 1
        call.error = None
        mode = self.mode
        if mode is Mode.OFF or call.cancelled or not self._is_retried(error, mode):
            return False
        delay, asked = self._delay(call.attempts, error)
        why = self._obstacle(call, delay)
        if mode is Mode.OBSERVE:
            if why is None:
                self._add(would_retry=1, would_delay_seconds=delay)
            return False
        if why is None and self._budget is not None and not self._budget.take():
            why = "budget"
        if why is not None:
            self._give_up(call, error, why, delay)
            return False
        self._add(retries=1, retried=call.attempts == 1, delayed_seconds=delay, retry_after_honoured=asked)
        call.delay, call.error = delay, error
        return True

    def _is_retried(self, error: Exception, mode: Mode) -> bool:
        if is_cancellation(error):
            return False
        if mode is Mode.OBSERVE:
            with contextlib.suppress(Exception):  # it changes nothing, so it does not fail either
                return bool(self._on(error))
            return False
        return bool(self._on(error))

    def _delay(self, failed: int, error: Exception) -> tuple[float, bool]:
        """Return the delay after so many failed attempts, and whether the service has asked for it."""
        delay = backoff_delay(failed - 1, base=self._base, cap=self._cap, random=self._random)
        pause = retry_after(headers_of(error), time.time())
        # Later than it says, by chance: it may have told many the same.
        return (delay, False) if pause is None else (pause + delay, True)

    def _obstacle(self, call: Call, delay: float) -> str | None:
        """Return why there can be no other attempt after this delay."""
        if call.attempts >= self._attempts:
            return "attempts"
        if delay >= self._total_timeout - call.seconds:
            return "time"
        if call.task is None and _get_running_loop() is not None:
            return "loop"
        return None

    def _check_late(self, call: Call) -> None:
        """Raise the error of a call if its time is over before the next attempt, as sleep may take longer."""
        if call.error is not None and call.seconds >= self._total_timeout:
            self._give_up(call, call.error, "time", call.delay)
            raise call.take_error()

    def _ends_late(self) -> bool:
        """Tell whether a call that is late is to be ended."""
        mode = self.mode
        if mode is Mode.OBSERVE:
            self._add(would_time_out=1)
        return mode is Mode.ENFORCE

    def _end_late(self, call: Call, cancelled: BaseException) -> None:
        """Let a call that was ended in the midst of an attempt raise the error of the attempt before it."""
        if call.error is None:
            call.error = TimeoutError(f"retry {self._name!r}: total_timeout = {self._total_timeout:g} s is over")
            call.error.__cause__ = cancelled
        call.attempts += 1
        self._add(timed_out=1)
        self._give_up(call, call.error, "late", 0.0)

    def _give_up(self, call: Call, error: Exception, why: str, delay: float) -> None:
        reason = {
            "attempts": f"attempts = {self._attempts}",
            "time": f"another, after {delay:.3g} s, would not begin within total_timeout = {self._total_timeout:g} s",
            "late": f"total_timeout = {self._total_timeout:g} s ended the last",
            "budget": f"the retry budget {'' if self._budget is None else self._budget.name!r} is spent",
            "loop": "waiting for another would block the running event loop; use a coroutine, or a thread",
        }[why]
        took, made = call.seconds, f"{call.attempts} attempt{'s' if call.attempts > 1 else ''}"
        note(error, f"retry {self._name!r} gave up", f" after {made} in {took:.3g} s: {reason}")
        self._add(gave_up=1, budget_refused=why == "budget")
        details = {"attempts": call.attempts, "seconds": took, "reason": why, "error": type(error).__name__}
        emit("retry.gave_up", self._name, **details)

    def _add(self, **counted: float) -> None:
        with self._lock:
            for counter, number in counted.items():
                setattr(self._counters, counter, getattr(self._counters, counter) + number)


retry = Retry
"""`Retry`, as decorators and loops write it."""


def _matcher(where: str, on: Any) -> Callable[[Exception], bool]:
    kinds = on if isinstance(on, tuple) else (on,)
    if all(isinstance(kind, type) for kind in kinds):
        for kind in kinds:
            if not issubclass(kind, Exception) or issubclass(kind, futures.CancelledError):
                raise ConfigurationError(
                    f"{where}: on = {kind.__name__}; allowed are kinds of Exception: a cancellation is never retried"
                )
        ours = tuple(kind for kind in kinds if issubclass(kind, PenstockError))
        # A refusal of ours is a TimeoutError or a RuntimeError, too; whoever means it names it.
        return lambda error: isinstance(error, ours if isinstance(error, _REFUSALS) else kinds)
    if callable(on) and not is_coroutine_function(on):
        return cast("Callable[[Exception], bool]", on)
    raise ConfigurationError(f"{where}: on = {on!r}; allowed are Exception classes, or a function that tells at once")
