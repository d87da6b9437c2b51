"""How the tasks of a manager come to their end: waited for, cancelled, and let go when nothing helps."""

from __future__ import annotations

import asyncio
import logging
from asyncio import Task
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from penstock_limits import emit
from penstock_limits.introspection import CallSite, awaited_frames

from penstock_tasks._shown import raised_at, shown_name
from penstock_tasks._tasks.jobs import Jobs
from penstock_tasks._tasks.waits import stands_at, waits_on

__all__ = ["Ending", "JobEnd", "Outcome", "ShutdownReport", "leave_behind"]

logger = logging.getLogger("penstock.tasks")

Outcome = Literal["left behind", "failed", "cancelled", "finished"]

_WORST_FIRST: Final[tuple[Outcome, ...]] = get_args(Outcome)
_MOST_LINES: Final = 100


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How one task has ended that was running when its manager was shut down.

    Attributes:
        name: The task's name; the text, which the log has, hides one with spaces in it.
        outcome: `finished` with a result, `failed` with an error, `cancelled`, or `left behind`: it did not stop.
        seconds: How long that took from the beginning of the shutdown.
        where: The line at which it stood when it was cancelled, at which it stands if it was left behind, or at which
            its error was raised; None if it has finished.
    """

    name: str
    outcome: Outcome
    seconds: float
    where: CallSite | None

    def __str__(self) -> str:
        where = f" at {self.where}" if self.where else ""
        return f"{shown_name(self.name)}: {self.outcome} after {self.seconds:.3g} s{where}"


@dataclass(frozen=True, slots=True)
class ShutdownReport:
    """How a manager was shut down.

    Attributes:
        name: The manager's name.
        seconds: How long it took.
        ends: How each task has ended that was running, those first that would not stop.
    """

    name: str
    seconds: float
    ends: tuple[JobEnd, ...]

    @property
    def left_behind(self) -> tuple[JobEnd, ...]:
        """What did not stop."""
        return tuple(each for each in self.ends if each.outcome == "left behind")

    def counts(self) -> dict[str, int]:
        """Return how many tasks have ended in which way; ways in which none has ended are not named."""
        counted = Counter(each.outcome for each in self.ends)
        return {outcome: counted[outcome] for outcome in _WORST_FIRST if counted[outcome]}

    def __str__(self) -> str:
        told = ", ".join(f"{count} {outcome}" for outcome, count in self.counts().items()) or "nothing was running"
        lines = [f"{self.name} was shut down in {self.seconds:.3g} s: {told}"]
        lines += [f"  {end}" for end in self.ends[:_MOST_LINES]]
        if len(self.ends) > _MOST_LINES:
            lines.append(f"  and {len(self.ends) - _MOST_LINES} more")
        return "\n".join(lines)


class Ending:
    """Ends the tasks of a manager. One coroutine runs it; whoever waits may ask it to hurry.

    Args:
        name: The manager's name.
        jobs: Its tasks.
        lasting: Returns those that never end by themselves: they are cancelled after the others have been waited for.
    """

    def __init__(self, name: str, jobs: Jobs, lasting: Callable[[], set[Task[Any]]]) -> None:
        self._name = name
        self._jobs = jobs
        self._lasting = lasting
        self._spared: set[Task[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._ended: dict[Task[Any], float | None] = {}  # every task that was seen; None as long as it runs
        self._stood: dict[Task[Any], CallSite | None] = {}
        self._wakes: asyncio.Future[None] | None = None
        self._without: set[Task[Any]] = set()
        self._hurries = self._drains = False
        self._left = 0

    def spare(self, task: Task[Any]) -> None:
        """Neither wait for a task nor cancel it, as it waits for the end itself."""
        self._spared.add(task)
        self._without = {*self._without, task}
        if self._ended.pop(task, 0.0) is None:  # it was waited for
            task.remove_done_callback(self._note)
        self.look_again()

    def hurry(self) -> None:
        """Wait no longer for tasks to end by themselves."""
        self._hurries = True
        self.look_again()

    async def drain(self, seconds: float) -> bool:
        """Wait until all have ended, but for the lasting ones; tell whether they have, or nobody wanted to wait."""
        self._without = self._lasting() | self._spared
        self._drains = True
        await self._until_ended(seconds)
        self._drains = False
        return self._hurries or not self._pending()

    async def cancel(self, seconds: float) -> ShutdownReport:
        """Cancel what is left, wait until it has ended, let go of what has not; return how all have ended."""
        self._without = set(self._spared)
        pending = self._pending()
        for task in pending:
            self._stood[task] = stands_at(task)
        for task in pending:
            task.cancel()
        await self._until_ended(seconds)
        for task in [each for each in self._pending() if not each.done()]:
            self._stood[task] = stands_at(task)
            leave_behind(self._name, self._jobs, task)
        return self._report()

    async def _until_ended(self, seconds: float) -> None:
        deadline = self._loop.time() + seconds
        while self._pending() and not (self._drains and self._hurries) and self._loop.time() < deadline:
            self._wakes = self._loop.create_future()
            try:
                await asyncio.wait([self._wakes], timeout=deadline - self._loop.time())
            except asyncio.CancelledError:  # who cancels every task of the loop means this one, too: be quick
                self._hurries = True

    def _pending(self) -> list[Task[Any]]:
        """Return what still runs and is to end; note each when it does."""
        self._jobs.sweep()
        pending = [task for task in list(self._jobs.running) if task not in self._without]
        for task in pending:
            if task not in self._ended:
                self._ended[task] = None
                task.add_done_callback(self._note)
        self._left = sum(not task.done() for task in pending)
        return pending

    def _note(self, task: Task[Any]) -> None:
        if task not in self._ended:  # all is over, and it was done before it could say so: keep nothing of it
            return
        self._ended[task] = self._loop.time() - self._begun
        if task not in self._without:
            self._left -= 1
        if self._left <= 0:
            self.look_again()

    def look_again(self) -> None:
        """Look who is left, as somebody may have gone."""
        if self._wakes is not None and not self._wakes.done():
            self._wakes.set_result(None)

    def _report(self) -> ShutdownReport:
        now = self._loop.time() - self._begun
        ends = [self._end(task, now if ended is None else ended) for task, ended in self._ended.items()]
        ends.sort(key=lambda end: _WORST_FIRST.index(end.outcome))
        for task in self._ended:
            task.remove_done_callback(self._note)
        self._ended.clear()
        self._stood.clear()
        return ShutdownReport(self._name, now, tuple(ends))

    def _end(self, task: Task[Any], seconds: float) -> JobEnd:
        name = task.get_name()
        if not task.done():
            return JobEnd(name, "left behind", seconds, self._stood.get(task))
        if task.cancelled():
            return JobEnd(name, "cancelled", seconds, self._stood.get(task))
        error = getattr(task, "_exception", None)
        return JobEnd(name, "failed" if error else "finished", seconds, raised_at(error))


def leave_behind(owner: str, jobs: Jobs | None, task: Task[Any]) -> None:
    """Let go of a task that does not stop, and tell everybody; nobody waits for it any more, `asyncio.run` neither."""
    frames = awaited_frames(task)
    stack = [f"{CallSite(frame.f_code, frame.f_lineno)}" for frame in frames]
    job = None if jobs is None else jobs.let_go(task)
    created = "" if job is None else str(job.created)
    waiting = "" if (waits_for := waits_on(task, shown_name)) is None else f", and waits for {waits_for}"
    name = shown_name(task.get_name())
    emit("task.left_behind", owner, task=name, where=str(stands_at(task)), created=created)
    logger.error(
        "task %r of %r was cancelled, does not stop and is left behind%s. It was made at %s; its stack:\n  %s",
        *(name, owner, waiting, created or "a line that nobody knows", "\n  ".join(stack)),
    )
    task._log_destroy_pending = False  # type: ignore[attr-defined] # it has been told
    asyncio.tasks._unregister_task(task)
