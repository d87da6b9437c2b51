"""10,000 operations a second, and somebody looks at the page: what it costs them, and how long the page waits."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from penstock_limits import Limiter
from penstock_monitoring import ConcurrencyMonitor

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch
from benchmarks.bars.scrape import resources

RATE = 10_000  # operations a second
AT_ONCE = 100  # operations, after which others run
POLL = 1.0  # seconds, as the page's


async def load(kept: list[object], size: int) -> None:
    """Do so many operations, at the rate, or as fast as can be."""
    limiters = [each for each in kept if isinstance(each, Limiter)]
    began, done = time.monotonic(), 0
    while done < size:
        for number in range(done, done + AT_ONCE):
            async with limiters[number % len(limiters)]:
                pass
        done += AT_ONCE
        await asyncio.sleep(max(0.0, began + done / RATE - time.monotonic()))


@contextmanager
def viewer(url: str) -> Iterator[list[float]]:
    """Ask for what the page asks for, as often, until left; yield how long each answer took."""
    waits: list[float] = []
    ends = threading.Event()

    def look() -> None:
        since = ""
        while not ends.is_set():
            began = time.monotonic()
            with urllib.request.urlopen(f"{url}snapshot.json{since}", timeout=60) as answer:
                answer.read()
            waits.append(time.monotonic() - began)
            since = f"?since={time.time() - POLL}"
            ends.wait(max(0.0, POLL - waits[-1]))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield waits
    finally:
        ends.set()
        thread.join()


async def unseen(size: int, stopwatch: Stopwatch) -> None:
    kept = resources()
    async with ConcurrencyMonitor():
        with stopwatch:
            await load(kept, size)


async def looked_at(size: int, stopwatch: Stopwatch) -> list[float]:
    """Work while somebody looks; return how long each answer took."""
    kept = resources()
    async with ConcurrencyMonitor() as monitor:
        with viewer(monitor.serve().url) as waits, stopwatch:
            await load(kept, size)
    return waits


async def seen(size: int, stopwatch: Stopwatch) -> None:
    await looked_at(size, stopwatch)


async def waited(size: int, stopwatch: Stopwatch) -> None:
    stopwatch.slowest(await looked_at(size, stopwatch), size)


BAR = Bar(
    title="operations, 10,000 a second",
    size=100_000,
    quick_size=20_000,
    rounds=3,
    contenders=(
        Contender("nobody looks", unseen),
        Contender("a page looks", seen),
        Contender("a page looks: its slowest answer", waited, microseconds_at_most=POLL * 1e6),
    ),
)
