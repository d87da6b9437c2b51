"""Waiting with a deadline: ours beside asyncio's, and what watches many calls with one timer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import penstock_limits
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_limits._timeouts import Watch
from penstock_limits.testing import run_in_virtual_time

WaitFor = Callable[[Awaitable[Any], float | None], Awaitable[Any]]


def cancelled_as_the_result_comes(wait_for: WaitFor) -> str:
    """Return what a task does that is cancelled in the very turn in which its result comes."""

    async def inner() -> str:
        return "done"

    async def main() -> str:
        work = asyncio.ensure_future(inner())

        async def caller() -> str:
            await wait_for(work, 100)
            await asyncio.sleep(0)
            return "went on"

        task = asyncio.ensure_future(caller())
        await asyncio.sleep(0)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            return "stopped"

    return asyncio.run(main())


def test_a_cancellation_is_not_swallowed_when_the_result_comes_at_the_same_moment() -> None:
    """The defect of asyncio's own on 3.11, where the task goes on that was told to stop."""
    theirs = cancelled_as_the_result_comes(asyncio.wait_for)

    assert theirs == ("went on" if sys.version_info < (3, 12) else "stopped")
    assert cancelled_as_the_result_comes(penstock_limits.wait_for) == "stopped"


def test_from_3_12_on_it_is_asyncios_own() -> None:
    """Which is right there."""
    assert (penstock_limits.wait_for is asyncio.wait_for) == (sys.version_info >= (3, 12))


def test_what_is_waited_for_sees_the_callers_context_and_time() -> None:
    """A result in time is returned, a late one is a TimeoutError, and the awaitable has ended by then."""

    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        seen: list[object] = [await penstock_limits.wait_for(asyncio.sleep(1, "in time"), 2)]
        task = loop.create_task(asyncio.sleep(100))
        with pytest.raises(TimeoutError):
            await penstock_limits.wait_for(task, 3)
        return [*seen, task.cancelled(), loop.time()]

    assert run_in_virtual_time(main) == ["in time", True, 4.0]


# --- many calls with one timer


class Calls:
    """Calls that are watched, in virtual time."""

    def __init__(self, seconds: float, *, ends: bool = True) -> None:
        self.watch = Watch(asyncio.get_running_loop(), seconds, lambda: ends)
        self.ended: dict[int, tuple[str, float]] = {}

    async def call(self, number: int, takes: float) -> None:
        loop = asyncio.get_running_loop()
        self.watch.start(number, asyncio.current_task())
        try:
            await asyncio.sleep(takes)
        except asyncio.CancelledError as error:
            self.ended[number] = "late" if self.watch.leave(number, error) else "cancelled", loop.time()
        else:
            assert not self.watch.leave(number)
            self.ended[number] = "in time", loop.time()


@settings(max_examples=100, deadline=None)
@given(calls=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30))
def test_every_call_is_ended_exactly_when_it_is_late(calls: list[tuple[int, int]]) -> None:
    """In any order of beginnings and ends; those that are in time are left alone."""

    async def main() -> dict[int, tuple[str, float]]:
        watched, loop = Calls(10.5), asyncio.get_running_loop()

        async def later(number: int, begins: int, takes: int) -> None:
            await asyncio.sleep(begins - loop.time())
            await watched.call(number, takes)

        await asyncio.gather(*(later(number, *call) for number, call in enumerate(calls)))
        assert not watched.watch.running
        assert not watched.watch._late
        return watched.ended

    ended = run_in_virtual_time(main)

    for number, (begins, takes) in enumerate(calls):
        expected = ("late", begins + 10.5) if takes > 10.5 else ("in time", float(begins + takes))
        assert ended[number] == (expected[0], pytest.approx(expected[1]))


def test_a_thousand_calls_have_one_timer() -> None:
    """It is set for the oldest that runs, and not set when none does."""

    async def main() -> None:
        watched, loop = Calls(10), asyncio.get_running_loop()
        tasks = [loop.create_task(watched.call(number, 5)) for number in range(1000)]
        await asyncio.sleep(1)
        timer = watched.watch.timer
        assert timer is not None
        await asyncio.gather(*tasks)
        assert watched.watch.timer is timer
        await asyncio.sleep(10)
        assert watched.watch.timer is None

    run_in_virtual_time(main)


def test_a_call_that_may_go_on_goes_on() -> None:
    """The mode is asked for when its time is over."""

    async def main() -> dict[int, tuple[str, float]]:
        watched = Calls(10, ends=False)
        await watched.call(0, 100)
        return watched.ended

    assert run_in_virtual_time(main) == {0: ("in time", 100.0)}
