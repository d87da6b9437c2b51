"""The same load with and without a monitor: what watching costs."""

from __future__ import annotations

import asyncio
import contextlib

from penstock_limits import CircuitBreaker, Limiter, Policy, Rate, RateLimiter, retry
from penstock_monitoring import ConcurrencyMonitor, PrometheusCollector
from prometheus_client import CollectorRegistry, generate_latest

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch

LIMITS = 20  # limiters and policies, as an application has
SCRAPED_EVERY = 15.0  # seconds, as Prometheus does


def policies() -> list[Policy]:
    """Return policies with all that belongs to them."""
    return [
        Policy(
            f"policy-{number}",
            total_timeout=60.0,
            retry=retry(f"policy-{number}", total_timeout=None),
            breaker=CircuitBreaker(f"policy-{number}"),
            limiter=Limiter(f"policy-{number}", max_running=10),
            rate=RateLimiter(f"policy-{number}", requests=Rate(1e9, burst=1e9)),
        )
        for number in range(LIMITS)
    ]


async def call() -> None:
    """Do what a call does, that waits for its answer and then reads it."""
    await asyncio.sleep(0)
    sum(range(200))


async def load(size: int) -> None:
    """Make so many calls, twice as many at once as the limits let in."""
    kept = policies()

    async def caller(number: int, calls: int) -> None:
        for each in range(calls):
            await kept[(number + each) % LIMITS].call(call)

    callers = 2 * 10 * LIMITS
    await asyncio.gather(*(caller(number, max(1, size // callers)) for number in range(callers)))


async def scrape(registry: CollectorRegistry) -> None:
    while True:
        await asyncio.to_thread(generate_latest, registry)
        await asyncio.sleep(SCRAPED_EVERY)


async def alone(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        await load(size)


async def monitored(size: int, stopwatch: Stopwatch) -> None:
    registry = CollectorRegistry()
    async with ConcurrencyMonitor() as monitor:
        PrometheusCollector(monitor).register(registry)
        scraping = asyncio.ensure_future(scrape(registry))
        with stopwatch:
            await load(size)
        scraping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await scraping


BAR = Bar(
    title="calls under 20 policies",
    size=600_000,  # as long as from one scrape to the next
    quick_size=40_000,
    rounds=3,
    contenders=(
        Contender("nobody watches", alone),
        Contender("ConcurrencyMonitor, and Prometheus", monitored, ratio_at_most=1.03),
    ),
)
