"""Executors in a forked child."""

from __future__ import annotations

import os
import threading

import pytest
from penstock_tasks._threads.executor import enforcing

from tests.children import held_by_a_thread, told_by_a_child


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_the_counters_of_an_executor_begin_anew() -> None:
    """Though a thread of the parent had their lock: what runs and waits does so in the parent."""
    executor = enforcing(1, "a")
    executor.submit(int).result()
    with held_by_a_thread(executor._counted.lock):
        told = told_by_a_child(lambda: (executor.statistics().submitted, executor.statistics().running))
    executor.shutdown()

    assert told == "(0, 0)"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_call_of_the_parent_that_is_cancelled_in_the_child_was_none_of_the_childs_queue() -> None:
    """So no fewer than none are in it."""
    executor = enforcing(1, "a")
    ends = threading.Event()
    executor.submit(ends.wait)
    waiting = executor.submit(int)
    told = told_by_a_child(lambda: (waiting.cancel(), executor.statistics().queued, executor.statistics().peak_queued))
    ends.set()
    executor.shutdown()

    assert told == "(True, 0, 0)"
