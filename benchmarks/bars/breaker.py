"""A call that goes well through a breaker that is closed: what every call pays."""

from __future__ import annotations

from datetime import timedelta
from itertools import repeat

import aiobreaker  # type: ignore[import-untyped]
import hyx.circuitbreaker
from penstock_limits import CircuitBreaker
from purgatory import AsyncCircuitBreakerFactory

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch


async def call() -> None:
    """What is called."""


async def purgatory(size: int, stopwatch: Stopwatch) -> None:
    """As its documentation shows."""
    breakers = AsyncCircuitBreakerFactory()
    with stopwatch:
        for _ in repeat(None, size):
            async with await breakers.get_breaker("service"):
                await call()


async def purgatory_kept(size: int, stopwatch: Stopwatch) -> None:
    """A breaker asked for once."""
    breaker = await AsyncCircuitBreakerFactory().get_breaker("service")
    with stopwatch:
        for _ in repeat(None, size):
            async with breaker:
                await call()


async def ours(size: int, stopwatch: Stopwatch) -> None:
    await calls(CircuitBreaker("service"), size, stopwatch)


async def ours_slow_calls(size: int, stopwatch: Stopwatch) -> None:
    """It looks at the clock twice."""
    await calls(CircuitBreaker("service", slow_call_seconds=10), size, stopwatch)


async def ours_time_window(size: int, stopwatch: Stopwatch) -> None:
    await calls(CircuitBreaker("service", window_seconds=60), size, stopwatch)


async def calls(breaker: CircuitBreaker, size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        for _ in repeat(None, size):
            async with breaker.attempt():
                await call()


async def hyx_breaker(size: int, stopwatch: Stopwatch) -> None:
    breaker = hyx.circuitbreaker.consecutive_breaker()
    with stopwatch:
        for _ in repeat(None, size):
            async with breaker:
                await call()


async def aiobreaker_breaker(size: int, stopwatch: Stopwatch) -> None:
    breaker = aiobreaker.CircuitBreaker(timeout_duration=timedelta(seconds=30))
    with stopwatch:
        for _ in repeat(None, size):
            await breaker.call_async(call)


BAR = Bar(
    title="call through a closed breaker",
    size=200_000,
    quick_size=200_000,
    rounds=7,
    contenders=(
        Contender("purgatory", purgatory),
        Contender("CircuitBreaker", ours, ratio_at_most=0.5),
        Contender("CircuitBreaker, slow calls", ours_slow_calls),
        Contender("CircuitBreaker, time window", ours_time_window),
        Contender("purgatory, breaker kept", purgatory_kept),
        Contender("hyx", hyx_breaker),
        Contender("aiobreaker", aiobreaker_breaker),
    ),
)
