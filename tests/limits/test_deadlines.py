"""Deadlines with one timer for all do what asyncio.timeout does."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from penstock_limits import CallTimeoutError
from penstock_limits._policies.deadlines import Deadlines
from penstock_limits.testing import run_in_virtual_time

Timeout = Callable[[int], AbstractAsyncContextManager[object]]


def ours() -> Timeout:
    deadlines = {seconds: Deadlines("policy", "total_timeout", float(seconds)) for seconds in range(1, 10)}

    @asynccontextmanager
    async def timeout(seconds: int) -> AsyncIterator[None]:
        deadline = deadlines[seconds].start()
        try:
            yield
        except BaseException as error:
            late = deadline.leave(error)
            if late is not None:
                raise late from error
            raise
        deadline.leave(None)

    return timeout


async def call(chance: random.Random, timeout: Timeout, depth: int = 0) -> str:
    """Work that nests deadlines, sleeps, and sometimes swallows what it is told."""
    try:
        async with timeout(chance.randint(1, 9)):
            await asyncio.sleep(chance.uniform(0, 4))  # no two things happen at once
            if depth < 3 and chance.random() < 0.6:
                await call(chance, timeout, depth + 1)
            await asyncio.sleep(chance.uniform(0, 4))  # no two things happen at once
    except TimeoutError:
        if chance.random() < 0.5:
            raise
        return f"late at depth {depth}"
    finally:
        if chance.random() < 0.2:
            await asyncio.sleep(chance.random())
    return "in time"


async def outcomes(seed: int, timeout: Timeout) -> list[object]:
    """How a crowd of such calls end, and when; some are cancelled from outside."""
    loop, chance = asyncio.get_running_loop(), random.Random(seed)

    async def timed(number: int) -> tuple[str, float, int]:
        task = asyncio.current_task()
        assert task is not None
        try:
            ended = await call(random.Random(seed * 100 + number), timeout)
        except (TimeoutError, asyncio.CancelledError) as error:
            ended = "late" if isinstance(error, TimeoutError) else "cancelled"
        return ended, loop.time(), task.cancelling()

    tasks = [asyncio.create_task(timed(number)) for number in range(10)]
    for task in chance.sample(tasks, 3):
        await asyncio.sleep(chance.uniform(0, 5))
        task.cancel()
    return list(await asyncio.gather(*tasks, return_exceptions=True))


@pytest.mark.parametrize("tens", range(5))
def test_a_crowd_ends_as_under_asyncio_timeout(tens: int) -> None:
    """Who is late, who is cancelled and when, whatever is nested, swallowed or cancelled from outside."""
    for seed in range(tens * 10, tens * 10 + 10):
        expected = run_in_virtual_time(lambda seed=seed: outcomes(seed, asyncio.timeout))  # type: ignore[misc]
        assert run_in_virtual_time(lambda seed=seed: outcomes(seed, ours())) == expected  # type: ignore[misc]


def test_the_error_says_whose_deadline_it_was() -> None:
    """And how long it is."""

    async def main() -> None:
        async with ours()(3):
            await asyncio.sleep(10)

    with pytest.raises(CallTimeoutError, match="ended a call after 3 s: that is its total_timeout"):
        run_in_virtual_time(main)


def test_what_has_ended_is_not_kept_behind_what_has_not() -> None:
    """However long the first call takes."""

    async def main() -> int:
        deadlines = Deadlines("policy", "total_timeout", 60.0)
        first = deadlines.start()
        for _ in range(10_000):
            deadlines.start().leave(None)
        watch = deadlines._watches.known(asyncio.get_running_loop())()
        kept = len(watch.running)
        first.leave(None)
        return kept

    assert run_in_virtual_time(main) == 1


def test_loops_that_are_closed_are_forgotten() -> None:
    """A policy outlives them, and keeps the latest at most."""
    deadlines = Deadlines("policy", "total_timeout", 60.0)
    loops = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        deadlines.start().leave(None)

    for _ in range(5):
        asyncio.run(main())
    gc.collect()

    assert [loop() is None for loop in loops[:4]] == [True] * 4


def test_one_timer_serves_all() -> None:
    """Ten thousand calls make no ten thousand timers."""

    async def main() -> int:
        loop, made = asyncio.get_running_loop(), 0
        call_at = loop.call_at

        def counting(*args: object, **options: object) -> asyncio.TimerHandle:
            nonlocal made
            made += 1
            return call_at(*args, **options)  # type: ignore[arg-type]

        loop.call_at = counting  # type: ignore[method-assign, assignment]
        deadlines = Deadlines("policy", "total_timeout", 60.0)
        for _ in range(10_000):
            deadlines.start().leave(None)
        return made

    assert run_in_virtual_time(main) == 1


def test_a_deadline_needs_a_task() -> None:
    """As asyncio.timeout does: what is late is cancelled."""
    loop, told = asyncio.new_event_loop(), []
    loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))
    loop.call_soon(Deadlines("policy", "total_timeout", 60.0).start)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    assert told == ["a call with a deadline needs a task that can be cancelled; make it in one"]
