"""The owner of tasks: they are kept, seen, and ended with it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from asyncio import Task, current_task
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import Context
from dataclasses import dataclass
from threading import get_ident
from types import FrameType, TracebackType
from typing import Any, Literal, NoReturn, Self, TypeVar, get_args
from weakref import ref

import penstock_limits
from penstock_limits import ConfigurationError, Limiter, Mode, emit, enter_resource, leave_resource, mode_of
from penstock_limits.forks import after_fork

from penstock_tasks._settings import CAPABILITY, mode_given, seconds_given
from penstock_tasks._tasks import signals as catching
from penstock_tasks._tasks.block import Block
from penstock_tasks._tasks.calls import called, function_name
from penstock_tasks._tasks.ending import Ending, ShutdownReport, leave_behind
from penstock_tasks._tasks.jobs import Job, Jobs
from penstock_tasks._tasks.repeated import PeriodicJob, Repeated, RestartPolicy, Service
from penstock_tasks._tasks.scope import TaskScope
from penstock_tasks._tasks.tree import TaskTree, plant

__all__ = ["TaskManager", "TaskManagerStatistics", "open_manager"]

logger = logging.getLogger("penstock.tasks")

T = TypeVar("T")
R = TypeVar("R", bound=Repeated)
OnFailure = Literal["report", "cancel"]
State = Literal["new", "open", "draining", "cancelling", "closed"]

_BY_DEFAULT = RestartPolicy()
_PERIODIC = "periodic job"


@dataclass(frozen=True, slots=True)
class TaskManagerStatistics:
    """A snapshot of a manager's counters; all but `mode` and `timed_out` are 0 if the mode is `off`.

    Attributes:
        mode: The mode.
        running: Tasks that run now.
        started: Tasks ever made.
        succeeded: Tasks that have ended with a result.
        failed: Tasks that have ended with an error.
        cancelled: Tasks that have ended by a cancellation.
        left_behind: Tasks that did not stop when they were cancelled.
        timed_out: Calls of `timeout_wrapper` whose time was over.
        services: Services that run, or wait for their next start.
        periodic: Periodic jobs.
        restarts: How often services were started again.
    """

    mode: Mode
    running: int
    started: int
    succeeded: int
    failed: int
    cancelled: int
    left_behind: int
    timed_out: int
    services: int
    periodic: int
    restarts: int


class TaskManager:
    """Owns the tasks of an event loop: keeps them alive, shows them, ends them and says how they have ended.

    `async with TaskManager() as tasks` is the usual way. Leaving the block, or `cleanup_tasks()`, takes no more work
    in, waits `drain_timeout` for the work that there is, cancels the rest, waits `cancel_timeout` for that, and lets
    go of what still runs, with its stack in the log. If the block has failed, or its task was cancelled by somebody
    else, nothing is waited for before it is cancelled. On SIGTERM and SIGINT the block is cancelled, all this happens,
    and then the signal does what it would have done.

    A task that fails ends nobody but itself, as one job of a server should not end the others. Its error is raised
    where the task is awaited; if nobody ever does, asyncio reports it, and a note says where the task was made. With
    `on_failure="cancel"` it is as in a task group, and in a `scope()` it always is.

    Args:
        name: What people know it by.
        drain_timeout: How many seconds tasks have to end by themselves.
        cancel_timeout: How many seconds tasks have to end once they are cancelled.
        on_failure: `report`, or `cancel`: the first failure cancels the block and all tasks, and the errors are raised
            as an ExceptionGroup.
        signals: What shuts it down. Only in the main thread, and only those that nobody else handles: a server's and
            `lifespan`'s are theirs.
        mode: `enforce`; `observe` counts and shows, and keeps and ends nothing; `off` makes plain tasks, of which it
            knows nothing. None follows the capability `managed-threads`, read once when it is first used.

    Attributes:
        name: What people know it by.
        report: How it was shut down; None until then.

    Raises:
        ConfigurationError: A value is wrong.
    """

    def __init__(
        self,
        name: str = "tasks",
        *,
        drain_timeout: float = 10.0,
        cancel_timeout: float = 5.0,
        on_failure: OnFailure = "report",
        signals: Iterable[int] = (signal.SIGTERM, signal.SIGINT),
        mode: Mode | str | None = Mode.ENFORCE,
    ) -> None:
        where = f"task manager {name!r}"
        if on_failure not in get_args(OnFailure):
            raise ConfigurationError(f"{where}: on_failure = {on_failure!r}; allowed are report and cancel")
        self.name = name
        self.report: ShutdownReport | None = None
        self._drain_timeout = seconds_given(where, "drain_timeout", drain_timeout)
        self._cancel_timeout = seconds_given(where, "cancel_timeout", cancel_timeout)
        self._cancels_all = on_failure == "cancel"
        self._signals = tuple(signals)
        self._given = mode_given(where, mode)
        self._mode = Mode.OFF
        self._state: State = "new"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()
        self._thread: int | None = None  # in which it takes work in
        self._jobs: Jobs | None = None
        self._block: Block | None = None
        self._watch: catching.Watch | None = None
        self._signalled = False
        self._repeated: list[Repeated] = []
        self._errors: list[BaseException] = []
        self._ending: Ending | None = None
        self._ending_task: Task[ShutdownReport] | None = None
        self._timed_out = 0
        self._restarts = 0  # of services that are kept no longer

    def __repr__(self) -> str:
        running = 0 if self._jobs is None else len(self._jobs.running)
        return f"<TaskManager {self.name!r} {self.mode} {self._state}: {running} running>"

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "tasks"

    @property
    def mode(self) -> Mode:
        """Its mode; what the capability says now, as long as it is unused and follows that."""
        return self._mode if self._state != "new" else self._given or mode_of(CAPABILITY)

    @property
    def _patience(self) -> float:
        """How many seconds its shutdown may take."""
        return self._drain_timeout + self._cancel_timeout

    # --- the block

    async def __aenter__(self) -> Self:
        """Open it.

        Raises:
            RuntimeError: It was entered or closed before, or belongs to another loop.
        """
        if self._block is not None or self._state == "closed":
            raise RuntimeError(f"{self!r} is entered twice; make another one")
        self._admit()
        self._block = Block()
        if self._mode is Mode.ENFORCE:
            _remember(self)
            self._watch = catching.watch()
            if self._watch is not None:
                self._watch.join(self, self._block.task, self._signals)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Shut it down, as `cleanup_tasks()` does.

        Raises:
            BaseExceptionGroup: With `on_failure="cancel"`, the errors of its tasks.
        """
        assert self._block is not None
        interrupted = bool(self._errors)
        cancelled = self._block.take_back() and not self._signalled
        failed = error is not None and not isinstance(error, asyncio.CancelledError)
        try:
            await self._shut_down(at_once=cancelled or failed or interrupted, error=error if failed else None)
        finally:
            if self._watch is not None:
                self._watch.leave(self)

    def _raise(self, error: BaseException | None) -> NoReturn:
        errors, self._errors = self._errors, []
        if error is not None:
            errors.append(error)
        raise BaseExceptionGroup(f"tasks of {self.name!r} have failed", errors) from None

    async def cleanup_tasks(self) -> ShutdownReport:
        """Take no more work in, wait for what there is, cancel the rest, and let go of what does not stop.

        A second call waits for the first, and returns the same. Called in one of its tasks, it ends all others.

        Returns:
            How each task has ended.

        Raises:
            asyncio.CancelledError: The caller was cancelled meanwhile: everything was cancelled at once, and has ended.
            BaseExceptionGroup: With `on_failure="cancel"`, the errors of its tasks; it goes before a cancellation.
            RuntimeError: This is not its event loop.
        """
        return await self._shut_down(at_once=False)

    # --- work

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> Task[T]:
        """Start a coroutine in a task, like `asyncio.create_task`.

        Args:
            coro: The coroutine; it is closed if the task cannot be made.
            name: The task's name.
            context: The context to run in; None for a copy of the current one.

        Raises:
            RuntimeError: It shuts down, or this is not the thread of its event loop.
        """
        loop = self._loop
        # No lookup of the running loop: it costs a system call. A task of this loop, in this thread, says the same.
        if self._thread != get_ident() or (parent := current_task(loop)) is None:
            return self._start(coro, name, context, sys._getframe(1), "")
        if name is None and context is None:
            task = loop.create_task(coro)  # type: ignore[union-attr] # as it takes work in, it has a loop
        else:
            task = loop.create_task(coro, **_given(name, context))  # type: ignore[union-attr]
        if (jobs := self._jobs) is not None:
            frame = sys._getframe(1)
            known = frame.f_code, frame.f_lasti, ref(parent), jobs.now(), ""
            if jobs.tells_at_once:
                jobs.watch(task, known)
            else:
                jobs.running[task] = known
                if len(jobs.running) > jobs.many:
                    jobs.sweep()
        return task

    def start_soon(
        self,
        function: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        name: str | None = None,
        limit: str | Limiter | None = None,
    ) -> Task[T]:
        """Call an async function in a task.

        Args:
            function: The function.
            args: Its arguments.
            name: The task's name; the function's by default.
            limit: The name of a limit, or a Limiter, that admits it; see `penstock_limits.create_task`.

        Raises:
            RuntimeError: It shuts down, or this is not the thread of its event loop.
            TypeError: The function returns no coroutine.
            UnknownLimitError: No limit has this name, and limits are enforced.
        """
        self._admit()
        return self._start(called(function, args), name or function_name(function), None, sys._getframe(1), "", limit)

    async def create_limited_task(self, coro: Coroutine[Any, Any, T], semaphore_name: str) -> Task[T]:
        """Start a coroutine in a task that waits in its first step until a named limit admits it.

        Args:
            coro: The coroutine; it is closed if the task cannot be made.
            semaphore_name: The name of the limit.

        Returns:
            The task, at once.

        Raises:
            RuntimeError: It shuts down, or this is not the thread of its event loop.
            UnknownLimitError: No limit has this name, and limits are enforced.
        """
        return self._start(coro, None, None, sys._getframe(1), "", semaphore_name)

    async def timeout_wrapper(self, coro: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 - the RFC's own shape
        """Await something for so many seconds at most, in the caller's task: `asyncio.wait_for`, and counted.

        Args:
            coro: What to await. It is cancelled when the time is over.
            timeout: Seconds; None for any time.

        Raises:
            TimeoutError: The time was over.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            result: T = await penstock_limits.wait_for(coro, timeout)
        except TimeoutError:
            self._timed_out += timeout is not None and loop.time() >= begun + timeout  # else it is one of its own
            raise
        return result

    def scope(self, name: str, *, cancel_timeout: float | None = None) -> TaskScope:
        """Return a named group of tasks, for `async with`, that ends together.

        Args:
            name: Its name.
            cancel_timeout: How many seconds its tasks have to end once they are cancelled; None for half of what the
                manager gives, so that a scope within a task has let go before the manager does.
        """
        given = self._cancel_timeout / 2 if cancel_timeout is None else cancel_timeout
        return TaskScope(self, name, seconds_given(f"scope {name!r}", "cancel_timeout", given))

    def service(
        self,
        function: Callable[..., Awaitable[Any]],
        *args: Any,
        name: str | None = None,
        restart: RestartPolicy = _BY_DEFAULT,
    ) -> Service:
        """Run an async function as long as the manager is open, and start it again when it fails.

        At the shutdown services run on while other tasks are waited for, which may need them; then they are cancelled.

        Args:
            function: The function.
            args: Its arguments.
            name: What people know it by; the function's name by default.
            restart: When it is started again.

        Raises:
            RuntimeError: The manager shuts down, or this is not the thread of its event loop.
        """
        self._admit()
        name = name or function_name(function)
        service = Service(self, function, args, name, self._made(sys._getframe(1), "service"), restart=restart)
        return self._keep(service)

    def every(
        self,
        seconds: float,
        function: Callable[..., Awaitable[Any]],
        *args: Any,
        name: str | None = None,
        delay: float = 0.0,
    ) -> PeriodicJob:
        """Run an async function every so many seconds, without drift and without overlap, as long as it is open.

        Args:
            seconds: The period, above 0.
            function: The function.
            args: Its arguments.
            name: What people know it by; the function's name by default.
            delay: In how many seconds it runs for the first time.

        Raises:
            ConfigurationError: A value is wrong.
            RuntimeError: The manager shuts down, or this is not the thread of its event loop.
        """
        self._admit()
        name = name or function_name(function)
        seconds_given(f"periodic job {name!r}", "seconds", seconds, above=True)
        seconds_given(f"periodic job {name!r}", "delay", delay)
        job = self._made(sys._getframe(1), _PERIODIC)
        return self._keep(PeriodicJob(self, function, args, name, job, seconds=seconds, delay=delay))

    # --- what can be seen

    def tree(self) -> TaskTree:
        """Return its running tasks under those that have made them; what runs in another thread may be just gone."""
        jobs = self._jobs
        running = {} if jobs is None else {task: Job._make(known) for task, known in list(jobs.running.items())}
        now = 0.0 if jobs is None else jobs.now()
        here = None if self._loop is None else current_task(self._loop)
        return plant(self.name, self.mode, {task: job for task, job in running.items() if not task.done()}, now, here)

    def owns(self, task: Task[Any]) -> bool:
        """Tell whether it keeps a task that has not ended, and ends it in its turn; not if it only observes."""
        return self.mode is Mode.ENFORCE and self._jobs is not None and task in self._jobs.running

    def statistics(self) -> TaskManagerStatistics:
        """Return a snapshot of its counters."""
        jobs = self._jobs
        if jobs is not None and self._thread == get_ident():
            jobs.sweep()
        ended = (0, 0, 0, 0) if jobs is None else (jobs.succeeded, jobs.failed, jobs.cancelled, jobs.left_behind)
        running = 0 if jobs is None else len(jobs.running)
        services = [each for each in tuple(self._repeated) if isinstance(each, Service)]
        return TaskManagerStatistics(
            mode=self.mode,
            running=running,
            started=running + sum(ended),
            succeeded=ended[0],
            failed=ended[1],
            cancelled=ended[2],
            left_behind=ended[3],
            timed_out=self._timed_out,
            services=sum(each.state in ("running", "waiting") for each in services),
            periodic=sum(not isinstance(each, Service) and not each._stopped for each in tuple(self._repeated)),
            restarts=self._restarts + sum(each.restarts for each in services),
        )

    # --- starting

    def _admit(self, coro: Coroutine[Any, Any, Any] | None = None) -> None:
        """Let work in, or refuse it and close its coroutine."""
        loop = asyncio._get_running_loop()
        try:
            if loop is None:
                raise RuntimeError(self._elsewhere())
            if self._state == "new":
                self._open(loop)
            if loop is not self._loop:
                raise RuntimeError(self._elsewhere())
            if self._state != "open" and not (self._state == "draining" and self._is_own(current_task())):
                raise RuntimeError(
                    f"task manager {self.name!r} is {self._state} and takes no more work in; "
                    f"make another one, or start the work before its block is left"
                )
        except RuntimeError:
            if asyncio.iscoroutine(coro):
                coro.close()
            raise

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._mode = self._given or mode_of(CAPABILITY)
        self._loop = loop
        self._process = os.getpid()
        if self._mode is not Mode.OFF:
            self._jobs = Jobs(
                self.name,
                loop,
                self._mode,
                self._task_failed if self._cancels_all and self._mode is Mode.ENFORCE else None,
            )
        self._state = "open"
        self._thread = get_ident()
        after_fork(self._close_in_child)
        enter_resource(self)

    def _close_in_child(self) -> None:
        """Take no work in: the loop, which is the parent's, does not run here."""
        self._thread = None

    def _elsewhere(self) -> str:
        """Say why it cannot be used here."""
        here = f"task manager {self.name!r} was used in thread {threading.current_thread().name!r}"
        if os.getpid() != self._process:
            return f"{here} of a process that was forked: its event loop is the parent's. Make one in this process"
        if self._loop is None:
            return f"{here} without a running event loop: use it in a coroutine"
        if self._loop.is_closed():
            return f"{here}, but the event loop it belongs to is closed. Make one for each loop"
        return (
            f"{here}, outside of the event loop it belongs to. From another thread use "
            f"asyncio.run_coroutine_threadsafe(...), or loop.call_soon_threadsafe(tasks.start_soon, ...); "
            f"for another loop make another manager"
        )

    def _is_own(self, task: Task[Any] | None) -> bool:
        return self._jobs is not None and task in self._jobs.running

    def _start(
        self,
        coro: Coroutine[Any, Any, T],
        name: str | None,
        context: Context | None,
        frame: FrameType,
        part_of: str,
        limit: str | Limiter | None = None,
        **kwargs: Any,
    ) -> Task[T]:
        self._admit(coro)
        kwargs |= _given(name, context)
        if limit is not None:
            task = penstock_limits.create_task(coro, limit=limit, **kwargs)
        else:
            task = self._the_loop().create_task(coro, **kwargs)
        self._own(task, frame, part_of)
        return task

    def _own(self, task: Task[Any], frame: FrameType, part_of: str = "") -> None:
        """Own a task that was made in a frame, if the mode lets it own any."""
        if self._jobs is not None:
            self._jobs.watch(task, self._jobs.known(frame, part_of))

    def _made(self, frame: FrameType, what: str) -> Job:
        loop = self._the_loop()
        parent = current_task()
        return Job(frame.f_code, frame.f_lasti, None if parent is None else ref(parent), loop.time(), what)

    def _launch(self, coro: Coroutine[Any, Any, T], name: str, context: Context, job: Job) -> Task[T]:
        task = self._the_loop().create_task(coro, name=name, context=context)
        if self._jobs is not None:
            self._jobs.watch(task, job)
        return task

    def _keep(self, repeated: R) -> R:
        gone = [each for each in self._repeated if each._stopped and not each.running]
        self._restarts += sum(each.restarts for each in gone if isinstance(each, Service))
        self._repeated = [*(each for each in self._repeated if each not in gone), repeated]
        return repeated

    def _the_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None
        return self._loop

    # --- failing

    def _task_failed(self, task: Task[Any], job: Job, error: BaseException) -> None:
        """Let a failure end everything, but for those that a service or a scope deals with."""
        if job.part_of in ("", _PERIODIC):
            self._fail(task, error)

    def _gave_up(self, task: Task[Any], error: BaseException) -> None:
        if self._cancels_all:
            self._fail(task, error)

    def _fail(self, task: Task[Any], error: BaseException) -> None:
        task.exception()  # it will be raised: asyncio need not report it
        self._errors.append(error)
        self._stop_intake()
        if self._ending is not None:
            self._ending.hurry()
        elif self._block is not None:
            self._block.interrupt()
        elif self._jobs is not None:
            for each in list(self._jobs.running):
                each.cancel()

    # --- ending

    def _shut_down_by_signal(self) -> None:
        """Be told that a signal has come, and that the block is being cancelled."""
        self._signalled = True
        self._stop_intake()

    def _stop_intake(self) -> None:
        """Take no more work in; what runs may still start what it needs."""
        if self._state == "open":
            self._state = "draining"
            self._thread = None
        for each in self._repeated:
            each._stop_intake()

    async def _shut_down(self, *, at_once: bool, error: BaseException | None = None) -> ShutdownReport:
        loop = asyncio._get_running_loop()
        if loop is not None and self._state == "new":
            self._open(loop)
        if loop is None or loop is not self._loop:
            raise RuntimeError(self._elsewhere())
        if self._jobs is None or self._mode is not Mode.ENFORCE:
            return self._only_look()
        if self._ending is None:
            self._ending = Ending(self.name, self._jobs, self._lasting)
        cancelled = await self._until_ended(self._ending, at_once=at_once)
        try:
            if self._errors:
                self._raise(error)
            if cancelled is not None:
                raise cancelled  # itself, as whoever has cancelled may know it by its message
        finally:  # no cycle of errors and frames
            del error, cancelled
        assert self._ending_task is not None
        return self._ending_task.result()

    async def _until_ended(self, ending: Ending, *, at_once: bool) -> asyncio.CancelledError | None:
        """Wait until all has ended; return the cancellation that has come meanwhile."""
        task = self._the_ending_task()
        caller = current_task()
        if caller is not None and self._is_own(caller):
            ending.spare(caller)
        if at_once:
            ending.hurry()
        cancelled: asyncio.CancelledError | None = None
        signalled = self._signalled
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as again:
                cancelled = again
                if self._signalled and not signalled:
                    signalled = True  # it was the signal, which asks for what goes on already
                else:
                    ending.hurry()
            task = self._the_ending_task()
        try:
            return cancelled
        finally:
            del cancelled

    def _the_ending_task(self) -> Task[ShutdownReport]:
        """Return what ends all; another one, if it was cancelled before its first step with every task of the loop."""
        if self._ending_task is None or self._ending_task.cancelled():
            self._ending_task = self._the_loop().create_task(self._end(), name=f"ending {self.name}")
        return self._ending_task

    async def _end(self) -> ShutdownReport:
        assert self._ending is not None
        assert self._jobs is not None
        self._stop_intake()
        drained = await self._ending.drain(self._drain_timeout)
        self._state = "cancelling"
        _forget(self)  # what a cancelled task still makes by the drop-in to clean up is not to be cancelled
        self.report = report = await self._ending.cancel(self._cancel_timeout)
        self._state = "closed"
        self._jobs.close()
        leave_resource(self)
        emit("tasks.shut_down", self.name, seconds=round(report.seconds, 3), **_as_keys(report.counts()))
        worth_a_warning = self._signalled or report.left_behind or not drained
        logger.log(logging.WARNING if worth_a_warning else logging.INFO, "%s", str(report))
        return report

    def _only_look(self) -> ShutdownReport:
        """Say what would have been ended."""
        for each in self._repeated:  # they are no drop-in: without the manager nobody would have started them
            each.stop()
        running = 0 if self._jobs is None else len(self._jobs.running)
        if running:
            emit("tasks.would_shut_down", self.name, running=running)
        self.report = ShutdownReport(self.name, 0.0, ())
        return self.report

    def _lasting(self) -> set[Task[Any]]:
        services = (each.task for each in self._repeated if isinstance(each, Service))
        return {task for task in services if task is not None and not task.done()}

    def _leave_behind(self, task: Task[Any]) -> None:
        leave_behind(self.name, self._jobs, task)
        if self._ending is not None:
            self._ending.look_again()


_managers: dict[asyncio.AbstractEventLoop, list[TaskManager]] = {}


def open_manager(loop: asyncio.AbstractEventLoop) -> TaskManager | None:
    """Return the manager that was entered last in a loop, and is open; None if none is."""
    managers = _managers.get(loop)
    return managers[-1] if managers else None


def _remember(manager: TaskManager) -> None:
    for loop in [each for each in tuple(_managers) if each.is_closed()]:
        _managers.pop(loop, None)
    _managers.setdefault(manager._the_loop(), []).append(manager)


def _forget(manager: TaskManager) -> None:
    loop = manager._the_loop()
    left = [each for each in _managers.pop(loop, ()) if each is not manager]
    if left:
        _managers[loop] = left


def _given(name: str | None, context: Context | None) -> dict[str, Any]:
    """Return what was given: from 3.14 on a task factory is handed every keyword, and may not know all."""
    given = {"name": name, "context": context}
    return {key: value for key, value in given.items() if value is not None}


def _as_keys(counts: dict[str, int]) -> dict[str, int]:
    return {key.replace(" ", "_"): count for key, count in counts.items()}
