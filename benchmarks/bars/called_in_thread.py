"""A function called in a thread and awaited: what a limit, a stop event and an owner cost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from itertools import repeat
from typing import Any
from unittest import mock

import penstock_tasks

from benchmarks._bar import Bar, Contender
from benchmarks._stopwatch import Stopwatch


def called(title: str, mode: str, to_thread: Callable[..., Any], **more: float) -> Contender:
    async def run(size: int, stopwatch: Stopwatch) -> None:
        with mock.patch.dict(os.environ, PENSTOCK_MODE_MANAGED_THREADS=mode):
            await to_thread(int)
            with stopwatch:
                for _ in repeat(None, size):
                    await to_thread(int)

    return Contender(title, run, **more)


BAR = Bar(
    title="functions called in a thread",
    size=10_000,
    quick_size=10_000,
    rounds=7,
    contenders=(
        called("asyncio.to_thread", "off", asyncio.to_thread),
        called("to_thread, off", "off", penstock_tasks.to_thread),
        called("to_thread, enforce", "enforce", penstock_tasks.to_thread, ratio_at_most=1.3),
    ),
)
