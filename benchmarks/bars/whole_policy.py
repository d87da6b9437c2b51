"""A call under a whole policy: deadlines, retry, breaker, limiter, rate."""

from __future__ import annotations

from itertools import repeat

from penstock_limits import CircuitBreaker, Limiter, Policy, Rate, RateLimiter, retry

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch


async def nothing() -> None:
    pass


def whole_policy() -> Policy:
    return Policy(
        "bench",
        total_timeout=60.0,
        retry=retry("bench", total_timeout=None),  # the policy's own bounds the whole
        breaker=CircuitBreaker("bench"),
        limiter=Limiter("bench", max_running=10),
        rate=RateLimiter("bench", requests=Rate(1e9, burst=1e9)),
        attempt_timeout=20.0,
    )


async def called(size: int, stopwatch: Stopwatch) -> None:
    policy = whole_policy()
    with stopwatch:
        for _ in repeat(None, size):
            await policy.call(nothing)


async def in_a_slot(size: int, stopwatch: Stopwatch) -> None:
    policy = whole_policy()
    with stopwatch:
        for _ in repeat(None, size):
            async with policy.slot():
                await nothing()


async def bare(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        for _ in repeat(None, size):
            await nothing()


BAR = Bar(
    title="calls under a whole policy",
    size=50_000,
    quick_size=50_000,
    rounds=5,
    contenders=(
        Contender("no policy", bare),
        Contender("Policy.call", called, microseconds_at_most=8),
        Contender("Policy.slot", in_a_slot, microseconds_at_most=8),
    ),
)
