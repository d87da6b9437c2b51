"""How long callers waited: what a limiter and a rate say, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from penstock_limits import AcquireTimeoutError, Limiter, Rate, RateLimiter, gather
from penstock_limits.testing import ManualClock, run_in_virtual_time


async def hold(limiter: Limiter, seconds: float) -> None:
    async with limiter:
        await asyncio.sleep(seconds)


def limiter_in(run: Callable[[Limiter], Awaitable[object]], **settings: object) -> Limiter:
    """Run a coroutine with a limiter of one permit in virtual time; return the limiter."""

    async def main() -> Limiter:
        limiter = Limiter("one", max_running=1, clock=asyncio.get_running_loop().time, **settings)  # type: ignore[arg-type]
        await run(limiter)
        return limiter

    return run_in_virtual_time(main)


def test_the_waits_of_all_callers_are_added_up() -> None:
    """Three that take two seconds each wait 0, 2 and 4 seconds."""
    limiter = limiter_in(lambda limiter: asyncio.gather(*(hold(limiter, 2) for _ in range(3))))

    seen = limiter.statistics()
    assert (seen.wait_seconds, seen.longest_wait, seen.saturated_seconds) == pytest.approx((6, 4, 4))


def test_who_waits_still_has_waited() -> None:
    """A queue in which nothing moves is seen."""
    clock = ManualClock()
    limiter = Limiter("stuck", max_running=0, clock=clock)

    async def main() -> None:
        waiting = asyncio.ensure_future(limiter.acquire())
        await asyncio.sleep(0)
        clock.advance(7)
        seen = limiter.statistics()
        waiting.cancel()

        assert (seen.wait_seconds, seen.saturated_seconds, seen.longest_wait) == (7, 7, 0)
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        assert limiter.statistics().longest_wait == 7

    asyncio.run(main())


def test_who_gave_up_has_waited_too() -> None:
    """Its patience counts."""

    async def run(limiter: Limiter) -> None:
        async with limiter:
            with pytest.raises(AcquireTimeoutError):
                await limiter.acquire(timeout=3)

    seen = limiter_in(run).statistics()

    assert (seen.wait_seconds, seen.longest_wait) == pytest.approx((3, 3))


def test_priorities_and_weights_change_nothing_in_how_waits_are_counted() -> None:
    """The queue that knows priorities tells when somebody came, too."""

    async def run(limiter: Limiter) -> None:
        async with limiter:
            late = [asyncio.ensure_future(limiter.acquire(priority=each, weight=1 + each)) for each in (0, 1)]
            await asyncio.sleep(5)
        limiter.resize(3)
        await asyncio.gather(*late)

    seen = limiter_in(run).statistics()

    assert (seen.wait_seconds, seen.longest_wait, seen.saturated_seconds) == pytest.approx((10, 5, 5))


def test_a_fan_out_waits_once_for_all_its_work() -> None:
    """From when it queues until the last of its work has started; its work is counted in `waited`."""
    limiter = limiter_in(lambda limiter: gather(*(asyncio.sleep(1) for _ in range(5)), limit=limiter))

    seen = limiter.statistics()
    assert (seen.waited, seen.wait_seconds, seen.saturated_seconds) == pytest.approx((4, 4, 4))


def test_nobody_waits_where_there_is_room() -> None:
    """The way in without waiting counts no time."""
    limiter = limiter_in(lambda limiter: hold(limiter, 5))

    seen = limiter.statistics()
    assert (seen.wait_seconds, seen.longest_wait, seen.saturated_seconds) == (0, 0, 0)


def test_a_rate_adds_up_waits_too() -> None:
    """One request a second: the second caller waits one second, the third two."""

    async def main() -> RateLimiter:
        clock = asyncio.get_running_loop().time
        rate = RateLimiter("one", requests=Rate(1, per=1), clock=clock)

        async def ask() -> None:
            async with rate.reserve():
                pass

        await asyncio.gather(*(ask() for _ in range(3)))
        return rate

    seen = run_in_virtual_time(main).statistics()

    assert (seen.wait_seconds, seen.longest_wait, seen.saturated_seconds) == pytest.approx((3, 2, 2), abs=0.01)


def test_a_rate_counts_who_waits_still() -> None:
    """As with a limiter; and what gave up has waited."""

    async def main() -> None:
        rate = RateLimiter("one", requests=Rate(1, per=100), clock=asyncio.get_running_loop().time)
        async with rate.reserve():
            pass
        waiting = asyncio.ensure_future(rate.reserve().__aenter__())
        await asyncio.sleep(5)
        assert rate.statistics().wait_seconds == pytest.approx(5)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(5)

        seen = rate.statistics()
        assert (seen.wait_seconds, seen.longest_wait, seen.saturated_seconds) == pytest.approx((5, 5, 5))

    run_in_virtual_time(main)
