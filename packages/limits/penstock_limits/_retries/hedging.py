"""Hedging: starts a slow call once more, and takes what ends first."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from types import EllipsisType
from typing import Any, Generic, ParamSpec, TypeVar

from penstock_limits import _resources
from penstock_limits._checks import seconds, whole
from penstock_limits._errors import ConfigurationError
from penstock_limits._events import emit
from penstock_limits._guarded import check_function, is_coroutine_function, note
from penstock_limits._modes import Mode
from penstock_limits._retries.budget import RetryBudget
from penstock_limits._retries.budgeted import Budgeted
from penstock_limits._retries.statistics import HedgeCounters, HedgeStatistics
from penstock_limits.forks import after_fork

__all__ = ["Hedge", "hedge"]

logger = logging.getLogger("penstock.limits")

P = ParamSpec("P")
T = TypeVar("T")


class Hedge(Budgeted[HedgeCounters]):
    """Starts another attempt when none has ended after some time; the first success wins, the others are cancelled.

    ONLY FOR CALLS THAT MAY BE MADE TWICE: reads, and writes that are idempotent at the service. Both attempts are real;
    one that is cancelled may have done its work all the same.

    A call that waits in a slow replica, a full queue or a lost packet is often faster when it is made again: the
    "hedged requests" of Jeffrey Dean and Luiz André Barroso, "The Tail at Scale" (CACM, 2013). Choose `after` above
    what 19 of 20 calls take, as they advise; the budget bounds what a wrong choice costs.

    A failure is not hedged: if no other attempt is under way, it is raised at once; a `retry` around the hedge waits
    before it tries again, as it should. If another is under way, that decides. If all fail, the first attempt's error
    is raised, as it would have been without hedging, with notes of the others.

    Each attempt runs in a task and in a copy of the caller's context. The losers, and all attempts when the caller is
    cancelled, are cancelled and waited for, at most `grace` seconds; one that goes on is told of by the event
    `hedge.stuck`, and left to end by itself.

    Args:
        name: What people know it by; None for the name of the first function it decorates, or `hedge`.
        after: Seconds from the start of an attempt to the start of the next.
        attempts: How many attempts a call has at most, the first included, from 2.
        grace: How many seconds a result, or a cancellation, waits for attempts that were cancelled.
        budget: What keeps additional attempts a small share of the calls: a RetryBudget, or the name of one that is
            shared, with retries too; None for none. One of its own if it is not given.
        mode: `enforce`, `observe` or `off`; None follows the mode of the capability `jittered-retry`. Observe and off
            make one plain call; observe counts those that would have been hedged.

    Raises:
        ConfigurationError: A value is wrong.
    """

    __slots__ = ("__weakref__", "_after", "_attempts", "_grace")

    def __init__(
        self,
        name: str | None = None,
        *,
        after: float,
        attempts: int = 2,
        grace: float = 1.0,
        budget: RetryBudget | str | EllipsisType | None = ...,
        mode: Mode | str | None = Mode.ENFORCE,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise ConfigurationError(
                f"hedge: name = {name!r}; allowed is a text. As a decorator, write `@hedge(after=...)`"
            )
        where = f"hedge {name or 'hedge'!r}"
        self._after = seconds(where, "after", after)
        self._attempts = whole(where, "attempts", attempts, least=2)
        self._grace = seconds(where, "grace", grace)
        super().__init__(name, "hedge", budget, mode, HedgeCounters)
        self._begin()
        _resources.enter(self)
        after_fork(self._begin)

    def __repr__(self) -> str:
        hedged = f"{self._counters.hedged} of {self._counters.calls} calls hedged"
        return f"<Hedge {self._name!r} {self.mode}: {self._attempts} attempts, each after {self._after:g} s, {hedged}>"

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "hedge"

    def statistics(self) -> HedgeStatistics:
        """Return a snapshot of its counters."""
        mode = self.mode
        with self._lock:
            now = self._counters
            return HedgeStatistics(
                mode=mode,
                calls=now.calls,
                attempts=now.calls + now.more,
                hedged=now.hedged,
                won=now.won,
                budget_refused=now.budget_refused,
                stuck=now.stuck,
                would_hedge=now.would_hedge,
            )

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Decorate a coroutine function, so that every call of it is hedged.

        Raises:
            ConfigurationError: It is no coroutine function: what runs in a thread cannot be cancelled.
        """
        check_function(f"hedge {self._name!r}", function)
        if not is_coroutine_function(function):
            raise ConfigurationError(f"hedge {self._name!r} guards coroutine functions; {function!r} is none")
        self._take_name(function)

        @functools.wraps(function)
        async def hedged(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.call(function, *args, **kwargs)

        return hedged

    async def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a coroutine function, once more if it is slow.

        Args:
            function: What to call.
            *args: Its arguments.
            **kwargs: Its keyword arguments.

        Returns:
            What the first attempt that succeeds returns.
        """
        self._add(calls=1)
        if self._budget is not None:
            self._budget.deposit()
        mode, attempt = self.mode, functools.partial(function, *args, **kwargs)
        if mode is Mode.ENFORCE:
            return await _Race(self, attempt).run()
        now = asyncio.get_running_loop().time
        began = now()
        try:
            return await attempt()
        finally:
            if mode is Mode.OBSERVE and now() - began > self._after:
                self._add(would_hedge=1)

    def _may_start(self, started: int) -> bool:
        """Tell whether a call may have another attempt, and take it from the budget."""
        if started >= self._attempts or self.mode is not Mode.ENFORCE:
            return False
        if self._budget is not None and not self._budget.take():
            self._add(budget_refused=1)
            return False
        self._add(more=1, hedged=started == 1)
        return True


hedge = Hedge
"""`Hedge`, as decorators write it."""


class _Race(Generic[T]):
    """The attempts of one call."""

    __slots__ = ("_attempt", "_hedge", "_loop", "_next_at", "_tasks")

    def __init__(self, hedge: Hedge, attempt: Callable[[], Awaitable[T]]) -> None:
        self._hedge = hedge
        self._attempt = attempt
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[T]] = []
        self._next_at: float | None = None  # when the next attempt is due; None for never

    async def run(self) -> T:
        self._start()
        try:
            while True:
                won = next((number for number, task in enumerate(self._tasks) if _succeeded(task)), None)
                if won is not None:
                    self._hedge._add(won=won > 0)
                    return self._tasks[won].result()
                if all(task.done() for task in self._tasks):
                    raise self._error()
                await self._wait()
        finally:
            try:
                await self._end_losers()
            finally:
                self._tasks.clear()  # they hold errors, whose tracebacks lead back here

    def _start(self) -> None:
        name = f"hedge {self._hedge.name!r}, attempt {len(self._tasks) + 1}"
        self._tasks.append(self._loop.create_task(self._run_attempt(), name=name))
        self._next_at = self._loop.time() + self._hedge._after

    async def _run_attempt(self) -> T:
        return await self._attempt()

    async def _wait(self) -> None:
        """Wait until an attempt ends; start another if none does in time."""
        running = [task for task in self._tasks if not task.done()]
        left = None if self._next_at is None else max(0.0, self._next_at - self._loop.time())
        ended, _ = await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if ended:
            return
        self._next_at = None
        if self._hedge._may_start(len(self._tasks)):
            self._start()

    def _error(self) -> BaseException:
        """Return what to raise when all have failed."""
        errors = list(map(_error_of, self._tasks))
        first = next((error for error in errors if isinstance(error, Exception)), errors[0])
        for number, error in enumerate(errors, 1):
            if error is not first:
                note(first, f"hedge {self._hedge.name!r}: attempt {number} failed too", f": {error!r}")
        self._tasks.clear()
        return first

    async def _end_losers(self) -> None:
        """Cancel the attempts that still run, and wait for them; also if the caller is cancelled meanwhile."""
        losers = [task for task in self._tasks if not task.done()]
        for task in losers:
            task.cancel()
        cancelled: asyncio.CancelledError | None = None
        until = self._loop.time() + self._hedge._grace
        while losers and (left := until - self._loop.time()) > 0:
            try:
                await asyncio.wait(losers, timeout=left)
            except asyncio.CancelledError as error:
                cancelled = error
            losers = [task for task in losers if not task.done()]
        for task in self._tasks:
            _let_go(task)
        if losers:
            self._hedge._add(stuck=len(losers))
            emit("hedge.stuck", self._hedge.name, attempts=len(losers), seconds=self._hedge._grace)
        if cancelled is not None:
            raise cancelled


_left: set[asyncio.Task[Any]] = set()  # cancelled attempts nobody waits for any more


def _let_go(task: asyncio.Task[Any]) -> None:
    if task.done():
        _ended(task)
    else:
        _left.add(task)
        task.add_done_callback(_ended)


def _ended(task: asyncio.Task[Any]) -> None:
    """Take note of how an attempt ended that does not count."""
    _left.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.info("%s does not count, and failed: %r", task.get_name(), error)


def _succeeded(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _error_of(task: asyncio.Task[Any]) -> BaseException:
    try:
        error = task.exception()
    except asyncio.CancelledError as cancelled:
        return cancelled
    assert error is not None
    return error
