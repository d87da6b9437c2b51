"""What the tests of limits share: counting who is inside, and waiting until nothing moves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gauge:
    """Counts who is inside, the most that ever were, and all that came; from any thread."""

    def __init__(self) -> None:
        self.now = self.peak = self.total = 0
        self._lock = threading.Lock()

    @contextmanager
    def inside(self) -> Iterator[None]:
        with self._lock:
            self.now += 1
            self.total += 1
            self.peak = max(self.peak, self.now)
        try:
            yield
        finally:
            with self._lock:
                self.now -= 1

    async def visit(self, turns: int = 2) -> None:
        """Stay inside for some turns of the loop."""
        with self.inside():
            for _ in range(turns):
                await asyncio.sleep(0)


class Doors:
    """Work that stays inside until the test lets it out."""

    def __init__(self) -> None:
        self.gauge = Gauge()
        self.started: list[object] = []
        self.open = asyncio.Event()

    async def enter(self, item: object = None) -> object:
        self.started.append(item)
        with self.gauge.inside():
            await self.open.wait()
        return item


async def settled() -> None:
    """Wait until every task of the loop waits for something that only the test can give."""
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    turns = 1000 if ready is None else 0  # uvloop does not tell what is ready
    while True:
        await asyncio.sleep(0)
        turns -= 1
        if not ready and turns <= 0:
            return
