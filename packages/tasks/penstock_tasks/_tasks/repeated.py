"""What runs a function again and again: services, which last, and periodic jobs."""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import Task
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from penstock_limits import ConfigurationError, backoff_delay, emit

from penstock_tasks._settings import seconds_given
from penstock_tasks._shown import shown_name
from penstock_tasks._tasks.jobs import Job

__all__ = ["PeriodicJob", "Repeated", "RestartPolicy", "Service"]

ServiceState = Literal["running", "waiting", "stopped", "gave up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """When a service starts again.

    The wait before a restart is random below a bound that doubles with each restart of the last `within` seconds, from
    `base` to `cap`: services that failed together do not come back together.

    Attributes:
        max_restarts: How many restarts are granted in `within` seconds; a failure beyond them is final.
        within: Over how many seconds they are counted.
        base: The bound of the first wait, in seconds.
        cap: The highest bound, in seconds.
        on_return: Whether it starts again, too, when the function has returned.

    Raises:
        ConfigurationError: A value is wrong.
    """

    max_restarts: int = 10
    within: float = 300.0
    base: float = 0.5
    cap: float = 30.0
    on_return: bool = False

    def __post_init__(self) -> None:
        where = "restart policy"
        if not isinstance(self.max_restarts, int) or isinstance(self.max_restarts, bool) or self.max_restarts < 0:
            raise ConfigurationError(f"{where}: max_restarts = {self.max_restarts!r}; allowed is a whole number from 0")
        seconds_given(where, "within", self.within, above=True)
        seconds_given(where, "base", self.base)
        seconds_given(where, "cap", self.cap)


class Starter(Protocol):
    """What a manager offers to what it repeats."""

    name: str

    def _launch(self, coro: Any, name: str, context: contextvars.Context, job: Job) -> Task[Any]: ...

    def _gave_up(self, task: Task[Any], error: BaseException) -> None: ...


class Repeated:
    """Runs an async function, each time in a task and a copy of the context of its own.

    Between two runs it is a timer, and no task.

    Attributes:
        name: What people know it by.
        runs: How often it has been started.
        failures: How many of these runs have failed.
        task: The task of the current run; None between two.
    """

    def __init__(
        self, manager: Starter, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], name: str, job: Job
    ) -> None:
        self.name = name
        self.runs = self.failures = 0
        self.task: Task[Any] | None = None
        self._manager = manager
        self._call = function, args
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether the function runs now."""
        return self.task is not None

    def stop(self) -> None:
        """Start no more run, and cancel the current one."""
        self._stop_intake()
        if self.task is not None:
            self.task.cancel()

    def _stop_intake(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _at(self, when: float) -> None:
        # In a context of its own, or the timer would keep the caller's.
        self._timer = self._loop.call_at(when, self._run, context=contextvars.Context())

    def _run(self) -> None:
        self._timer = None
        self.runs += 1
        job = self._job._replace(since=self._loop.time())
        work: Any = _awaited(*self._call)
        work.__qualname__ = getattr(self._call[0], "__qualname__", self.name)  # what is shown of the task
        task = self._manager._launch(work, self.name, self._context.copy(), job)
        self.task = task
        task.add_done_callback(self._ended)

    def _ended(self, task: Task[Any]) -> None:
        self.task = None  # so that asyncio reports its error now
        error = None if task.cancelled() else getattr(task, "_exception", None)
        self.failures += error is not None
        if not self._stopped:
            self._next(task, error)

    def _next(self, task: Task[Any], error: BaseException | None) -> None:
        raise NotImplementedError


class Service(Repeated):
    """A function that is to run as long as its manager is open; made by `tasks.service()`.

    A run that fails is reported, and the function is started again as its RestartPolicy says. When the policy's
    restarts are used up, the event `service.gave_up` says so. A run that somebody else cancels is the service's end.

    Attributes:
        state: `running`, `waiting` for its next start, `stopped`, or `gave up`.
    """

    def __init__(self, *args: Any, restart: RestartPolicy) -> None:
        super().__init__(*args)
        self.state: ServiceState = "running"
        self._policy = restart
        self._restarts: deque[float] = deque()
        self._run()

    def __repr__(self) -> str:
        return f"<Service {self.name!r} {self.state}: started {self.runs} times, {self.failures} failed>"

    @property
    def restarts(self) -> int:
        """How often it has been started again."""
        return max(0, self.runs - 1)

    def _stop_intake(self) -> None:
        super()._stop_intake()
        if self.state == "waiting":
            self.state = "stopped"

    def _ended(self, task: Task[Any]) -> None:
        super()._ended(task)
        if self._stopped and self.state != "gave up":
            self.state = "stopped"

    def _run(self) -> None:
        self.state = "running"
        super()._run()

    def _next(self, task: Task[Any], error: BaseException | None) -> None:
        now, policy = self._loop.time(), self._policy
        while self._restarts and self._restarts[0] <= now - policy.within:
            self._restarts.popleft()
        if task.cancelled() or (error is None and not policy.on_return) or not isinstance(error, Exception | None):
            self._stopped = True
        elif len(self._restarts) >= policy.max_restarts:
            self._give_up(task, error)
        else:
            delay = backoff_delay(len(self._restarts), base=policy.base, cap=policy.cap)
            self._restarts.append(now)
            self.state = "waiting"
            self._tell("restarted", error, delay=round(delay, 3))
            self._at(now + delay)

    def _give_up(self, task: Task[Any], error: BaseException | None) -> None:
        self.state = "gave up"
        super()._stop_intake()
        self._tell("gave_up", error, failures=self.failures)
        if error is not None:
            self._manager._gave_up(task, error)

    def _tell(self, what: str, error: BaseException | None, **more: float) -> None:
        named = None if error is None else type(error).__qualname__
        emit(f"service.{what}", self._manager.name, service=shown_name(self.name), error=named, **more)


class PeriodicJob(Repeated):
    """A function that runs every so many seconds; made by `tasks.every()`.

    It is due at `begin`, `begin + seconds`, `begin + 2 * seconds` and so on, however long it runs. It never overlaps
    itself: while it runs, or when the event loop was stalled, what was due is skipped, and not made up for. A run that
    fails is reported, and the next comes when it is due.

    Attributes:
        seconds: The period.
        skipped: How often it was due and has not run.
    """

    def __init__(self, *args: Any, seconds: float, delay: float) -> None:
        super().__init__(*args)
        self.seconds = seconds
        self.skipped = 0
        self._begin = self._loop.time() + delay
        self._number = 0  # of the run that is next, or now
        self._at(self._begin)

    def __repr__(self) -> str:
        return f"<PeriodicJob {self.name!r} every {self.seconds:g} s: {self.runs} runs, {self.skipped} skipped>"

    def _run(self) -> None:
        due = max(self._number, self._passed())  # the timer may be late, but never by a period and unnoticed
        self.skipped += due - self._number
        self._number = due
        super()._run()

    def _next(self, task: Task[Any], error: BaseException | None) -> None:  # noqa: ARG002 - it goes on anyway
        following = max(self._number, self._passed()) + 1
        self.skipped += following - self._number - 1
        self._number = following
        self._at(self._begin + following * self.seconds)

    def _passed(self) -> int:
        """Return the number of the latest run that was due by now."""
        return int((self._loop.time() - self._begin) / self.seconds)


async def _awaited(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> Any:
    return await function(*args)
