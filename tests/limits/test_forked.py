"""What a forked child sees of the limits of its parent, which other threads of the parent use."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import multiprocessing
import os
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import penstock_limits
import pytest
from penstock_limits import (
    AdaptiveLimit,
    Aimd,
    CircuitBreaker,
    CircuitOpenError,
    Hedge,
    Limiter,
    LimitReachedError,
    Outcome,
    Policy,
    Rate,
    RateLimiter,
    Retry,
    RetryBudget,
    _events,
    _modes,
    _names,
    _resources,
)
from penstock_limits._rates.algorithms import Window
from penstock_limits._retries import budget as budgets
from penstock_limits.testing import ManualClock

from tests.children import PATIENCE, SignalForks, fork, held_by_a_thread, told_by_a_child

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


async def succeed() -> str:
    return "made"


async def fail() -> str:
    raise ConnectionError


# --- locks


def limiter_of_a_name() -> str:
    return penstock_limits.limiter("api_call").name


def a_listener() -> None:
    penstock_limits.add_listener(print)()


@pytest.mark.parametrize(
    ("locked", "use"),
    [
        pytest.param(lambda: _events._state, a_listener, id="listeners"),
        pytest.param(lambda: _modes._state, lambda: penstock_limits.set_mode_source(None), id="mode source"),
        pytest.param(lambda: _names._named, limiter_of_a_name, id="names"),
        pytest.param(lambda: budgets._shared, lambda: RetryBudget("a"), id="budgets"),
        pytest.param(lambda: _resources, penstock_limits.resources, id="resources"),
    ],
)
def test_no_lock_of_the_process_is_waited_for(locked: Callable[[], Any], use: Callable[[], object]) -> None:
    """Whichever thread of the parent had it."""
    lock = getattr(locked(), "lock", None) or locked()._lock
    with held_by_a_thread(lock):
        told = told_by_a_child(lambda: (use(), "goes on")[1])

    assert told == "'goes on'"


OBJECTS: list[tuple[Any, Callable[[Any], object]]] = [
    (lambda: Limiter(max_running=1), lambda it: (it.acquire_nowait(), it.release())),
    (lambda: AdaptiveLimit(Limiter(max_running=1), Aimd(1)), lambda it: it.report(1.0, Outcome.SUCCEEDED)),
    (lambda: RateLimiter(requests=Rate(1)), lambda it: it.reserve().__enter__()),
    (CircuitBreaker, lambda it: it.attempt().__enter__().__exit__(None, None, None)),
    (Retry, lambda it: asyncio.run(it.call(succeed))),
    (RetryBudget, lambda it: it.take()),
    (lambda: Hedge(after=1.0), lambda it: asyncio.run(it.call(succeed))),
    (lambda: Policy("a"), lambda it: asyncio.run(it.call(succeed))),
]


@pytest.mark.parametrize(("make", "use"), OBJECTS)
def test_no_lock_of_an_object_is_waited_for(make: Callable[[], Any], use: Callable[[Any], object]) -> None:
    """Neither to use it, nor to look at it."""
    it = make()
    with held_by_a_thread(it._lock):
        told = told_by_a_child(lambda: (use(it), it.statistics(), "goes on")[2])

    assert told == "'goes on'"


def child_of_multiprocessing(limiter: Limiter, rate: RateLimiter) -> None:
    with limiter, rate.reserve():
        pass


def test_a_child_of_multiprocessing_is_one() -> None:
    """It comes by `os.fork` too."""
    limiter, rate = Limiter(max_running=1), RateLimiter(requests=Rate(1))
    process = multiprocessing.get_context("fork").Process(target=child_of_multiprocessing, args=(limiter, rate))
    with held_by_a_thread(limiter), held_by_a_thread(limiter._lock), held_by_a_thread(rate._lock):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        process.join(PATIENCE)
        process.kill()
        process.join()

    assert process.exitcode == 0


class _Everything:
    """Uses one of each, again and again, until told to end."""

    def __init__(self) -> None:
        self.limiter = Limiter("a", max_running=2)
        self.rate = RateLimiter("a", requests=Rate(1_000_000, per=0.01), tokens=Rate(1_000_000, per=0.01, burst=10**6))
        self.breaker = CircuitBreaker("a", window_seconds=0.01, open_seconds=0.001, slow_call_seconds=1.0)
        self.budget = RetryBudget("a")
        self.ends = False

    def use(self, number: int) -> None:
        with self.limiter, self.rate.reserve(tokens=7) as reservation:
            reservation.settle(tokens=number % 14)
            with contextlib.suppress(CircuitOpenError), self.breaker.attempt() as attempt:
                if number % 3:
                    attempt.failed()
        self.budget.take()
        penstock_limits.emit("thing.happened", "a")
        penstock_limits.limiter("api_call")
        penstock_limits.resources()

    def run(self) -> None:
        for number in itertools.count():
            if self.ends:
                return
            self.use(number)

    def seen_in_a_child(self) -> tuple[int, int]:
        for number in range(20):
            self.use(number)
        return self.limiter.statistics().acquired, self.rate.statistics().acquired


@pytest.mark.parametrize("forks", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_whenever_it_forks_the_child_goes_on(forks: int, caplog: pytest.LogCaptureFixture) -> None:
    """Threads of the parent are in the midst of everything."""
    everything = _Everything()
    threads = [threading.Thread(target=everything.run) for _ in range(3)]
    with caplog.at_level(logging.ERROR):
        for thread in threads:
            thread.start()
        try:
            told = {told_by_a_child(everything.seen_in_a_child) for _ in range(forks)}
        finally:
            everything.ends = True
            for thread in threads:
                thread.join()

    assert told == {"(20, 20)"}
    assert not caplog.records


# --- limiters


def test_a_permit_of_a_thread_of_the_parent_is_not_waited_for() -> None:
    """It would never come back."""
    limiter = Limiter(max_running=1)

    def seen() -> tuple[int, int]:
        with limiter:
            running = limiter.statistics().running
        return running, limiter.statistics().running

    with held_by_a_thread(limiter):
        assert told_by_a_child(seen) == "(1, 0)"


def test_the_parent_goes_on_as_it_was() -> None:
    """With its permits, its queue and its counts."""
    limiter, rate, breaker = Limiter(max_running=1), RateLimiter(requests=Rate(5)), CircuitBreaker(minimum_calls=1)
    retry, budget = Retry(attempts=1), RetryBudget()
    with limiter, rate.reserve(), breaker.attempt():
        pass
    asyncio.run(retry.call(succeed))
    everything = (limiter, rate, breaker, retry, budget)
    with held_by_a_thread(limiter):
        before = [each.statistics() for each in everything[:-1]], repr(everything)
        told_by_a_child(lambda: [each.statistics() for each in everything])

        assert ([each.statistics() for each in everything[:-1]], repr(everything)) == before
        with pytest.raises(LimitReachedError):
            limiter.acquire_nowait()


def test_a_permit_that_the_forking_thread_gives_back_in_the_child_is_no_permit_more() -> None:
    """The block around the fork is left in both processes."""
    limiter = Limiter(max_running=1)

    def seen() -> tuple[int, int, int, bool]:
        limiter.release()
        limiter.acquire_nowait()
        statistics = limiter.statistics()
        return statistics.max_running, statistics.surplus_releases, statistics.acquired, limiter.locked()

    with limiter:
        assert told_by_a_child(seen) == "(1, 0, 1, True)"
        assert told_by_a_child(lambda: told_by_a_child(seen)) == repr("(1, 0, 1, True)")


def test_a_release_without_an_acquire_adds_a_permit_in_a_child_too() -> None:
    """As with `asyncio.Semaphore`; those of the parent are the parent's."""
    limiter = Limiter(max_running=1)
    limiter.release()

    def seen() -> tuple[int, bool, int]:
        with limiter:
            locked = limiter.locked()
        limiter.release()
        return limiter.max_running, locked, limiter.statistics().surplus_releases

    assert told_by_a_child(seen) == "(1, True, 1)"


def test_a_thread_that_waits_in_the_parent_has_no_permit_to_give_back_in_a_child() -> None:
    """It is not there: a release too many is one."""
    limiter = Limiter(max_running=1)
    limiter.acquire_nowait()
    thread = threading.Thread(target=limiter.__enter__)
    thread.start()
    while limiter.statistics().queued != 1:
        time.sleep(0.001)

    def seen() -> int:
        limiter.release()
        limiter.release()
        return limiter.statistics().surplus_releases

    assert told_by_a_child(seen) == "1"
    limiter.release()
    thread.join()


async def test_tasks_of_the_parent_are_not_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Child and parent share what wakes the event loop of the parent."""
    limiter, rate = Limiter(max_running=1), RateLimiter(requests=Rate(1, per=1e6), mode=None)
    penstock_limits.set_mode_source(_Enforcing())
    loop, woken = asyncio.get_running_loop(), []
    await limiter.acquire()
    await rate.reserve()
    waiting = [asyncio.create_task(limiter.acquire()), asyncio.create_task(_wait_for(rate))]
    gathering = penstock_limits.gather(succeed(), limit=limiter)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    def seen() -> tuple[int, int, list[object]]:
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *given, **_: woken.append(given))
        queued = limiter.statistics().queued, rate.statistics().queued
        with limiter:
            limiter.resize(5)
        penstock_limits.set_mode_source(None)
        return *queued, woken

    assert limiter.statistics().queued == 2
    assert rate.statistics().queued == 1
    assert told_by_a_child(seen) == "(0, 0, [])"
    limiter.release()
    assert await waiting[0]
    limiter.release()
    assert await gathering == ["made"]
    waiting[1].cancel()


class _Enforcing:
    def mode(self, capability: str) -> str:
        return "enforce"


async def _wait_for(rate: RateLimiter) -> None:
    await rate.reserve()


def test_a_thread_that_forks_while_it_waits_for_a_permit_goes_on() -> None:
    """A signal's handler may fork; the permit is then one besides."""
    limiter = Limiter(max_running=1)
    limiter.acquire_nowait()
    with SignalForks(lambda: limiter.statistics().queued == 1, limiter.release) as forks, limiter:
        limiter.release()
        forks.end_child((limiter.max_running, limiter.statistics().running))
        limiter.acquire_nowait()

    assert forks.told() == "(1, 0)"
    assert limiter.statistics().running == 0


def test_a_thread_that_forks_while_it_waits_for_a_rate_goes_on() -> None:
    """Likewise."""
    rate = RateLimiter(requests=Rate(1, per=1e6))
    first = rate.reserve()
    first.__enter__()
    with SignalForks(lambda: rate.statistics().queued == 1, first.cancel) as forks, rate.reserve():
        forks.end_child((rate.statistics().queued, rate.statistics().acquired))

    assert forks.told() == "(0, 1)"


# --- rates


def _fork_and_be_the_child() -> None:
    if fork():
        os._exit(0)


class _Forking:
    """A clock and mode source that forks once while a lock is held, as a signal's handler may; the child goes on."""

    lock: Any
    armed = False

    def __call__(self) -> float:
        if self.armed and self.lock.locked():
            self.armed = False
            _fork_and_be_the_child()
        return 0.0

    def mode(self, capability: str) -> str:
        self()
        return "enforce"


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda rate, _: rate.reserve().__enter__(), id="admitting"),
        pytest.param(lambda _, reservation: reservation.settle(requests=2), id="settling"),
        pytest.param(lambda rate, _: rate.learn({}), id="looking at the queue"),
    ],
)
def test_a_thread_that_forks_with_the_lock_of_a_rate_goes_on(use: Callable[..., object]) -> None:
    """It gives back the lock that it has taken, and not the child's, which nobody has."""
    source = _Forking()
    rate = RateLimiter(requests=Rate(3), clock=source, mode=None)

    def seen() -> str:
        source.lock = rate._lock
        penstock_limits.set_mode_source(source)
        reservation = rate.reserve(requests=0)
        reservation.__enter__()
        source.armed = True
        use(rate, reservation)
        assert rate._lock is not source.lock
        return "goes on" if rate._lock.acquire(blocking=False) else "the lock is held"

    assert told_by_a_child(seen) == "'goes on'"


class _ForkingAmounts(deque[Any]):
    """The amounts of a window, whose change is interrupted by a signal's handler that forks; the child goes on."""

    def append(self, amount: Any) -> None:
        _fork_and_be_the_child()
        super().append(amount)

    def popleft(self) -> Any:
        _fork_and_be_the_child()
        return super().popleft()


@pytest.mark.parametrize("now", [pytest.param(5.0, id="taking"), pytest.param(60.0, id="expiring")])
def test_a_thread_that_forks_in_the_midst_of_a_window_leaves_the_childs_whole(now: float) -> None:
    """It goes on with what it was in the midst of."""
    clock = ManualClock()
    rate = RateLimiter(requests=Rate(3), clock=clock)
    rate.reserve().__enter__()

    def seen() -> tuple[float, float]:
        window: Any = rate._dimensions[0].meter
        window._amounts = _ForkingAmounts(window._amounts)
        clock.advance(now)
        rate.reserve().__enter__()
        clock.advance(60.0)
        before = rate.statistics().dimensions["requests"].available
        with rate.reserve(), rate.reserve(), rate.reserve():
            return before, rate.statistics().dimensions["requests"].available

    assert told_by_a_child(seen) == "(3.0, 0.0)"


def test_a_thread_of_the_parent_that_waits_takes_nothing_in_the_child() -> None:
    """It is not there: what the provider says remains is all the child's, now and later."""
    rate = RateLimiter(requests=Rate(1, per=1e6))
    first, second = rate.reserve(), rate.reserve()
    first.__enter__()
    thread = threading.Thread(target=second.__enter__)
    thread.start()
    while not rate.statistics().queued:
        pass

    def seen() -> tuple[object, ...]:
        rate.learn({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "60s"})
        now = rate.statistics()
        return now.acquired, now.dimensions["requests"].used, now.dimensions["requests"].remaining

    told = told_by_a_child(seen)
    first.cancel()
    thread.join()

    assert told == "(0, 0.0, 1.0)"


def test_what_the_provider_counts_holds_in_the_child() -> None:
    """What was used still counts there, and its pause is kept; the child's own counts begin at 0."""
    clock = ManualClock()
    rate = RateLimiter(requests=Rate(3), tokens=Rate(100, burst=100), clock=clock)
    with rate.reserve(tokens=40):
        pass
    rate.learn({"retry-after": "7"})

    def seen() -> tuple[object, ...]:
        now = rate.statistics()
        requests, tokens = now.dimensions["requests"], now.dimensions["tokens"]
        return now.acquired, now.blocked, requests.available, requests.used, tokens.available, tokens.used

    assert told_by_a_child(seen) == "(0, 7.0, 2.0, 0.0, 60.0, 0.0)"
    assert told_by_a_child(lambda: clock.advance(60) or seen()) == "(0, 0.0, 3.0, 0.0, 100.0, 0.0)"


def test_a_reservation_of_the_parent_is_none_of_the_child() -> None:
    """Leaving its block in the child takes nothing of the child's own off its way."""
    rate = RateLimiter(requests=Rate(3))
    of_parent = rate.reserve()
    of_parent.__enter__()

    def seen() -> str:
        own = rate.reserve()
        own.__enter__()
        of_parent.__exit__(None, None, None)
        return repr(own)

    assert "on its way" in told_by_a_child(seen)


@pytest.mark.parametrize(
    "midst",
    [
        pytest.param(lambda window: window._times.append(5.0), id="taking"),
        pytest.param(lambda window: window._times.popleft(), id="expiring"),
        pytest.param(lambda window: setattr(window, "taken", window.taken - 1), id="giving back"),
    ],
)
def test_a_window_is_whole_whatever_it_was_in_the_midst_of(midst: Callable[[Window], object]) -> None:
    """In the long run it admits as much as ever."""
    window = Window(Rate(3, per=10), 0)
    for now in (1.0, 2.0, 3.0):
        window.take(1, now)
    midst(window)

    window = window.mended()

    assert window.used(5.0) == sum(window._amounts)
    assert [window.take(1, now) for now in (30.0, 30.0, 30.0, 30.0)] == [True, True, True, False]
    assert window.used(50.0) == 0


# --- breakers, retries, policies


def opened(clock: ManualClock) -> CircuitBreaker:
    breaker = CircuitBreaker(minimum_calls=2, open_seconds=10, half_open_calls=1, clock=clock)
    for _ in range(2):
        with contextlib.suppress(ConnectionError), breaker.attempt():
            raise ConnectionError
    return breaker


def test_a_breaker_is_open_in_the_child_too() -> None:
    """And for as long: the service that fails is the same."""
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(4)

    def seen() -> tuple[object, ...]:
        now = breaker.statistics()
        with pytest.raises(CircuitOpenError):
            breaker.check()
        clock.advance(6)
        with breaker.attempt():
            during = breaker.state
        return now.state, now.half_open_in, now.failed, now.opened, during, breaker.state

    assert told_by_a_child(seen) == "('open', 6.0, 0, 0, 'half_open', 'closed')"


def test_a_trial_call_of_the_parent_takes_no_place_in_the_child() -> None:
    """It would never end there; nor does it count if it does, as it was the parent's."""
    clock = ManualClock()
    breaker = opened(clock)
    clock.advance(10)
    of_parent = breaker.attempt()
    of_parent.__enter__()

    def seen() -> tuple[object, ...]:
        trials = breaker.statistics().trials
        of_parent.failed()
        of_parent.__exit__(None, None, None)
        between = breaker.state
        with breaker.attempt():
            pass
        now = breaker.statistics()
        return trials, between, now.state, now.succeeded, now.failed

    assert told_by_a_child(seen) == "(0, 'half_open', 'closed', 1, 0)"
    assert breaker.statistics().trials == 1


def test_a_closed_breaker_judges_the_child_by_its_own_calls() -> None:
    """One failure of the parent's and one of its own are not two."""
    breaker = CircuitBreaker(minimum_calls=2, window_seconds=10)
    with contextlib.suppress(ConnectionError), breaker.attempt():
        raise ConnectionError

    def seen() -> tuple[object, ...]:
        with contextlib.suppress(ConnectionError), breaker.attempt():
            raise ConnectionError
        now = breaker.statistics()
        return now.state, now.calls, now.failed, now.succeeded

    assert told_by_a_child(seen) == "('closed', 1, 1, 0)"


def test_calls_are_counted_from_0() -> None:
    """Else those of the parent would be told of once for each child; what was learned of the service stays."""
    budget = RetryBudget(minimum=1, window=1e9)
    retry = Retry(attempts=2, base=0, budget=budget)
    own = Retry(attempts=1)
    hedge, policy = Hedge(after=10), Policy("a")
    adaptive = AdaptiveLimit(Limiter(max_running=8), Aimd(8))

    async def call() -> None:
        with contextlib.suppress(ConnectionError):
            await retry.call(fail)
        await own.call(succeed)
        await hedge.call(succeed)
        await policy.call(succeed)
        adaptive.report(1.0, Outcome.DROPPED)

    def seen() -> tuple[object, ...]:
        told = retry.statistics(), own.statistics(), hedge.statistics(), budget.statistics()
        counts = [each.calls for each in told]
        succeeded = policy.statistics().succeeded
        learned = adaptive.statistics()
        return counts, told[0].retried, told[3].granted, budget.take(), succeeded, learned.dropped, learned.would_be

    asyncio.run(call())
    limit = adaptive.statistics().would_be
    assert limit < 8
    assert told_by_a_child(seen) == repr(([0, 0, 0, 0], 0, 0, False, 0, 0, limit))

    def again() -> list[int]:
        asyncio.run(call())
        return [each.statistics().calls for each in (retry, own, hedge, budget)]

    assert told_by_a_child(again) == "[1, 1, 1, 1]"


# --- the process


def test_the_first_line_of_a_child_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """What the parent has kept back, the parent tells."""
    with caplog.at_level(logging.INFO, "penstock"):
        for _ in range(3):
            penstock_limits.emit("thing.happened", "a")
        before = len(caplog.records)

        def seen() -> list[str]:
            penstock_limits.emit("thing.happened", "a")
            return [each.getMessage() for each in caplog.records[before:]]

        assert told_by_a_child(seen) == repr(["thing.happened 'a' "])


def test_resources_of_a_child_are_forgotten_though_its_parent_was_looking() -> None:
    """A thread that looks at the set holds back what is to be forgotten, until it is done."""
    limiter = Limiter(max_running=1)
    looking: Iterator[object] = iter(_resources._entered)
    next(looking)

    def seen() -> int:
        before = len(_resources._entered.data)
        made = Limiter(max_running=2)
        del made
        return len(_resources._entered.data) - before

    assert told_by_a_child(seen) == "0"
    assert limiter in penstock_limits.resources()
