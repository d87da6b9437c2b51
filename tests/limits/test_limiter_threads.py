"""`with limiter` in threads, shared with event loops; and `reentrant()`."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from penstock_limits import AcquireTimeoutError, Hold, Limiter, QueueFullError, gather
from penstock_limits._limiters.waiting import ThreadWaiter

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


def test_a_lost_permit_reaches_a_thread_behind_a_waiter_in_a_closed_loop() -> None:
    """The first in the queue cannot be told; the next is."""
    limiter, inside = Limiter(max_running=1), threading.Event()
    loop = asyncio.new_event_loop()
    held = [loop.run_until_complete(taken(limiter))]
    waiting = loop.create_task(limiter.acquire())
    loop.run_until_complete(asyncio.sleep(0))

    def work() -> None:
        with limiter:
            inside.set()

    worker = threading.Thread(target=work)
    worker.start()
    until(2, limiter)
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    held.clear()

    assert inside.wait(10)
    worker.join()


async def taken(limiter: Limiter) -> Hold:
    return await limiter.hold()


@pytest.mark.parametrize("priorities", [[1], [1, 2], [0, 1, 2, 3]])
def test_a_queue_with_priorities_may_be_changed_while_its_first_is_looked_for(priorities: list[int]) -> None:
    """By the garbage collector, which ends a forgotten holder at the worst moment."""
    for threshold in range(1, 40):
        limiter = Limiter(max_running=2)
        limiter.acquire_nowait()
        forgotten = forgotten_holder(limiter)
        workers = [threading.Thread(target=come_and_go, args=(limiter, priority)) for priority in priorities]
        for number, worker in enumerate(workers, 1):
            worker.start()
            until(number, limiter)
        forgotten.close()
        del forgotten
        release_under_pressure(limiter, threshold)
        gc.collect()
        for worker in workers:
            worker.join(10)

        assert not any(worker.is_alive() for worker in workers)
        assert limiter.statistics().running == 0


def step_under_pressure(coroutine: Coroutine[Any, Any, object], threshold: int) -> None:
    """Take a coroutine's first step while the garbage collector comes after so many more objects; then drop it."""
    before = gc.get_threshold()
    gc.set_threshold(gc.get_count()[0] + threshold, 1, 1)
    try:
        coroutine.send(None)
    except (StopIteration, QueueFullError):
        pass
    finally:
        gc.set_threshold(*before)
        coroutine.close()


def forgotten_holder(limiter: Limiter) -> asyncio.AbstractEventLoop:
    """Return a loop with a task that holds a permit; the task is forgotten when the loop is closed."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(stay(limiter))
    loop.run_until_complete(asyncio.sleep(0))
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    return loop


@pytest.fixture
def quick_collector() -> Iterator[None]:
    """Lets the collector look at new objects only, as it is asked to come again and again."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Storm:
    """Callers behind a forgotten holder, whom the collector ends in the first step of one more caller."""

    def __init__(self, limiter: Limiter, priorities: list[int]) -> None:
        self.limiter = limiter
        self.priorities = priorities
        self.forgotten = [forgotten_holder(limiter)]
        self.told: list[BaseException | None] = []

    async def run(self, newcomer: int, threshold: int) -> None:
        waiting = [asyncio.ensure_future(self.wait(priority)) for priority in self.priorities]
        await asyncio.sleep(0)
        self.forgotten.pop().close()
        step_under_pressure(self.limiter.acquire(priority=newcomer), threshold)
        gc.collect()
        await asyncio.wait_for(asyncio.gather(*waiting), 10)

    async def wait(self, priority: int) -> None:
        try:
            async with self.limiter.hold(priority=priority):
                self.told.append(None)
        except BaseException as error:  # noqa: BLE001 - whatever it is
            self.told.append(error)


@pytest.mark.parametrize("queued", [3, 8, 20])
def test_a_queue_may_get_its_first_priority_while_it_is_changed(queued: int, quick_collector: None) -> None:
    """Nobody is copied into the new queue who has left the old one."""
    for threshold in range(1, 60):
        gc.collect()
        storm = Storm(Limiter(max_running=1), [0] * queued)
        asyncio.run(storm.run(1, threshold))

        assert storm.told == [None] * queued
        assert storm.limiter.statistics().running == 0


@pytest.mark.parametrize("queued", [1, 4, 6])
def test_the_least_important_may_be_looked_for_while_the_queue_is_changed(queued: int, quick_collector: None) -> None:
    """Whoever is refused is told so, and nobody anything else."""
    for threshold in range(1, 40):
        gc.collect()
        limiter = Limiter(max_running=1, max_queued=queued, shed="lowest-priority")
        storm = Storm(limiter, [1 + number % 4 for number in range(queued)])
        asyncio.run(storm.run(9, threshold))

        assert {type(error) for error in storm.told} <= {type(None), QueueFullError}


async def test_a_fan_out_goes_to_the_queues_end_while_the_last_of_its_priority_leaves() -> None:
    """The collector may end a caller whenever it likes, also while the queue looks at its clock."""
    forgotten: list[Coroutine[Any, Any, object]] = []
    armed = False

    def clock() -> float:
        while armed and forgotten:
            forgotten.pop().close()
        return 0.0

    limiter, done = Limiter(max_running=1, clock=clock), []

    async def work(number: int) -> None:
        done.append(number)
        await asyncio.sleep(0)

    async def urgent() -> None:
        async with limiter.hold(priority=1):
            pass

    limiter.acquire_nowait()
    fanned_out = asyncio.ensure_future(gather(*[work(number) for number in range(3)], limit=limiter))
    await settled()
    forgotten.append(limiter.acquire())
    forgotten[0].send(None)
    came = asyncio.ensure_future(urgent())
    await settled()
    armed = True
    limiter.release()
    await asyncio.wait_for(asyncio.gather(fanned_out, came), 10)

    assert done == [0, 1, 2]
    assert not limiter.locked()


def test_a_lost_permit_is_found_though_who_was_told_of_it_did_not_wait() -> None:
    """A thread that is admitted before it looks at what it was told of goes on; whoever gives back next looks."""
    limiter = Limiter(max_running=2)
    holds = [limiter.hold()]
    holds[0].__enter__()
    limiter.acquire_nowait()
    deaf, waiter = ThreadWaiter(), threading.Thread(target=come_and_go, args=(limiter, 0))
    limiter._queue(deaf)
    waiter.start()
    until(2, limiter)

    holds.clear()
    gc.collect()
    limiter.release()  # admits the deaf one, which has the first permit now
    waiter.join(10)

    assert not waiter.is_alive()
    assert limiter.statistics().running == 1


async def stay(limiter: Limiter) -> None:
    async with limiter:
        await asyncio.Event().wait()


def come_and_go(limiter: Limiter, priority: int) -> None:
    with limiter.hold(priority=priority):
        pass


def release_under_pressure(limiter: Limiter, threshold: int) -> None:
    """Release while the garbage collector comes after so many more objects."""
    before = gc.get_threshold()
    gc.set_threshold(gc.get_count()[0] + threshold, 1, 1)
    try:
        limiter.release()
    finally:
        gc.set_threshold(*before)
