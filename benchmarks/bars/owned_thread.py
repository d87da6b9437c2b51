"""A thread that is started and joined: what an owner costs."""

from __future__ import annotations

import os
import threading
from itertools import repeat
from unittest import mock

import penstock_tasks

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch


def nothing() -> None:
    pass


async def plain(size: int, stopwatch: Stopwatch) -> None:
    with stopwatch:
        for _ in repeat(None, size):
            thread = threading.Thread(target=nothing, daemon=True)
            thread.start()
            thread.join()


def owned(mode: str) -> Contender:
    async def run(size: int, stopwatch: Stopwatch) -> None:
        with mock.patch.dict(os.environ, PENSTOCK_MODE_MANAGED_THREADS=mode), stopwatch:
            for _ in repeat(None, size):
                thread = penstock_tasks.Thread(target=nothing, daemon=True)
                thread.start()
                thread.join()

    return Contender(f"Thread, {mode}", run, ratio_at_most=1.3 if mode == "enforce" else None)


BAR = Bar(
    title="threads started and joined",
    size=5_000,
    quick_size=5_000,
    rounds=7,
    contenders=(Contender("threading.Thread", plain), owned("off"), owned("enforce")),
)
