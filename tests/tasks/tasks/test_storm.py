"""Random storms on a manager: cancellations, errors, timeouts, scopes, and the shutdown in the middle.

What must hold: every task has ended; every error was raised to whoever awaits, or reported exactly once with the line
that made the task; nothing is left in the manager, nor in the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock_limits import Limiter
from penstock_limits.testing import run_in_virtual_time
from penstock_tasks import TaskManager
from penstock_tasks._tasks.jobs import Jobs


class LostError(Exception):
    """An error of the storm; each task's has a number of its own."""


class Storm:
    """One manager, one loop, and everything that can happen to them."""

    def __init__(self, seed: int, size: int, drain_timeout: float) -> None:
        self.random = random.Random(seed)
        self.size = size
        self.drain_timeout = drain_timeout
        self.raised: Counter[int] = Counter()  # by tasks
        self.caught: Counter[int] = Counter()  # by those who awaited them
        self.reported: Counter[int] = Counter()
        self.begun = self.ended = self.made = self.refused = self.numbers = 0
        self.limiter = Limiter("storm", max_running=50)
        self.handles: list[asyncio.Task[Any]] = []
        self.tasks = TaskManager("storm", drain_timeout=drain_timeout, cancel_timeout=10, signals=())

    # --- what runs

    async def work(self, depth: int) -> None:
        self.begun += 1
        try:
            await self.random.choice([self.pause, self.pause, self.fail, self.late, self.parent, self.group])(depth)
        finally:
            self.ended += 1

    async def pause(self, depth: int) -> None:
        await asyncio.sleep(self.random.choice([0, 0, 0.001, 0.01, 1.0]))

    async def fail(self, depth: int) -> None:
        await self.pause(depth)
        self.numbers += 1
        self.raised[self.numbers] += 1
        raise LostError(self.numbers)

    async def late(self, depth: int) -> None:
        with contextlib.suppress(TimeoutError):
            await self.tasks.timeout_wrapper(self.pause(depth), self.random.choice([0, 0.0005, 0.5]))

    async def parent(self, depth: int) -> None:
        """Awaits one child, and leaves another to its fate."""
        if depth > 2:
            return
        self.start(depth + 1)
        child = self.start(depth + 1)
        try:
            if child is not None:
                await child
        except LostError as error:
            self.caught[error.args[0]] += 1
        except asyncio.CancelledError:
            # asyncio gives an awaiter that is cancelled in the same turn the cancellation in place of the error.
            if child is not None and child.done() and not child.cancelled() and child.exception() is not None:
                self.caught[child.exception().args[0]] += 1
            raise

    async def group(self, depth: int) -> None:
        """A scope of which some fail."""
        if depth > 2:
            return
        try:
            async with self.tasks.scope("group") as scope:
                for _ in range(self.random.randint(0, 3)):
                    scope.start_soon(self.work, depth + 1)
        except* LostError as group:
            self.catch(group)
        except* RuntimeError:  # the manager shuts down, or the scope
            self.refused += 1

    def catch(self, group: BaseExceptionGroup) -> None:
        for error in group.exceptions:
            if isinstance(error, BaseExceptionGroup):
                self.catch(error)
            else:
                self.caught[error.args[0]] += 1

    # --- what happens

    def start(self, depth: int = 0) -> asyncio.Task[Any] | None:
        limit = self.limiter if not depth and self.random.random() < 0.1 else None
        try:
            task = self.tasks.start_soon(self.work, depth, limit=limit)
        except RuntimeError:
            self.refused += 1
            return None
        self.made += 1
        if self.random.random() < 0.05:
            self.handles.append(task)
        return task

    def note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        assert isinstance(error, LostError), context
        assert any("was made at" in each for each in error.__notes__)
        self.reported[error.args[0]] += 1

    async def run(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self.note)
        shutdown = self.random.randrange(self.size) if self.random.random() < 0.5 else self.size
        ending = None
        async with self.tasks:
            for number in range(self.size):
                self.start()
                if self.random.random() < 0.1 and self.handles:
                    self.random.choice(self.handles).cancel()
                if self.random.random() < 0.1:
                    await asyncio.sleep(self.random.choice([0, 0, 0.001]))
                if number == shutdown:
                    ending = asyncio.create_task(self.tasks.cleanup_tasks())
                    await asyncio.sleep(0)
        if ending is not None:
            await ending
        await self.check()

    async def check(self) -> None:
        counted = self.tasks.statistics()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert (counted.running, counted.left_behind, len(self.tasks.tree())) == (0, 0, 0)
        assert counted.started == counted.succeeded + counted.failed + counted.cancelled >= self.made
        assert self.begun == self.ended
        assert self.limiter.statistics().running == 0
        for handle in self.handles:  # whoever still holds a task can still ask
            error = None if handle.cancelled() else handle.exception()
            if isinstance(error, LostError) and self.nobody_knows(error):
                self.caught[error.args[0]] += 1
        self.handles.clear()
        error = None
        gc.collect()
        await asyncio.sleep(0)
        known = self.caught + self.reported
        assert set(known) == set(self.raised), "an error was lost"
        assert all(count == 1 for count in self.reported.values()), "an error was reported twice"
        assert not set(self.caught) & set(self.reported), "an error was raised, and reported as well"

    def nobody_knows(self, error: LostError) -> bool:
        return not self.caught[error.args[0]] and not self.reported[error.args[0]]


def storm(seed: int, size: int, drain_timeout: float) -> Storm:
    made = Storm(seed, size, drain_timeout)
    run_in_virtual_time(made.run)
    return made


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), size=st.integers(1, 200), drain_timeout=st.sampled_from([0, 0.0005, 0.01, 60]))
def test_nothing_is_left_and_nothing_lost(seed: int, size: int, drain_timeout: float) -> None:
    """Whatever happens, in any order."""
    storm(seed, size, drain_timeout)


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), drain_timeout=st.sampled_from([0, 0.01, 60]))
def test_nothing_is_left_of_fifty_thousand(seed: int, drain_timeout: float) -> None:
    """And more, as many start others."""
    storm(seed, 50_000, drain_timeout)


def test_a_storm_is_worth_its_time() -> None:
    """Everything that can happen does: errors raised, reported and in flight at the shutdown, cancellations."""
    storms = [storm(seed, 200, 0.01) for seed in range(20)]
    counted = [each.tasks.statistics() for each in storms]

    assert all(sum(getattr(each, name) for each in counted) > 50 for name in ("succeeded", "failed", "cancelled"))
    assert sum(each.timed_out for each in counted) > 50
    assert all(sum(sum(getattr(each, name).values()) for each in storms) > 50 for name in ("caught", "reported"))
    assert sum(each.refused for each in storms) > 10


def test_the_storm_notices_a_manager_that_loses_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has a look at each."""

    def swallow(self: Jobs, task: asyncio.Task[Any], job: object, error: BaseException) -> None:
        task.exception()

    monkeypatch.setattr(Jobs, "_tell", swallow)

    with pytest.raises(AssertionError, match="an error was lost"):
        storm(1, 200, 60)


def test_the_storm_notices_a_manager_that_leaves_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that forgets half of them."""
    sweep = Jobs.sweep

    def forget(self: Jobs) -> None:
        sweep(self)
        for task in [*self.running][::2]:
            self.let_go(task)

    monkeypatch.setattr(Jobs, "sweep", forget)

    with pytest.raises(AssertionError):
        storm(1, 200, 0)
