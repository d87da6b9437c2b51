"""Read 500 limiters and 50 pools for a scrape: the time that an event loop would wait, were it not done in a thread."""

from __future__ import annotations

import dataclasses
from itertools import repeat

from penstock_limits import Limiter, Mode, enter_resource
from penstock_monitoring import PrometheusCollector
from penstock_pooling import PoolStatistics
from prometheus_client import CollectorRegistry, Gauge

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch

LIMITERS, POOLS = 500, 50
NUMBERS = len(dataclasses.fields(PoolStatistics)) - 1


class Pool:
    """What a pool tells, without connections."""

    kind = "pool"

    def __init__(self, name: str) -> None:
        self.name = name
        enter_resource(self)

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(Mode.ENFORCE, *(1,) * NUMBERS)


def resources() -> list[object]:
    """Return limiters and pools, with permits out."""
    limiters = [Limiter(f"limiter-{number}", max_running=20) for number in range(LIMITERS)]
    for limiter in limiters:
        for _ in range(10):
            limiter.acquire_nowait()
    return [*limiters, *(Pool(f"pool-{number}") for number in range(POOLS))]


async def collector(size: int, stopwatch: Stopwatch) -> None:
    kept = resources()
    registry = CollectorRegistry()
    PrometheusCollector().register(registry)
    with stopwatch:
        for _ in repeat(None, size):
            list(registry.collect())
    assert len(kept) == LIMITERS + POOLS


async def text(size: int, stopwatch: Stopwatch) -> None:
    kept = resources()
    collector = PrometheusCollector()
    with stopwatch:
        for _ in repeat(None, size):
            collector.render()
    assert len(kept) == LIMITERS + POOLS


async def gauges(size: int, stopwatch: Stopwatch) -> None:
    kept = resources()
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    PrometheusCollector().register(ours)
    for number, family in enumerate(ours.collect()):
        gauge = Gauge(f"gauge_{number}", family.documentation, ["name", "label"], registry=theirs)
        for each in range(len(family.samples)):
            gauge.labels(f"resource-{each}", "").set(each)
    with stopwatch:
        for _ in repeat(None, size):
            list(theirs.collect())
    assert len(kept) == LIMITERS + POOLS


BAR = Bar(
    title="scrapes of 500 limiters and 50 pools",
    size=30,
    quick_size=10,
    rounds=5,
    contenders=(
        Contender("Gauges of prometheus_client, as many", gauges),
        Contender("PrometheusCollector", collector, microseconds_at_most=20_000),
        Contender("PrometheusCollector, written as text", text, microseconds_at_most=20_000),
    ),
)
