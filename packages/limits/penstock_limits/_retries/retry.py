"""Retry: makes a call again, later, when another attempt may mend what went wrong."""

from __future__ import annotations

import asyncio
import functools
import math
import operator
import random as chance
import sys
import time
from asyncio import _get_running_loop, current_task
from collections.abc import Awaitable, Callable, Iterator
from types import EllipsisType
from typing import Any, ParamSpec, TypeVar

from penstock_limits import _resources
from penstock_limits._errors import ConfigurationError
from penstock_limits._guarded import check_function, is_coroutine_function
from penstock_limits._modes import Mode
from penstock_limits._retries.attempts import Call, TaskAttempts, ThreadAttempts
from penstock_limits._retries.budget import RetryBudget
from penstock_limits._retries.decisions import Decisions
from penstock_limits._retries.statistics import RetryStatistics
from penstock_limits._retries.transient import is_transient
from penstock_limits._timeouts import Watch, Watches, gone, no_task
from penstock_limits.forks import after_fork

__all__ = ["Retry", "retry"]

P = ParamSpec("P")
T = TypeVar("T")


class Retry(Decisions):
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

    __slots__ = ("__weakref__", "_clock", "_deposit", "_inherited", "_sleep", "_tickets", "_watches")

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
        super().__init__(
            name,
            attempts=attempts,
            total_timeout=total_timeout,
            base=base,
            cap=cap,
            on=on,
            budget=budget,
            mode=mode,
            random=random,
        )
        self._clock = clock
        self._sleep = sleep
        self._watches = Watches(self._total_timeout, self._ends_late)
        # One for each call; it tells how far it has come. Those of a budget of its own are of the same calls.
        self._tickets: Iterator[int] = iter(range(sys.maxsize))
        self._deposit = None if self._budget is None else self._budget.deposit
        if self._owns_budget and self._budget is not None:
            self._tickets, self._deposit = self._budget.tickets, None
        self._begin()
        _resources.enter(self)
        after_fork(self._begin)

    def _begin(self) -> None:
        super()._begin()
        self._inherited = self._drawn()

    def __repr__(self) -> str:
        within = "" if self._total_timeout == math.inf else f" within {self._total_timeout:g} s"
        calls, retried = self._calls(), self._counters.retried
        return (
            f"<Retry {self._name!r} {self.mode}: {self._attempts} attempts{within}, {retried} of {calls} calls retried>"
        )

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "retry"

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
        self._take_name(function)
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


retry = Retry
"""`Retry`, as decorators and loops write it."""
