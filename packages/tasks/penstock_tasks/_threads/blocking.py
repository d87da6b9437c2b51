"""`to_thread`: a function that blocks, called in a thread, bounded and with a deadline."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from penstock_limits import Limiter, LimitSettings, Mode, PenstockError, configuration, emit, mode_of
from penstock_limits.forks import after_fork

from penstock_tasks._settings import CAPABILITY
from penstock_tasks._shown import raised_at, shown_name
from penstock_tasks._threads.counters import counters
from penstock_tasks._threads.executor import ThreadPoolExecutor, enforcing
from penstock_tasks._threads.ownership import Stop, with_stop
from penstock_tasks._threads.places import place_of

__all__ = ["ThreadTimeoutError", "to_thread"]

NAME = "threads"

T = TypeVar("T")


class ThreadTimeoutError(PenstockError, TimeoutError):
    """A function that was called in a thread has not returned by the deadline; it runs on.

    Args:
        function: The function's name.
        seconds: The deadline, in seconds.
        thread: The name of the thread in which it runs on; None if it had not begun, and will not.
        where: Where it stands, as `path:line in function`.
    """

    def __init__(self, function: str, seconds: float, thread: str | None, where: str) -> None:
        super().__init__(function)
        self.args = (function, seconds, thread, where)  # what it is pickled by; of these, an OSError would take two
        self.function = function
        self.seconds = seconds
        self.thread = thread
        self.where = where

    def __str__(self) -> str:
        if self.thread is None:
            return f"{self.function} was not begun within {self.seconds:g} s, and is not called any more. Try again."
        return (
            f"{self.function} has not returned within {self.seconds:g} s. It still runs in the thread {self.thread!r}, "
            f"at {self.where}, was told to stop, and counts until it ends. "
            f"Give what it waits for a deadline of its own, let it look at stop_event(), or raise timeout."
        )


async def to_thread(
    function: Callable[..., T],
    /,
    *args: Any,
    timeout: float | None = None,  # noqa: ASYNC109 - it is the thread that is late, and knows
    **kwargs: Any,
) -> T:
    """Call a function in a thread and wait for its result, as `asyncio.to_thread` does; contextvars are copied.

    The mode of the capability `managed-threads` is read at the call. Off is `asyncio.to_thread`. Observe is, too, and
    counts. Enforce lets as many calls run at once as the limit `threads` says, `[tool.penstock.limits.threads]`, else
    as many as there are workers: 4 more than processors, 32 at most. The others wait in order. A call counts until its
    thread is free, whether anybody waits for it or not.

    Args:
        function: The function.
        args: Its positional arguments.
        timeout: Seconds for waiting and running together; None for any time. When they have passed, or the task is
            cancelled, `stop_event()` in the function says so. In mode off it is not looked at.
        kwargs: Its keyword arguments. One that is named `timeout` too is given with `functools.partial`.

    Returns:
        What the function returns.

    Raises:
        ThreadTimeoutError: The function has not returned in time.
        AcquireTimeoutError: Its turn has not come in time.
        QueueFullError: As many calls wait as may wait.
        ConfigurationError: `timeout` is no number of seconds.
    """
    mode = mode_of(CAPABILITY)
    if mode is Mode.OFF:
        now: Callable[..., Any] = asyncio.to_thread  # or what has been put in its place, if this function itself
        plain = asyncio.threads.to_thread if now is to_thread else now
        return await plain(function, *args, **kwargs)
    begun = time.monotonic()
    limiter = _calls.limiter()
    await limiter.acquire(timeout=timeout)
    call: Callable[[], Any] = functools.partial(contextvars.copy_context().run, function, *args, **kwargs)
    job: _Job[T] = _Job(call, function, limiter)
    future = _calls.submit(job, mode)
    if mode is Mode.OBSERVE:
        return await _observed(job, future, begun, timeout)
    return await _in_time(job, future, begun, timeout)


async def _observed(job: _Job[T], future: asyncio.Future[T], begun: float, timeout: float | None) -> T:  # noqa: ASYNC109
    try:
        return await future
    finally:
        job.leave()
        if timeout is not None and time.monotonic() - begun > timeout:
            counters.count("would_time_out")


async def _in_time(job: _Job[T], future: asyncio.Future[T], begun: float, timeout: float | None) -> T:  # noqa: ASYNC109
    try:
        if timeout is not None:
            # Not asyncio.timeout: the function may raise a TimeoutError of its own.
            await asyncio.wait((future,), timeout=max(0.0, begun + timeout - time.monotonic()))
            if not future.done():
                raise job.late(timeout)
        return await future
    finally:
        job.leave()
        if not future.get_loop().is_closed():  # else the task has been destroyed, and nobody can be told
            future.cancel()


class _Job(Generic[T]):
    """A call, and its permit, which goes back once: when its thread is free, or when it will not have one.

    Attributes:
        thread: The thread that makes it; None before.
    """

    def __init__(self, call: Callable[[], T], function: Callable[..., Any], limiter: Limiter) -> None:
        self._call = call
        self._function = function
        self._limiter = limiter
        self._stop = Stop()
        self._turn = threading.Lock()  # who takes it decides whether the call is made; nobody gives it back
        self._is_awaited = True
        self._has_ended = False
        self.thread: threading.Thread | None = None

    def __call__(self) -> T:
        if not self._take_turn():
            return None  # type: ignore[return-value] # to nobody
        self.thread = threading.current_thread()
        try:
            return with_stop(self._stop, self._call)
        except StopIteration as error:  # which no future takes
            raise RuntimeError(f"{_name(self._function)} raised StopIteration") from error
        except Exception as error:
            if not self._is_awaited:
                emit(
                    "thread.call_failed",
                    shown_name(self.thread.name),
                    function=_name(self._function),
                    error=type(error).__qualname__,
                    where=str(raised_at(error)),
                )
            raise
        finally:
            self._has_ended = True
            self._limiter.release()

    def late(self, seconds: float) -> ThreadTimeoutError:
        """Return the error that says that it is late, and where it stands."""
        thread = self.thread
        if self._take_turn():
            self._has_ended = True
            self._limiter.release()
            return ThreadTimeoutError(_name(self._function), seconds, None, "")
        counters.count("timed_out")
        where = None if thread is None or thread.ident is None else place_of(thread.ident)
        shown = "a line that it has just left" if where is None else str(where)
        return ThreadTimeoutError(_name(self._function), seconds, NAME if thread is None else thread.name, shown)

    def leave(self) -> None:
        """Wait for it no longer; if it runs, it is told to stop, and keeps its permit until it ends."""
        if self._take_turn():
            self._limiter.release()
        elif not self._has_ended:
            self._is_awaited = False
            self._stop.set()
            counters.count("unawaited")

    def _take_turn(self) -> bool:
        return self._turn.acquire(blocking=False)


class _CallLimiter(Limiter):
    """A limiter whose mode is that of the threads."""

    __slots__ = ()

    @property
    def mode(self) -> Mode:
        """The mode of the capability `managed-threads` now."""
        return mode_of(CAPABILITY)


class _Calls:
    """The one executor of the process for calls from event loops, and its limiter; made when first needed."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Have none, as after a fork: neither the threads nor their permits have come along."""
        self._lock = threading.Lock()
        self._limiter: Limiter | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._settings: LimitSettings | None = None

    def limiter(self) -> Limiter:
        """Return the limiter, of the size that is configured now."""
        settings = configuration().limits.get(NAME) or _DEFAULT
        if settings != self._settings or self._limiter is None:
            after_fork(self.forget)
            with self._lock:
                return self._sized(settings)
        return self._limiter

    def submit(self, job: _Job[T], mode: Mode) -> asyncio.Future[T]:
        """Have a call made that has its permit; in observe where `asyncio.to_thread` would.

        Raises:
            RuntimeError: The program ends.
        """
        loop = asyncio.get_running_loop()
        try:
            if mode is Mode.OBSERVE:
                return loop.run_in_executor(None, job)
            with self._lock:  # or it might be replaced, and shut down
                return loop.run_in_executor(self._running_executor(), job)
        except BaseException:
            job.leave()
            raise

    def _sized(self, settings: LimitSettings) -> Limiter:
        if self._limiter is None:
            self._limiter = _CallLimiter(NAME, max_running=settings.max_running, max_queued=settings.max_queued)
        elif settings != self._settings:
            self._limiter.resize(settings.max_running, max_queued=settings.max_queued)
            if self._executor is not None:  # those calls end in it that it has; they have their permits
                self._executor.shutdown(wait=False)
                self._executor = None
        self._settings = settings
        return self._limiter

    def _running_executor(self) -> ThreadPoolExecutor:
        if self._executor is None:
            assert self._settings is not None
            self._executor = enforcing(max(1, self._settings.max_running), NAME)
        return self._executor


_DEFAULT = LimitSettings(min(32, (os.cpu_count() or 1) + 4))  # the size of asyncio's own

_calls = _Calls()


def _name(function: object) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__qualname__", None) or repr(function)
