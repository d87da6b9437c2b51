"""`with limiter` in threads, shared with event loops; and `reentrant()`."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from penstock_limits import AcquireTimeoutError, Limiter, QueueFullError, gather

from tests.limits.gauge import Gauge, settled


def until(queued: int, limiter: Limiter) -> None:
    """Wait until so many callers wait."""
    while limiter.statistics().queued != queued:
        time.sleep(0.001)


def test_a_thread_waits_for_a_permit() -> None:
    """And is let in when one comes free."""
    limiter, inside = Limiter(max_running=1), threading.Event()

    def work() -> None:
        with limiter:
            inside.set()

    with limiter:
        worker = threading.Thread(target=work)
        worker.start()
        until(1, limiter)
        assert not inside.is_set()
    worker.join()

    assert inside.is_set()
    assert limiter.statistics().running == 0


async def test_a_loop_lets_a_thread_in_and_a_thread_a_loop() -> None:
    """One limit for both, first come, first served."""
    limiter, order = Limiter(max_running=1), []

    def work() -> None:
        with limiter:
            order.append("thread")

    async def call() -> None:
        async with limiter:
            order.append("task")

    async with limiter:
        thread = asyncio.create_task(asyncio.to_thread(work))
        await asyncio.to_thread(until, 1, limiter)
        task = asyncio.create_task(call())
        await settled()
        assert limiter.statistics().queued == 2
    await asyncio.wait([thread, task])

    assert order == ["thread", "task"]
    assert limiter.statistics().running == 0


def test_a_thread_waits_no_longer_than_its_deadline() -> None:
    """Then it leaves the queue."""
    limiter = Limiter(max_running=1)
    with limiter, pytest.raises(AcquireTimeoutError), limiter.hold(timeout=0.01):
        pass

    now = limiter.statistics()
    assert (now.running, now.queued, now.timed_out) == (0, 0, 1)


def test_a_thread_may_be_shed() -> None:
    """It fails with QueueFullError where it waits."""
    limiter, refused = Limiter(max_running=1, max_queued=1, shed="oldest"), threading.Event()

    def work() -> None:
        try:
            with limiter:
                pass
        except QueueFullError:
            refused.set()

    with limiter:
        workers = [threading.Thread(target=work) for _ in range(2)]
        workers[0].start()
        until(1, limiter)
        workers[1].start()
        workers[0].join()
        assert refused.is_set()
    workers[1].join()

    assert limiter.statistics().running == 0


async def test_waiting_in_a_running_loop_is_refused() -> None:
    """It would block the loop, perhaps for ever."""
    limiter = Limiter("provider", max_running=1)
    with limiter, pytest.raises(RuntimeError, match="would block the running event loop: use `async with`"):
        limiter.__enter__()

    assert limiter.statistics().running == 0


@pytest.mark.parametrize("mode", ["off", "observe"])
async def test_nothing_is_refused_where_nothing_is_enforced(mode: str) -> None:
    """A `with` in a running loop goes through, and is counted."""
    limiter = Limiter(max_running=1, mode=mode)

    with limiter, limiter:
        assert limiter.statistics().running == 2

    assert limiter.statistics().running == 0


async def test_a_reentrant_caller_never_waits_for_itself() -> None:
    """However deep, it runs on one permit."""
    limiter = Limiter(max_running=1)

    async with limiter.reentrant(), limiter.reentrant(), limiter.reentrant():
        assert limiter.statistics().running == 1

    assert limiter.statistics().running == 0


async def test_helpers_of_a_reentrant_caller_run_one_at_a_time() -> None:
    """They share its permit; each needs it for itself."""
    limiter, gauge = Limiter(max_running=1), Gauge()

    async def helper() -> None:
        async with limiter.reentrant():
            await gauge.visit()

    async with limiter.reentrant():
        await asyncio.gather(*(helper() for _ in range(5)))

    assert (gauge.total, gauge.peak) == (5, 1)
    assert limiter.statistics().running == 0


async def test_a_gather_within_a_reentrant_caller_never_waits_for_it() -> None:
    """Its children run on the caller's permit."""
    limiter, gauge = Limiter(max_running=1), Gauge()

    async with limiter.reentrant():
        await gather(*(gauge.visit() for _ in range(3)), limit=limiter)

    assert (gauge.total, gauge.peak) == (3, 1)


async def test_two_reentrant_callers_are_two() -> None:
    """A task that is nobody's helper has no permit to borrow."""
    limiter, gauge = Limiter(max_running=1), Gauge()

    async def caller() -> None:
        async with limiter.reentrant():
            await gauge.visit()

    await asyncio.gather(*(caller() for _ in range(4)))

    assert (gauge.total, gauge.peak) == (4, 1)
