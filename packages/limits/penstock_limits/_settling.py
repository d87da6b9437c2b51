"""Wakes tasks that wait for a future, from whatever task, thread or loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["call_in_loop", "settle"]


def call_in_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: Any) -> bool:
    """Call a function in a loop, at once if this is the loop; False if the loop is closed."""
    if asyncio._get_running_loop() is loop:
        call(*args)
        return True
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        return False
    return True


def settle(future: asyncio.Future[None], error: Exception | None = None) -> None:
    """Let a future's task go on, or fail with an error, unless it does already; called in its loop."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
