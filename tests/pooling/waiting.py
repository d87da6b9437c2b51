"""Wait for a state, never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 30.0  # seconds; against a hang, not a measure


def until(state: Callable[[], object]) -> None:
    """Wait, in a thread, until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not state():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


async def reached(state: Callable[[], object]) -> None:
    """Wait, in a coroutine, until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not state():
        assert time.monotonic() < deadline, "it never came to that"
        await asyncio.sleep(0.001)
