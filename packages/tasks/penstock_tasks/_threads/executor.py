"""`ThreadPoolExecutor`: that of concurrent.futures, with an owner."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.thread
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar
from weakref import WeakSet

from penstock_limits import Mode, emit, enter_resource
from penstock_limits.forks import after_fork
from penstock_limits.introspection import call_site

from penstock_tasks._threads.exit import hook, on_exit
from penstock_tasks._threads.ownership import Ownership, is_owned, new_ownership

__all__ = ["ExecutorStatistics", "ThreadPoolExecutor", "enforcing"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExecutorStatistics:
    """A snapshot of an executor.

    Attributes:
        mode: The mode it was made in.
        running: Calls that run.
        queued: Calls that wait for a thread.
        max_running: Threads it may have.
        submitted: Calls ever submitted.
        started: Calls ever given a thread.
        cancelled: Calls that were cancelled before they ran.
        peak_queued: The most calls that ever waited.
        wait_seconds: How long calls have waited for a thread, added up.
        longest_wait: How long one has waited at most, in seconds.
    """

    mode: Mode
    running: int
    queued: int
    max_running: int
    submitted: int
    started: int
    cancelled: int
    peak_queued: int
    wait_seconds: float
    longest_wait: float


class _Counters:
    """What an executor counts, and the resource that shows it.

    Apart from the executor, as its calls must not keep it alive, and the names of a subclass are its own.
    """

    kind = "executor"

    def __init__(self, name: str, mode: Mode, max_workers: int) -> None:
        self.name = name
        self._mode = mode
        self._max_workers = max_workers
        self._begin()
        after_fork(self._begin)

    def _begin(self) -> None:
        """Count from 0, as in a forked child: what waits or runs does so in the parent."""
        self.lock = threading.Lock()
        self.submitted = self.started = self.ended = self.cancelled = self.peak_queued = 0
        self.waited = self.longest = 0.0

    @property
    def queued(self) -> int:
        return max(0, self.submitted - self.started - self.cancelled)  # a child may cancel calls of its parent

    def submit(self) -> None:
        with self.lock:
            self.submitted += 1
            self.peak_queued = max(self.peak_queued, self.queued)

    def refuse(self) -> None:
        with self.lock:
            self.submitted -= 1

    def start(self, waited: float) -> None:
        with self.lock:
            self.started += 1
            self.waited += waited
            self.longest = max(self.longest, waited)

    def end(self) -> None:
        with self.lock:
            self.ended += 1

    def owns(self, thing: object) -> bool:
        return is_owned(thing)

    def statistics(self) -> ExecutorStatistics:
        with self.lock:
            return ExecutorStatistics(
                mode=self._mode,
                running=max(0, self.started - self.ended),  # a call may end in a child that it has forked
                queued=self.queued,
                max_running=self._max_workers,
                submitted=self.submitted,
                started=self.started,
                cancelled=self.cancelled,
                peak_queued=self.peak_queued,
                wait_seconds=self.waited,
                longest_wait=self.longest,
            )

    def note_done(self, future: Future[Any]) -> None:
        if future.cancelled():
            with self.lock:
                self.cancelled += 1


class _Call:
    """A function that is counted while it waits and while it runs."""

    __slots__ = ("_counters", "_function", "_submitted")

    def __init__(self, counters: _Counters, function: Callable[..., Any]) -> None:
        self._counters = counters
        self._function = function
        self._submitted = time.monotonic()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        self._counters.start(time.monotonic() - self._submitted)
        try:
            return self._function(*args, **kwargs)
        finally:
            self._counters.end()


_ORIGINAL = concurrent.futures.ThreadPoolExecutor


class ThreadPoolExecutor(_ORIGINAL):
    """A `concurrent.futures.ThreadPoolExecutor` that the exit of the program ends: drop-in, with the same arguments.

    The mode of the capability `managed-threads` is read when it is made, and stays its own. Off makes one of
    `concurrent.futures`. Observe changes nothing, and counts. Enforce shuts it down at the exit, if nobody has: calls
    that wait are cancelled, those that run are told to stop by `stop_event()`, and what overstays the deadline is
    reported with its stack and does not hold the exit; CPython does not wait for its workers. Its queue has no bound,
    as before: for one, see `to_thread` or a `Limiter`.
    """

    _counted: _Counters
    _penstock: Ownership | None = None

    # For type checkers it is a class like any other, with the arguments of the original.
    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **kwargs: Any) -> concurrent.futures.ThreadPoolExecutor:
            ownership = new_ownership("")
            if ownership is None and cls is ThreadPoolExecutor:
                now = concurrent.futures.ThreadPoolExecutor  # or what has been put in its place, if this class itself
                return (_ORIGINAL if now is cls else now)(*args, **kwargs)
            self = super().__new__(cls)
            self._penstock = ownership
            return self

        def __init__(
            self,
            max_workers: int | None = None,
            thread_name_prefix: str = "",
            initializer: Callable[..., object] | None = None,
            initargs: tuple[Any, ...] = (),
            **more: Any,
        ) -> None:
            ownership = self._penstock
            if ownership is not None and (initializer is None or callable(initializer)):
                initializer, initargs = _enrolled, (ownership, initializer, initargs)
            super().__init__(max_workers, thread_name_prefix, initializer, initargs, **more)
            if ownership is not None:
                ownership.owner = self._thread_name_prefix
                self._counted = _Counters(str(self._thread_name_prefix), ownership.mode, self._max_workers)
                hook()
                on_exit(_end_executors, _end_queues)
                _owned.add(self)
                enter_resource(self._counted)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a function called in a thread, as the original does.

        Args:
            fn: The function.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Returns:
            The future of its result.

        Raises:
            RuntimeError: The executor is shut down or broken.
        """
        if self._penstock is None:
            return super().submit(fn, *args, **kwargs)
        counted: _Counters = self._counted
        counted.submit()
        try:
            future: Future[T] = super().submit(_Call(counted, fn), *args, **kwargs)
        except BaseException:
            counted.refuse()
            raise
        future.add_done_callback(counted.note_done)
        return future

    def statistics(self) -> ExecutorStatistics:
        """Return a snapshot of its counters; an executor made in mode off has none."""
        counted = _Counters("", Mode.OFF, self._max_workers) if self._penstock is None else self._counted
        return counted.statistics()

    def _adjust_thread_count(self) -> None:
        """Start a worker if one is needed; in enforce it is a daemon, as CPython waits for others without a deadline.

        A thread is a daemon if the one that starts it is, so a daemon starts it. And concurrent.futures forgets it, as
        it would wait for it at the exit, too.
        """
        adjust = super()._adjust_thread_count
        if self._penstock is None or not self._penstock.enforces:
            adjust()
            return
        threads = self._threads
        if len(threads) >= self._max_workers:
            adjust()  # which takes note of who is idle, and starts none
            return
        if not self._idle_semaphore.acquire(timeout=0):
            _in_daemon(adjust)
            waited_for_at_exit: Any = concurrent.futures.thread._threads_queues
            for thread in threads:
                waited_for_at_exit.pop(thread, None)

    def _end(self, *, late: bool = False) -> None:
        """Shut it down at the exit; what waits is cancelled, after the deadline if somebody had shut it down before."""
        assert self._penstock is not None
        if (self._shutdown and not late) or (self._penstock.told and not self._penstock.enforces):
            return
        if not any(thread.is_alive() for thread in tuple(self._threads)):
            return  # nothing can wait or run; or this is a fork, and its parent has all of it
        self._penstock.told = True
        statistics = self._counted.statistics()
        told = {"running": statistics.running, "queued": statistics.queued, "created": str(self._penstock.site)}
        if self._penstock.enforces:
            _ORIGINAL.shutdown(self, wait=False, cancel_futures=True)
        if statistics.queued or (statistics.running and not late):
            emit("executor.ended" if self._penstock.enforces else "executor.would_end", self._counted.name, **told)

    @classmethod
    def _with(cls, ownership: Ownership, max_workers: int, name: str) -> Self:
        self = object.__new__(cls)
        self._penstock = ownership
        self.__init__(max_workers, name)  # type: ignore[misc]
        return self


def enforcing(max_workers: int, name: str) -> ThreadPoolExecutor:
    """Return an executor whose mode is enforce, whatever that of the capability is now."""
    return ThreadPoolExecutor._with(Ownership(Mode.ENFORCE, name, call_site()), max_workers, name)


def _enrolled(of: Ownership, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    """Make the current thread known as a worker, then do what the user wants done in it."""
    known = vars(threading.current_thread())
    known["_penstock"] = Ownership(of.mode, of.owner, of.site, is_worker=True)
    if of.enforces:
        # CPython has taken note that it need not wait for it. The threads that it starts are no daemons, as ever.
        known["_daemonic"] = False
    if initializer is not None:
        initializer(*initargs)


def _in_daemon(start: Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            start()
        except BaseException as error:  # noqa: BLE001 - it is raised where it belongs
            errors.append(error)

    # With a name, as it would use up one of those that CPython numbers.
    starter = threading.Thread(target=run, name="penstock-starts-worker", daemon=True)
    starter.start()
    starter.join()
    if errors:
        raise errors[0]


def _end_executors() -> None:
    for executor in list(_owned):
        executor._end()


def _end_queues() -> None:
    for executor in list(_owned):
        executor._end(late=True)


_owned: WeakSet[ThreadPoolExecutor] = WeakSet()
