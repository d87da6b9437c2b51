"""A request and its tokens taken from a rate that has room, then settled: what every call of a provider pays."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import throttled.asyncio as throttled
from aiolimiter import AsyncLimiter
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from penstock_limits import Rate, RateLimiter
from pyrate_limiter import Duration, InMemoryBucket
from pyrate_limiter import Limiter as PyrateLimiter
from pyrate_limiter import Rate as PyrateRate

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch

MANY = 10**9  # a minute
ESTIMATE, ACTUAL = 1_200, 900


async def aiolimiter_four_times(size: int, stopwatch: Stopwatch) -> None:
    """The measure: one acquire of one dimension, four times."""
    limiter = AsyncLimiter(MANY, 60)
    with stopwatch:
        for _ in repeat(None, 4 * size):
            await limiter.acquire()


async def windows(size: int, stopwatch: Stopwatch) -> None:
    await reserve_and_settle(RateLimiter(requests=Rate(MANY), tokens=Rate(MANY)), size, stopwatch)


async def buckets(size: int, stopwatch: Stopwatch) -> None:
    """Buckets that are full again before the next call, as they are where there is room."""
    tokens = MANY * ESTIMATE
    rate = RateLimiter(requests=Rate(MANY, burst=MANY), tokens=Rate(tokens, burst=tokens))
    await reserve_and_settle(rate, size, stopwatch)


async def emptied_buckets(size: int, stopwatch: Stopwatch) -> None:
    """A bucket that is emptied remembers each admission, to know what is worth giving back."""
    rate = RateLimiter(requests=Rate(MANY, burst=MANY), tokens=Rate(MANY, burst=MANY))
    await reserve_and_settle(rate, size, stopwatch)


async def reserve_and_settle(rate: RateLimiter, size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        for _ in repeat(None, size):
            reservation = await rate.reserve(tokens=ESTIMATE)
            reservation.settle(tokens=ACTUAL)


async def aiolimiter_twice(size: int, stopwatch: Stopwatch) -> None:
    """Two dimensions, one after the other; settling is not possible."""
    requests, tokens = AsyncLimiter(MANY, 60), AsyncLimiter(MANY, 60)
    with stopwatch:
        for _ in repeat(None, size):
            await requests.acquire()
            await tokens.acquire(ESTIMATE)


async def limits_twice(size: int, stopwatch: Stopwatch) -> None:
    """Likewise, in a fixed window, which is the cheapest it has: a moving window has an entry for each token."""
    limiter, rate = FixedWindowRateLimiter(MemoryStorage()), RateLimitItemPerMinute(MANY)
    with stopwatch:
        for _ in repeat(None, size):
            await limiter.hit(rate, "requests")
            await limiter.hit(rate, "tokens", cost=ESTIMATE)


async def throttled_twice(size: int, stopwatch: Stopwatch) -> None:
    """Likewise, with GCRA."""
    make: Callable[..., Any] = throttled.Throttled
    quota = throttled.per_min(MANY, burst=MANY)
    requests, tokens = (make(key=key, using="gcra", quota=quota) for key in ("requests", "tokens"))
    with stopwatch:
        for _ in repeat(None, size):
            await requests.limit()
            await tokens.limit(cost=ESTIMATE)


async def pyrate_once(size: int, stopwatch: Stopwatch) -> None:
    """One request: a weight of a thousand is a thousand entries."""
    limiter = PyrateLimiter(InMemoryBucket([PyrateRate(MANY, Duration.MINUTE)]))
    with stopwatch:
        for _ in repeat(None, size):
            await limiter.try_acquire_async("requests")


BAR = Bar(
    title="two-dimensional reserve and settle",
    size=100_000,
    quick_size=20_000,
    rounds=7,
    contenders=(
        Contender("aiolimiter's single acquire, 4 times", aiolimiter_four_times),
        Contender("RateLimiter, strict windows", windows, ratio_at_most=1.0),
        Contender("RateLimiter, GCRA", buckets, ratio_at_most=1.0),
        Contender("RateLimiter, GCRA, emptied", emptied_buckets),
        Contender("aiolimiter, twice, not settled", aiolimiter_twice),
        Contender("limits, twice, not settled", limits_twice),
        Contender("throttled-py, twice, not settled", throttled_twice),
        Contender("pyrate-limiter, one request", pyrate_once),
    ),
)
