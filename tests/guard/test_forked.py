"""The watchdog in a forked child."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from penstock_guard._watchdog import Watchdog

from tests.children import held_by_a_thread, told_by_a_child


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_watchdog_of_a_child_has_a_thread_of_its_own() -> None:
    """That of the parent has not come along: it would be waited for, and watch nothing."""
    watchdog = Watchdog()
    loop = asyncio.new_event_loop()
    watchdog.watch(loop, 60, lambda _frame, _seconds: None)

    def seen() -> bool:
        blocked = threading.Event()
        asyncio.run(_block(watchdog, blocked))
        watchdog.stop()
        return blocked.is_set()

    with held_by_a_thread(watchdog._changed):
        told = told_by_a_child(seen)
    watchdog.stop()
    loop.close()

    assert told == "True"


async def _block(watchdog: Watchdog, blocked: threading.Event) -> None:
    watchdog.watch(asyncio.get_running_loop(), 0.01, lambda _frame, _seconds: blocked.set())
    blocked.wait()
