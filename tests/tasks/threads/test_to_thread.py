"""to_thread: a function that blocks, called in a thread, bounded and with a deadline."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import pickle
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from penstock_limits import (
    AcquireTimeoutError,
    ConcurrencyConfig,
    ConfigurationError,
    Limiter,
    LimiterStatistics,
    LimitSettings,
    QueueFullError,
    configure,
    resources,
)
from penstock_limits.testing import recorded
from penstock_tasks import ThreadTimeoutError, stop_event, to_thread
from penstock_tasks._threads import blocking
from penstock_tasks._threads.counters import counters
from penstock_tasks._threads.ownership import Stop, ownership_of, with_stop

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Gate:
    """A function that blocks until the test lets it go on."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()
        self.told: list[bool] = []

    def __call__(self, result: Any = None) -> Any:
        self.begun.release()
        assert self.open.wait(30)
        self.told.append(stop_event().is_set())
        return result

    async def has_begun(self) -> None:
        await asyncio.to_thread(self.begun.acquire)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


def limit(max_running: int, max_queued: int | None = None) -> None:
    configure(ConcurrencyConfig(limits={"threads": LimitSettings(max_running, max_queued)}))


def permits() -> LimiterStatistics:
    limiter = blocking._calls._limiter
    assert limiter is not None
    return limiter.statistics()


async def until_free() -> None:
    while permits().running:
        await asyncio.sleep(0.001)


async def test_it_returns_what_the_function_returns(any_mode: str) -> None:
    """With its arguments, positional and by keyword, whatever they are called."""

    def function(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs, threading.current_thread() is threading.main_thread()

    result = await to_thread(function, 1, 2, function=3, self=4)

    assert result == ((1, 2), {"function": 3, "self": 4}, False)


async def test_it_raises_what_the_function_raises(any_mode: str) -> None:
    """Also a TimeoutError of its own, under a deadline."""

    def fail() -> None:
        raise TimeoutError("of the function")

    with pytest.raises(TimeoutError, match="of the function") as raised:
        await to_thread(fail, timeout=30)
    assert type(raised.value) is TimeoutError


async def test_context_variables_are_copied(any_mode: str) -> None:
    """The function sees the caller's, and what it sets stays its own."""
    variable.set("of the caller")

    def function() -> str:
        seen = variable.get()
        variable.set("of the function")
        return seen

    assert await to_thread(function) == "of the caller"
    assert variable.get() == "of the caller"
    assert await to_thread(function) == "of the caller"


async def test_off_is_asyncios(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its executor, no limit, no deadline; nothing is counted."""
    asked: list[Any] = []

    async def asyncios(*args: Any, **kwargs: Any) -> str:
        asked.append((args, kwargs))
        return "asyncio's"

    monkeypatch.setattr(asyncio, "to_thread", asyncios)

    assert await to_thread(print, 1, timeout=0, end="") == "asyncio's"
    assert asked == [((print, 1), {"end": ""})]
    assert blocking._calls._limiter is None


async def test_observe_uses_asyncios_threads_and_counts(observe: None, gate: Gate) -> None:
    """Nobody waits; who would have is counted, and so is a deadline that would have passed."""
    limit(1)
    late = counters.statistics().would_time_out
    calls = [asyncio.create_task(to_thread(gate, timeout=0)) for _ in range(3)]
    for _ in calls:
        await gate.has_begun()
    running = permits()
    gate.open.set()
    await asyncio.gather(*calls)

    assert (running.running, running.would_wait) == (3, 2)
    assert permits().running == 0
    assert counters.statistics().would_time_out == late + 3
    assert blocking._calls._executor is None


async def test_as_many_run_as_the_limit_says(enforce: None, gate: Gate) -> None:
    """The others wait in order."""
    limit(2)
    calls = [asyncio.create_task(to_thread(gate, number)) for number in range(5)]
    await gate.has_begun()
    await gate.has_begun()

    assert (permits().running, permits().queued) == (2, 3)
    gate.open.set()
    assert await asyncio.gather(*calls) == [0, 1, 2, 3, 4]
    assert permits().peak_running == 2


async def test_a_queue_with_a_bound_refuses(enforce: None, gate: Gate) -> None:
    """By `max_queued`."""
    limit(1, max_queued=0)
    call = asyncio.create_task(to_thread(gate))
    await gate.has_begun()

    with pytest.raises(QueueFullError, match="limiter 'threads' refuses a caller"):
        await to_thread(int)
    gate.open.set()
    await call


async def test_a_cancelled_call_counts_until_its_thread_is_free(enforce: None, gate: Gate) -> None:
    """Else there would be more threads than the limit says."""
    limit(1)
    call = asyncio.create_task(to_thread(gate))
    await gate.has_begun()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    other = asyncio.create_task(to_thread(int))
    await asyncio.sleep(0)

    assert (permits().running, permits().queued) == (1, 1)
    gate.open.set()
    assert await other == 0
    assert gate.told == [True]


async def test_observe_counts_a_cancelled_call_until_its_thread_is_free(observe: None, gate: Gate) -> None:
    """As enforce does; it is not told to stop."""
    call = asyncio.create_task(to_thread(gate))
    await gate.has_begun()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert permits().running == 1
    gate.open.set()
    await until_free()
    assert gate.told == [False]


async def test_a_call_that_is_late_says_which_function_still_runs(enforce: None, gate: Gate) -> None:
    """In which thread, and where; it is told to stop, and counts until it does."""
    limit(1)
    with pytest.raises(ThreadTimeoutError) as raised:
        await to_thread(gate.__call__, timeout=0.05)

    assert raised.value.function == "Gate.__call__"
    assert raised.value.thread == "threads_0"
    assert f"{__file__}:" in raised.value.where
    assert raised.value.where.endswith("in Gate.__call__")
    assert str(raised.value).startswith("Gate.__call__ has not returned within 0.05 s. It still runs in the thread")
    assert permits().running == 1
    gate.open.set()
    await until_free()
    assert gate.told == [True]


async def test_the_error_of_a_late_call_can_be_pickled(enforce: None, gate: Gate) -> None:
    """It is a TimeoutError, and goes to other processes as one."""
    with pytest.raises(TimeoutError) as raised:
        await to_thread(functools.partial(gate), timeout=0)

    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


async def test_waiting_for_a_turn_is_part_of_the_deadline(enforce: None, gate: Gate) -> None:
    """The function is not called then."""
    limit(1)
    called: list[int] = []
    call = asyncio.create_task(to_thread(gate))
    await gate.has_begun()

    with pytest.raises(AcquireTimeoutError, match="limiter 'threads' admitted a caller not within"):
        await to_thread(called.append, 1, timeout=0.02)
    gate.open.set()
    await call
    assert called == []


async def test_a_call_that_was_not_begun_is_never_made(enforce: None) -> None:
    """The error says so, and the permit is back."""
    called: list[int] = []
    limiter = Limiter("threads", max_running=1)
    job = blocking._Job(functools.partial(called.append, 1), called.append, limiter)
    await limiter.acquire()

    error = job.late(0.5)
    job()
    job.leave()

    assert error.thread is None
    assert "was not begun within 0.5 s, and is not called any more" in str(error)
    assert called == []
    assert limiter.statistics().running == 0
    assert limiter.statistics().surplus_releases == 0


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
async def test_a_timeout_that_is_none_is_refused(timeout: Any, enforce: None) -> None:
    """The message names it."""
    with pytest.raises(ConfigurationError, match="limiter 'threads': timeout = "):
        await to_thread(int, timeout=timeout)
    assert permits().running == 0


async def test_what_nobody_waits_for_any_more_still_tells_its_error(enforce: None) -> None:
    """No exception is lost; what it says is, as it may hold a secret, and whoever waits is told no more."""
    begun, gate = threading.Event(), threading.Event()

    def fail() -> None:
        begun.set()
        gate.wait()
        raise ValueError("late")

    with recorded() as events:
        with pytest.raises(ThreadTimeoutError):
            await to_thread(fail, timeout=0.02)
        gate.set()
        await until_free()
        while not events:
            await asyncio.sleep(0.001)

    assert events[0].name == "thread.call_failed"
    assert "fail" in events[0].details["function"]
    assert events[0].details["error"] == "ValueError"
    assert events[0].details["where"].endswith(".fail")


async def test_stop_iteration_does_not_hang(enforce: None) -> None:
    """A future takes none; on 3.11 asyncio waits for ever."""
    with pytest.raises(RuntimeError, match="next raised StopIteration"):
        await to_thread(next, iter(()))


async def test_each_call_has_a_stop_event_of_its_own(enforce: None, gate: Gate) -> None:
    """A thread that was told to stop makes the next call as if nothing had been."""
    limit(1)
    with pytest.raises(ThreadTimeoutError):
        await to_thread(gate, timeout=0.02)
    gate.open.set()

    assert await to_thread(lambda: stop_event().is_set()) is False


async def test_a_call_between_two_looks_of_the_exit_is_told_too(enforce: None) -> None:
    """And the thread's own event is the thread's again afterwards."""

    def in_worker() -> tuple[bool, bool, bool]:
        ownership = ownership_of(threading.current_thread())
        assert ownership is not None
        before = stop_event()
        untold = with_stop(Stop(), lambda: stop_event().is_set())
        ownership.told = True
        told = with_stop(Stop(), lambda: stop_event().is_set())
        return untold, told, stop_event() is before

    assert await to_thread(in_worker) == (False, True, True)


async def test_a_new_size_holds_for_what_runs(enforce: None, gate: Gate) -> None:
    """Growing lets waiting calls in; shrinking waits for those that are too many."""
    limit(1)
    calls = [asyncio.create_task(to_thread(gate)) for _ in range(3)]
    await gate.has_begun()
    limit(3)
    last = asyncio.create_task(to_thread(int))
    for _ in range(2):
        await gate.has_begun()
    assert permits().running == 3

    limit(1)
    gate.open.set()
    await asyncio.gather(*calls, last)
    await to_thread(int)
    assert permits().max_running == 1
    assert permits().running == 0


async def test_a_flip_to_off_lets_waiting_calls_in(enforce: None, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """They were counted, and end as they would have."""
    limit(1)
    first = asyncio.create_task(to_thread(gate))
    await gate.has_begun()
    second = asyncio.create_task(to_thread(int))
    await asyncio.sleep(0)
    monkeypatch.setenv("PENSTOCK_MODE_MANAGED_THREADS", "off")
    limiter = blocking._calls._limiter
    assert limiter is not None
    limiter.mode_changed()

    assert permits().queued == 0
    gate.open.set()
    assert await asyncio.gather(first, second) == [None, 0]
    assert permits().running == 0


def test_several_event_loops_share_the_limit(enforce: None) -> None:
    """In several threads, one after the other and at once."""
    limit(2)
    running, peak, lock = 0, 0, threading.Lock()

    def function() -> None:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(0.001)
        with lock:
            running -= 1

    async def main() -> None:
        await asyncio.gather(*[to_thread(function) for _ in range(20)])

    loops = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(4)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()

    assert peak == 2
    assert permits().running == 0


@pytest.mark.filterwarnings("ignore")
def test_a_call_that_outlives_its_loop_gives_its_permit_back(enforce: None, gate: Gate) -> None:
    """asyncio.run() ends, the function runs on."""
    limit(1)

    async def main() -> None:
        asyncio.create_task(to_thread(gate))
        await gate.has_begun()

    asyncio.run(main())
    assert permits().running == 1
    gate.open.set()

    async def after() -> int:
        return await to_thread(int)

    assert asyncio.run(after()) == 0


def test_a_loop_that_is_closed_with_a_waiting_call_loses_no_permit(enforce: None, gate: Gate) -> None:
    """The task is destroyed while it waits for its turn, or for the function."""
    limit(1)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(to_thread(gate)) for _ in range(2)]
    loop.run_until_complete(gate.has_begun())
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    del task, tasks
    gc.collect()

    gate.open.set()

    async def after() -> int:
        return await to_thread(int, timeout=30)

    assert asyncio.run(after()) == 0


async def test_the_executor_and_its_limiter_are_resources(enforce: None) -> None:
    """Both are called `threads`."""
    await to_thread(int)

    kinds = {each.kind for each in resources() if each.name == "threads"}

    assert kinds >= {"executor", "limiter"}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("calls", [200, pytest.param(3_000, marks=pytest.mark.slow)])
async def test_a_storm_leaves_nothing_behind(enforce: None, seed: int, calls: int) -> None:
    """Cancellations, deadlines, exceptions and new sizes at random: never too many at once, every permit back."""
    chance = random.Random(seed)
    lock, running, peak, most = threading.Lock(), 0, 0, 4

    def function(seconds: float, error: Exception | None) -> float:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        try:
            stop_event().wait(seconds)
            if error is not None:
                raise error
            return seconds
        finally:
            with lock:
                running -= 1

    async def call() -> None:
        seconds, error = chance.random() / 500, chance.choice([None, None, ValueError("no")])
        timeout = chance.choice([None, chance.random() / 100])
        await to_thread(function, seconds, error, timeout=timeout)

    limit(most)
    tasks = []
    for number in range(calls):
        tasks.append(asyncio.create_task(call()))
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        if number % 50 == 0:
            limit(chance.randint(1, most))
            await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await until_free()

    allowed = (ValueError, TimeoutError, asyncio.CancelledError)
    assert [each for each in outcomes if each is not None and not isinstance(each, allowed)] == []
    assert peak <= most
    assert running == 0
    assert permits().running == permits().queued == permits().surplus_releases == 0


async def test_a_call_that_was_not_begun_in_time_is_no_thread_that_runs_on(enforce: None) -> None:
    """It is counted neither as one whose function still ran nor as one that nobody waits for."""
    limit(1)
    await to_thread(int)
    executor, begun, end = blocking._calls._executor, threading.Event(), threading.Event()
    assert executor is not None
    executor.submit(lambda: (begun.set(), end.wait()))
    begun.wait()
    before = counters.statistics()
    try:
        with pytest.raises(ThreadTimeoutError, match="was not begun"):
            await to_thread(int, timeout=0.01)
    finally:
        end.set()
    after = counters.statistics()
    assert (after.timed_out, after.unawaited) == (before.timed_out, before.unawaited)
