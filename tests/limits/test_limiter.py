"""How a Limiter lets in, keeps out and counts."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_limits import (
    ConfigurationError,
    Limiter,
    LimitReachedError,
    Mode,
    QueueFullError,
    UnknownLimitError,
    gather,
    set_mode_source,
)

from tests.limits.gauge import Doors, Gauge, settled
from tests.limits.sources import Source


async def hold(limiter: Limiter, doors: Doors, item: object = None) -> None:
    async with limiter:
        await doors.enter(item)


def start(limiter: Limiter, doors: Doors, number: int) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(hold(limiter, doors, item)) for item in range(number)]


async def test_callers_beyond_the_limit_wait_in_order() -> None:
    """Two of five are in; each that leaves lets in the one that has waited longest."""
    limiter, order = Limiter(max_running=2), []

    async def visit(item: int) -> None:
        async with limiter:
            order.append(item)
            await asyncio.sleep(0)

    await asyncio.gather(*map(visit, range(5)))

    assert order == [0, 1, 2, 3, 4]
    assert (limiter.statistics().acquired, limiter.statistics().waited) == (5, 3)


async def test_an_uncontended_entry_does_not_yield() -> None:
    """As with asyncio.Semaphore, nobody else runs in between."""
    limiter, ran = Limiter(max_running=1), []
    asyncio.get_running_loop().call_soon(ran.append, "ran")

    async with limiter:
        pass

    assert ran == []


async def test_nobody_overtakes_a_waiter_that_has_been_let_in() -> None:
    """Between the release and the waiter's next step the permit is the waiter's already."""
    limiter, doors = Limiter(max_running=1), Doors()
    await limiter.acquire()
    (waiter,) = start(limiter, doors, 1)
    await settled()

    limiter.release()

    with pytest.raises(LimitReachedError):
        limiter.acquire_nowait()
    doors.open.set()
    await waiter


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    """The next in the queue is not affected."""
    limiter, doors = Limiter(max_running=1), Doors()
    await limiter.acquire()
    first, second = start(limiter, doors, 2)
    await settled()

    first.cancel()
    await settled()
    limiter.release()
    await settled()

    assert (doors.started, limiter.statistics().queued) == ([1], 0)
    doors.open.set()
    await second


async def test_a_waiter_cancelled_after_it_was_let_in_hands_the_permit_on() -> None:
    """The permit is not lost between the release and the cancellation."""
    limiter, doors = Limiter(max_running=1), Doors()
    await limiter.acquire()
    first, second = start(limiter, doors, 2)
    await settled()

    limiter.release()
    first.cancel()
    await settled()

    assert doors.started == [1]
    doors.open.set()
    await second
    assert limiter.statistics().running == 0


async def test_a_caller_beyond_the_queue_is_refused() -> None:
    """The error says who is full and what to do."""
    limiter, doors = Limiter("api", max_running=1, max_queued=2), Doors()
    tasks = start(limiter, doors, 3)
    await settled()

    with pytest.raises(
        QueueFullError, match=r"limiter 'api' refuses a caller: 2 of 2 callers wait already\. Shed load"
    ):
        await limiter.acquire()

    assert limiter.statistics().rejected == 1
    doors.open.set()
    await asyncio.gather(*tasks)


async def test_acquire_nowait_takes_a_free_permit_or_says_why_not() -> None:
    """It never waits and never overtakes."""
    limiter = Limiter("api", max_running=1)
    limiter.acquire_nowait()

    with pytest.raises(LimitReachedError, match="limiter 'api' is full: 1 of 1 running"):
        limiter.acquire_nowait()

    assert limiter.locked()
    limiter.release()
    assert not limiter.locked()


async def test_raising_the_limit_lets_in_whoever_fits() -> None:
    """`resize()` acts at once, with work in flight."""
    limiter, doors = Limiter(max_running=1), Doors()
    tasks = start(limiter, doors, 5)
    await settled()

    limiter.resize(3)
    await settled()

    assert doors.gauge.now == 3
    doors.open.set()
    await asyncio.gather(*tasks)


async def test_lowering_the_limit_lets_in_nobody_until_there_is_room() -> None:
    """Whoever is in stays in."""
    limiter = Limiter(max_running=3)
    for _ in range(3):
        limiter.acquire_nowait()

    limiter.resize(1)

    limiter.release()
    limiter.release()
    assert (limiter.locked(), limiter.statistics().running) == (True, 1)
    limiter.release()
    limiter.acquire_nowait()
    assert limiter.statistics().acquired == 4
    limiter.release()


async def test_a_limit_of_nothing_admits_nobody_until_it_is_raised() -> None:
    """max_running=0 stops intake."""
    limiter, doors = Limiter(max_running=0), Doors()
    tasks = start(limiter, doors, 1)
    await settled()
    assert doors.started == []

    limiter.resize(1)
    doors.open.set()
    await asyncio.gather(*tasks)


async def test_a_release_without_an_acquire_adds_a_permit_and_is_counted() -> None:
    """As with asyncio.Semaphore; the statistics show the mistake."""
    limiter = Limiter(max_running=1)

    limiter.release()

    limiter.acquire_nowait()
    limiter.acquire_nowait()
    statistics = limiter.statistics()
    assert (statistics.surplus_releases, statistics.max_running, statistics.running) == (1, 1, 2)
    limiter.release()
    limiter.release()


async def test_its_repr_says_how_full_it_is() -> None:
    """What people print while they look for a jam."""
    limiter = Limiter("api", max_running=2, max_queued=3)
    limiter.acquire_nowait()

    assert repr(limiter) == "<Limiter 'api' enforce: 1 of 2 running, 0 of 3 queued>"
    limiter.release()


@pytest.mark.parametrize("value", [-1, 1.5, "3", True, None])
def test_a_wrong_limit_is_refused(value: object) -> None:
    """The message says where, what and what is allowed."""
    with pytest.raises(ConfigurationError, match=r"limiter 'api': max_running = .*; allowed is a whole number from 0"):
        Limiter("api", max_running=value)  # type: ignore[arg-type]


# --- modes


async def test_enforce_to_off_wakes_everybody() -> None:
    """A flip rolls back at once, also for those who wait."""
    source = Source("enforce")
    set_mode_source(source)
    limiter, doors = Limiter(max_running=1, mode=None), Doors()
    tasks = start(limiter, doors, 5)
    await settled()
    assert doors.gauge.now == 1

    source.turn("off")
    await settled()

    assert doors.gauge.now == 5
    doors.open.set()
    await asyncio.gather(*tasks)
    assert limiter.statistics().running == 0


async def test_off_to_enforce_admits_nobody_until_there_is_room() -> None:
    """What ran unlimited is counted and runs on."""
    source = Source("off")
    set_mode_source(source)
    limiter, before, after = Limiter(max_running=2, mode=None), Doors(), Doors()
    tasks = start(limiter, before, 4)
    await settled()

    source.turn("enforce")
    late = start(limiter, after, 1)
    await settled()
    assert (before.gauge.now, after.gauge.now) == (4, 0)

    before.open.set()
    after.open.set()
    await asyncio.gather(*tasks, *late)
    assert (limiter.statistics().running, limiter.statistics().peak_running) == (0, 4)


async def test_without_subscription_waiters_notice_at_the_next_use() -> None:
    """The environment cannot call back; the next caller wakes the others."""
    limiter, doors = Limiter(max_running=1, mode=None), Doors()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PENSTOCK_MODE", "enforce")
        tasks = start(limiter, doors, 3)
        await settled()
        assert doors.gauge.now == 1

    await limiter.acquire()
    await settled()

    assert doors.gauge.now == 3
    limiter.release()
    doors.open.set()
    await asyncio.gather(*tasks)


async def test_observe_counts_what_it_would_have_done() -> None:
    """Nobody waits; of five callers two would run, one would queue, two would be refused."""
    limiter, doors = Limiter(max_running=2, max_queued=1, mode=Mode.OBSERVE), Doors()

    tasks = start(limiter, doors, 5)
    await settled()

    statistics = limiter.statistics()
    assert (doors.gauge.now, statistics.would_wait, statistics.would_reject) == (5, 1, 2)
    doors.open.set()
    await asyncio.gather(*tasks)


async def test_observe_counts_a_refusal_of_acquire_nowait() -> None:
    """It would not have waited: it would have been refused."""
    limiter = Limiter(max_running=0, mode="observe")

    limiter.acquire_nowait()

    assert (limiter.statistics().would_wait, limiter.statistics().would_reject) == (0, 1)
    limiter.release()


# --- several loops


def test_several_loops_share_one_limiter() -> None:
    """Four threads with a loop each: never more inside than the limit, and everybody gets in."""
    limiter, gauge = Limiter(max_running=3), Gauge()

    async def visit() -> None:
        async with limiter:
            await gauge.visit()

    async def visits() -> None:
        await asyncio.gather(*(visit() for _ in range(100)))

    threads = [threading.Thread(target=lambda: asyncio.run(visits()), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (gauge.total, gauge.peak, gauge.now) == (400, 3, 0)
    assert (limiter.statistics().running, limiter.statistics().acquired) == (0, 400)


def test_a_waiter_whose_loop_was_closed_passes_the_permit_on() -> None:
    """A loop that was closed with a task still waiting does not swallow a permit."""
    limiter = Limiter(max_running=1)
    limiter.acquire_nowait()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(limiter.acquire())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    limiter.release()

    limiter.acquire_nowait()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["a release", "a resize", "a newcomer"])
def test_a_waiter_of_a_closed_loop_returns_no_permit_that_it_never_had(how: str) -> None:
    """Whoever takes it out of the queue: the collector, which ends its coroutine later, adds nothing to the limit."""
    limiter, loop = Limiter(max_running=1), asyncio.new_event_loop()
    limiter.acquire_nowait()
    waiting = [loop.create_task(limiter.acquire()) for _ in range(3)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    async def newcomer() -> None:
        task = asyncio.create_task(limiter.acquire())
        await settled()
        assert not task.done()
        limiter.release()
        await task

    if how == "a release":
        limiter.release()
    elif how == "a resize":
        limiter.resize(2)
        limiter.resize(1)
        limiter.release()
    else:
        asyncio.run(newcomer())
        limiter.release()
    for task in waiting:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task, waiting, loop
    gc.collect()

    statistics = limiter.statistics()
    assert (statistics.running, statistics.queued, statistics.surplus_releases) == (0, 0, 0)


@given(number=st.integers(1, 200), order=st.randoms())
@settings(deadline=None, max_examples=50)
def test_waiters_may_be_cancelled_in_any_order(number: int, order) -> None:
    """None is lost, none is left, and the next permit goes to the first that still waits."""

    async def run() -> None:
        limiter, doors = Limiter(max_running=1), Doors()
        limiter.acquire_nowait()
        tasks = start(limiter, doors, number)
        await settled()
        cancelled = set(order.sample(range(number), order.randrange(number)))
        for item in order.sample(sorted(cancelled), len(cancelled)):
            tasks[item].cancel()
        await settled()
        assert limiter.statistics().queued == number - len(cancelled)
        doors.open.set()
        limiter.release()
        await asyncio.wait(tasks)
        assert doors.started == [item for item in range(number) if item not in cancelled]
        assert limiter.statistics().running == 0

    asyncio.run(run())


def test_errors_survive_pickling() -> None:
    """They cross the borders of process pools."""
    for error in (QueueFullError("api", 1, 2), LimitReachedError("api", 1, 2), UnknownLimitError("x", ["a", "b"])):
        copy = pickle.loads(pickle.dumps(error))

        assert (type(copy), str(copy)) == (type(error), str(error))


def test_a_source_may_hold_a_lock_of_its_own_while_it_tells() -> None:
    """The limiter asks for the mode with no lock held."""

    class Locking(Source):
        def __init__(self) -> None:
            super().__init__("enforce")
            self.lock = threading.RLock()

        def mode(self, capability: str) -> str:
            assert not limiter._lock._is_owned()
            with self.lock:
                return super().mode(capability)

        def turn(self, mode: str) -> None:
            with self.lock:
                super().turn(mode)

    source = Locking()
    set_mode_source(source)
    limiter = Limiter(max_running=1, mode=None)

    async def main() -> None:
        doors = Doors()
        tasks = start(limiter, doors, 3)
        gathered = gather(doors.enter(), doors.enter(), limit=limiter)
        await settled()
        limiter.statistics()
        source.turn("off")
        limiter.acquire_nowait()
        limiter.release()
        doors.open.set()
        await asyncio.gather(gathered, *tasks)

    asyncio.run(main())
