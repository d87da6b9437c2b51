"""Executors in a forked child."""

from __future__ import annotations

import os

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
