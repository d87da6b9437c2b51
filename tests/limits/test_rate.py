"""How a RateLimiter admits, keeps waiting, settles and learns."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from penstock_limits._errors import (
    AcquireTimeoutError,
    ConfigurationError,
    QueueFullError,
    RequestTooLargeError,
)
from penstock_limits._modes import set_mode_source
from penstock_limits._rates.rate import Rate, RateLimiter, Reservation
from penstock_limits._resources import Resource, resources
from penstock_limits.testing import ManualClock, recorded, run_in_virtual_time

from tests.limits.gauge import settled
from tests.limits.sources import Source


def clock() -> float:
    return asyncio.get_running_loop().time()


def virtual(main: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in a loop in which waiting takes no time."""

    def test() -> None:
        run_in_virtual_time(main)

    test.__name__, test.__doc__ = main.__name__, main.__doc__
    return test


def fits(rate: RateLimiter, **amounts: float) -> Reservation | None:
    """Return a reservation if it is admitted at once."""
    with contextlib.suppress(AcquireTimeoutError), rate.reserve(timeout=0, **amounts) as reservation:
        return reservation
    return None


async def admitted_at(rate: RateLimiter, *requests: dict[str, float]) -> list[float]:
    """Return the times at which requests that come together are admitted."""

    async def call(amounts: dict[str, float]) -> float:
        async with rate.reserve(**amounts):
            return clock()

    return await asyncio.gather(*map(call, requests))


# --- the strict window


def test_a_strict_window_admits_its_amount_and_no_more_until_a_period_has_gone_by() -> None:
    """What was admitted at 0 counts until 60, and not at 60."""
    time = ManualClock()
    rate = RateLimiter(requests=Rate(2), clock=time)
    assert fits(rate)
    time.advance(30)
    assert fits(rate)

    time.advance(29.5)
    assert not fits(rate)
    time.advance(0.5)
    assert fits(rate)
    assert not fits(rate)


@virtual
async def test_callers_wait_in_order_until_there_is_room() -> None:
    """Two a minute: the fifth comes in after two minutes."""
    rate = RateLimiter(requests=Rate(2), clock=clock)

    times = await admitted_at(rate, *[{}] * 5)

    assert times == [0, 0, 60, 60, 120]
    assert (rate.statistics().acquired, rate.statistics().waited) == (5, 3)


def test_a_strict_window_never_admits_199_in_one_second_at_100_per_second() -> None:
    """As aiolimiter does: a full bucket, and what drips in while it is emptied."""
    strict, window = 0, ManualClock()
    rate = RateLimiter(requests=Rate(100, per=1.0), clock=window)
    while window() < 1.0:
        strict += fits(rate) is not None
        window.advance(0.005)

    async def peer() -> int:
        limiter, admitted = pytest.importorskip("aiolimiter").AsyncLimiter(100, 1.0), 0
        for _ in range(100):
            await limiter.acquire()
            admitted += 1
        while clock() < 0.995:
            await asyncio.sleep(0.005)
            if limiter.has_capacity():
                await limiter.acquire()
                admitted += 1
        return admitted

    assert strict == 100
    assert run_in_virtual_time(peer) > 190


def test_a_request_larger_than_a_strict_rate_is_refused_at_once() -> None:
    """No wait would help it; the message says what is allowed."""
    rate = RateLimiter("openai", requests=Rate(60), tokens=Rate(90_000))

    with (
        pytest.raises(
            RequestTooLargeError, match="rate 'openai' can never admit 90001 tokens at once; 90000 is the most"
        ),
        rate.reserve(tokens=90_001),
    ):
        pass

    assert (rate.statistics().rejected, rate.statistics().acquired) == (1, 0)


# --- GCRA


def test_a_burst_is_admitted_at_once_and_then_the_rate() -> None:
    """Three at once, then one every two seconds."""
    time = ManualClock()
    rate = RateLimiter(requests=Rate(30, burst=3), clock=time)
    assert [bool(fits(rate)) for _ in range(4)] == [True, True, True, False]

    time.advance(2)

    assert [bool(fits(rate)) for _ in range(2)] == [True, False]


@virtual
async def test_a_request_larger_than_the_burst_waits_for_a_full_bucket_and_leaves_a_debt() -> None:
    """Of 10 a second with a burst of 10, 35 are admitted; the next waits until they are paid."""
    rate = RateLimiter(tokens=Rate(10, per=1.0, burst=10), clock=clock)

    times = await admitted_at(rate, {"tokens": 5}, {"tokens": 35}, {"tokens": 1})

    assert times == pytest.approx([0, 0.5, 3.1])


def test_what_is_given_back_after_the_bucket_was_full_is_lost() -> None:
    """The provider's bucket was full meanwhile, and took no more either."""
    time = ManualClock()
    rate = RateLimiter(tokens=Rate(10, per=10.0, burst=10), clock=time)
    estimated = fits(rate, tokens=10)
    time.advance(20)
    assert fits(rate, tokens=10)

    assert estimated is not None
    estimated.settle(tokens=0)

    assert not fits(rate, tokens=1)


# --- several dimensions, in order


@virtual
async def test_all_dimensions_are_taken_at_once_or_none() -> None:
    """A caller that waits for tokens has taken no request."""
    rate = RateLimiter(requests=Rate(3), tokens=Rate(100), clock=clock)
    await rate.reserve(tokens=80)
    waiting = asyncio.create_task(admitted_at(rate, {"tokens": 50}))
    await settled()

    assert rate.statistics().dimensions["requests"].available == 2
    assert await waiting == [60]


@virtual
async def test_a_heavy_request_is_not_starved_by_light_ones() -> None:
    """Light requests that come later wait behind it, though there is room for them."""
    rate = RateLimiter(tokens=Rate(100, per=1.0), clock=clock)
    await rate.reserve(tokens=50)

    times = await admitted_at(rate, {"tokens": 100}, {"tokens": 10}, {"tokens": 10})

    assert times == [1, 2, 2]


def test_a_peer_lets_light_requests_overtake_a_heavy_one() -> None:
    """With aiolimiter the heavy request waits as long as light ones come; with a rate it goes first."""

    async def order_of(acquire: Callable[[int], Any]) -> list[int]:
        order: list[int] = []

        async def call(tokens: int) -> None:
            await acquire(tokens)
            order.append(tokens)

        await acquire(64)
        await asyncio.gather(call(64), *(call(8) for _ in range(20)))
        return order

    async def peer() -> list[int]:
        return await order_of(pytest.importorskip("aiolimiter").AsyncLimiter(64, 1.0).acquire)

    async def ours() -> list[int]:
        rate = RateLimiter(tokens=Rate(64, per=1.0), clock=clock)

        async def acquire(tokens: int) -> None:
            await rate.reserve(tokens=tokens)

        return await order_of(acquire)

    assert run_in_virtual_time(peer)[-1] == 64
    assert run_in_virtual_time(ours)[0] == 64


@virtual
async def test_a_request_larger_than_a_second_of_the_rate_is_admitted() -> None:
    """As openlimit never does, which counts a minute's tokens as a bucket of one second's."""
    rate = RateLimiter(tokens=Rate(60_000), clock=clock)

    assert await admitted_at(rate, {"tokens": 50_000}) == [0]


def test_an_amount_of_nothing_takes_nothing() -> None:
    """Also where nothing is left."""
    rate = RateLimiter(requests=Rate(2), tokens=Rate(1), clock=ManualClock())
    assert fits(rate, tokens=1)

    assert fits(rate, tokens=0)
    assert not fits(rate, tokens=0)


# --- settle, cancel


@virtual
async def test_settling_for_less_lets_in_whoever_waits() -> None:
    """At once."""
    rate = RateLimiter(requests=Rate(10), tokens=Rate(100), clock=clock)
    async with rate.reserve(tokens=100) as reservation:
        waiting = asyncio.create_task(admitted_at(rate, {"tokens": 60}))
        await asyncio.sleep(5)
        reservation.settle(tokens=40)

    assert await waiting == [5]
    assert rate.statistics().dimensions["tokens"].used == 100


@virtual
async def test_settling_for_more_lets_later_callers_wait() -> None:
    """What was used is used: the surplus counts from now on."""
    rate = RateLimiter(tokens=Rate(100), clock=clock)
    async with rate.reserve(tokens=50) as reservation:
        await asyncio.sleep(10)
        reservation.settle(tokens=150)

    assert rate.statistics().dimensions["tokens"].available == -50
    assert await admitted_at(rate, {"tokens": 1}) == [70]


def test_a_dimension_is_settled_once_and_late_is_fine() -> None:
    """What comes twice, or after the block, or after cancel(), is no error."""
    rate = RateLimiter(requests=Rate(5), tokens=Rate(100), clock=ManualClock())
    reservation = fits(rate, tokens=50)
    assert reservation is not None

    reservation.settle(tokens=10)
    reservation.settle(tokens=90)
    reservation.cancel()
    reservation.cancel()
    reservation.settle(tokens=90, requests=1)

    used = {name: each.used for name, each in rate.statistics().dimensions.items()}
    assert used == {"requests": 0, "tokens": 10}


def test_a_call_that_was_never_made_gives_everything_back() -> None:
    """`cancel()` is for that."""
    rate = RateLimiter(requests=Rate(1), tokens=Rate(100, burst=100), clock=ManualClock())
    reservation = fits(rate, tokens=100)
    assert reservation is not None

    reservation.cancel()

    assert fits(rate, tokens=100)


def test_settling_for_a_dimension_that_was_not_reserved_counts() -> None:
    """Output tokens are often known only afterwards."""
    rate = RateLimiter(requests=Rate(5), output_tokens=Rate(100), clock=ManualClock())
    reservation = fits(rate)
    assert reservation is not None

    reservation.settle(output_tokens=70)

    assert rate.statistics().dimensions["output_tokens"].available == 30


def test_what_is_not_admitted_yet_cannot_be_settled() -> None:
    """It was forgotten to await it."""
    rate = RateLimiter(tokens=Rate(5))

    with pytest.raises(RuntimeError, match="<Reservation of 3 tokens on '5-tokens': new> is settled before it was"):
        rate.reserve(tokens=3).settle(tokens=2)


async def test_a_reservation_is_for_one_call() -> None:
    """To take it twice is a mistake."""
    reservation = await RateLimiter(requests=Rate(5)).reserve()

    with pytest.raises(RuntimeError, match="taken twice; ask for another"):
        await reservation


# --- timeouts, cancellation, the queue


@virtual
async def test_a_caller_waits_as_long_as_it_would() -> None:
    """And the one behind it takes over."""
    rate = RateLimiter("api", tokens=Rate(100), clock=clock)
    await rate.reserve(tokens=60)
    behind = asyncio.create_task(asyncio.sleep(1, rate))

    async def impatient() -> float:
        with pytest.raises(AcquireTimeoutError, match="rate 'api' admitted a caller not within 5 s"):
            await rate.reserve(tokens=80, timeout=5)
        return clock()

    waiting = asyncio.create_task(impatient())
    await behind

    assert await admitted_at(rate, {"tokens": 40}) == [5]
    assert await waiting == 5
    assert (rate.statistics().timed_out, rate.statistics().queued) == (1, 0)


@virtual
async def test_a_caller_beyond_the_queue_is_refused_and_told_of() -> None:
    """The error and the event say how many wait."""
    rate = RateLimiter("api", max_queued=1, requests=Rate(1), clock=clock)
    await rate.reserve()
    waiting = asyncio.create_task(admitted_at(rate, {}))
    await settled()

    with recorded() as events, pytest.raises(QueueFullError, match="1 of 1 callers wait already"):
        await rate.reserve()

    assert [(event.name, event.details) for event in events] == [("rate.rejected", {"counted": 1, "allowed": 1})]
    assert rate.statistics().rejected == 1
    await waiting


@virtual
async def test_when_the_head_is_cancelled_the_next_takes_over_at_once() -> None:
    """A light request behind a heavy one that has gone need not wait any more."""
    rate = RateLimiter(tokens=Rate(100), clock=clock)
    await rate.reserve(tokens=50)
    heavy = asyncio.create_task(admitted_at(rate, {"tokens": 100}))
    await settled()
    light = asyncio.create_task(admitted_at(rate, {"tokens": 50}))
    await asyncio.sleep(3)

    heavy.cancel()

    assert await light == [3]
    assert (rate.statistics().queued, rate.statistics().dimensions["tokens"].used) == (0, 100)


@virtual
async def test_a_waiter_cancelled_after_it_was_admitted_gives_its_amounts_back() -> None:
    """It was admitted, and is gone before it has run."""
    rate = RateLimiter(tokens=Rate(100), clock=clock)
    reservation = await rate.reserve(tokens=100)
    waiting = asyncio.create_task(admitted_at(rate, {"tokens": 100}))
    await settled()

    reservation.cancel()
    waiting.cancel()
    await settled()

    assert rate.statistics().dimensions["tokens"].available == 100


class CountedClock:
    """The loop's time, from some time on a little behind; counts how often it is asked."""

    def __init__(self, behind: float = 0.0) -> None:
        self.behind = behind
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return clock() - self.behind * (30 < clock() < 60.0005)


@virtual
async def test_nobody_spins_while_it_waits() -> None:
    """There is one look for each alarm, whatever sums of times are rounded to."""
    counted = CountedClock()
    rate = RateLimiter(requests=Rate(3, per=0.3), clock=counted)

    times = await admitted_at(rate, *[{}] * 301)

    assert times[-1] == pytest.approx(30, abs=0.2)
    assert counted.looks < 10 * 301


@virtual
async def test_a_clock_that_is_behind_the_timers_lets_nobody_in_too_early_and_nobody_spin() -> None:
    """The timer fires, the clock says not yet: another, of a length that matters."""
    counted = CountedClock(behind=1e-7)
    rate = RateLimiter(requests=Rate(1), clock=counted)

    assert await admitted_at(rate, {}, {}) == pytest.approx([0, 60.001], abs=1e-6)
    assert counted.looks < 20


@virtual
async def test_thousands_of_waiters_are_cancelled_the_last_one_first() -> None:
    """Nothing is gone through from the beginning for each of them."""
    rate = RateLimiter(tokens=Rate(1), clock=clock)
    await rate.reserve(tokens=1)
    tasks = [asyncio.create_task(admitted_at(rate, {"tokens": 1})) for _ in range(2_000)]
    await settled()
    assert rate.statistics().queued == 2_000

    for task in reversed(tasks):
        task.cancel()
    await asyncio.wait(tasks)

    assert rate.statistics().queued == 0


# --- threads and loops


def test_a_thread_can_wait() -> None:
    """`with` blocks until another thread gives something back."""
    rate = RateLimiter(tokens=Rate(100), clock=ManualClock())
    reservation = fits(rate, tokens=100)
    assert reservation is not None
    entered = threading.Event()

    def work() -> None:
        with rate.reserve(tokens=60):
            entered.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while not rate.statistics().queued:
        pass
    assert not entered.is_set()

    reservation.settle(tokens=40)

    thread.join(60)
    assert entered.is_set()


async def test_with_refuses_to_block_a_running_loop() -> None:
    """It says what to do instead; where it need not wait, it works."""
    rate = RateLimiter("api", requests=Rate(1))
    with rate.reserve():
        pass

    with pytest.raises(RuntimeError, match=r"rate 'api' cannot admit this at once.*use `async with`"), rate.reserve():
        pass


@pytest.mark.parametrize("how", ["a newcomer", "an alarm of another loop", "statistics"])
def test_a_head_in_a_closed_loop_holds_up_nobody(how: str) -> None:
    """Whoever looks first takes it out of the queue."""
    begun: list[float] = []  # the clock stands still before: on a busy machine the head would not have to wait
    clock = lambda: time.monotonic() - begun[0] if begun else 0.0  # noqa: E731
    rate = RateLimiter(max_queued=2, tokens=Rate(100, per=0.05), clock=clock)
    closed = asyncio.new_event_loop()
    assert fits(rate, tokens=60)
    waiting = closed.create_task(asyncio.wait_for(rate.reserve(tokens=90), None))
    closed.run_until_complete(asyncio.sleep(0))
    begun.append(time.monotonic())

    async def next_one() -> None:
        if how == "an alarm of another loop":
            behind = asyncio.create_task(asyncio.wait_for(rate.reserve(tokens=40), None))
            await asyncio.sleep(0)
            closed.close()
            await behind
            return
        closed.close()
        if how == "statistics":
            assert rate.statistics().queued == 0
        await rate.reserve(tokens=40)

    asyncio.run(next_one())

    assert rate.statistics().queued == 0
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
    del waiting
    gc.collect()
    assert rate.statistics().dimensions["tokens"].used == 100


def test_a_reservation_that_nobody_keeps_is_not_on_its_way() -> None:
    """`await rate.reserve()` alone: nothing says when the call has ended."""
    rate = RateLimiter(requests=Rate(10))

    fits(rate)
    with rate.reserve() as kept:
        assert len(rate._flying) == 1

    assert not rate._flying
    del kept


def test_something_given_back_while_the_lock_is_held_is_given_back_by_its_holder() -> None:
    """The garbage collector may settle in the middle of anything, and must not wait for itself."""
    reservations: list[Reservation] = []

    def collecting() -> float:
        while reservations:
            reservations.pop().settle(tokens=0)
        return 0.0

    rate = RateLimiter(tokens=Rate(100), clock=collecting)
    reservation = fits(rate, tokens=100)
    assert reservation is not None
    reservations.append(reservation)

    fits(rate, tokens=100)

    assert not reservations
    assert rate.statistics().dimensions["tokens"].available in {0, 100}


# --- modes


@virtual
async def test_off_lets_everybody_through_and_charges_nobody() -> None:
    """As if it were not there, but counted."""
    rate = RateLimiter(requests=Rate(1), mode="off", clock=clock)

    assert await admitted_at(rate, *[{}] * 5) == [0] * 5

    statistics = rate.statistics()
    assert (statistics.acquired, statistics.would_wait) == (5, 0)
    assert (statistics.dimensions["requests"].used, statistics.dimensions["requests"].available) == (5, 1)


@virtual
async def test_observe_counts_what_would_have_waited_and_drives_the_rate_into_no_debt() -> None:
    """Only what would have been admitted at once is charged."""
    rate = RateLimiter(tokens=Rate(10), mode="observe", clock=clock)

    assert await admitted_at(rate, *[{"tokens": each} for each in (6, 6, 4, 11)]) == [0] * 4

    statistics = rate.statistics()
    assert (statistics.would_wait, statistics.would_reject) == (1, 1)
    assert (statistics.dimensions["tokens"].used, statistics.dimensions["tokens"].available) == (27, 0)


async def test_observe_counts_who_would_not_have_been_allowed_to_wait() -> None:
    """With max_queued=0 nobody is."""
    rate = RateLimiter(requests=Rate(1), max_queued=0, mode="observe", clock=ManualClock())

    await admitted_at_once(rate, 3)

    assert (rate.statistics().would_wait, rate.statistics().would_reject) == (0, 2)


async def admitted_at_once(rate: RateLimiter, number: int) -> None:
    for _ in range(number):
        async with rate.reserve():
            pass


@pytest.mark.parametrize("mode", ["off", "observe"])
async def test_a_flip_wakes_everybody(mode: str) -> None:
    """A rollback acts at once, also for those who wait."""
    source = Source("enforce", "provider-rates")
    set_mode_source(source)
    rate = RateLimiter(requests=Rate(1), mode=None, clock=ManualClock())
    tasks = [asyncio.create_task(admitted_at_once(rate, 1)) for _ in range(4)]
    await settled()
    assert rate.statistics().queued == 3

    source.turn(mode)

    await asyncio.gather(*tasks)
    assert (rate.statistics().queued, rate.statistics().acquired) == (0, 4)


async def test_without_subscription_waiters_notice_a_flip_at_the_next_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are let in before the newcomer."""
    rate = RateLimiter(requests=Rate(1), mode=None, clock=ManualClock())
    monkeypatch.setenv("PENSTOCK_MODE", "enforce")
    tasks = [asyncio.create_task(admitted_at_once(rate, 1)) for _ in range(3)]
    await settled()

    monkeypatch.setenv("PENSTOCK_MODE", "off")
    await rate.reserve()

    await asyncio.gather(*tasks)
    assert rate.statistics().acquired == 4


async def test_a_settlement_of_what_was_never_charged_changes_only_what_was_used() -> None:
    """In mode off nothing was taken, so nothing is given back."""
    rate = RateLimiter(tokens=Rate(10), mode="off", clock=ManualClock())
    down, up, cancelled = [await rate.reserve(tokens=10) for _ in range(3)]

    down.settle(tokens=4)
    up.settle(tokens=15)
    cancelled.cancel()

    tokens = rate.statistics().dimensions["tokens"]
    assert (tokens.used, tokens.available) == (19, 10)


# --- resize


@virtual
async def test_a_higher_rate_lets_in_whoever_fits_now() -> None:
    """What was used still counts."""
    rate = RateLimiter(requests=Rate(1), clock=clock)
    waiting = asyncio.create_task(admitted_at(rate, *[{}] * 4))
    await asyncio.sleep(10)

    rate.resize(requests=Rate(3))

    assert await waiting == [0, 10, 10, 60]


@virtual
async def test_a_waiter_that_a_lower_rate_can_never_admit_is_refused() -> None:
    """It would wait for ever, and all behind it."""
    rate = RateLimiter(tokens=Rate(100), clock=clock)
    await rate.reserve(tokens=80)
    heavy = asyncio.create_task(admitted_at(rate, {"tokens": 90}))
    light = asyncio.create_task(admitted_at(rate, {"tokens": 50}))
    await settled()

    rate.resize(tokens=Rate(50))

    with pytest.raises(RequestTooLargeError, match="90 tokens at once; 50 is the most"):
        await heavy
    assert await light == [60]


@pytest.mark.parametrize("burst", [None, 10])
def test_what_was_used_outlives_a_change_of_algorithm(burst: float | None) -> None:
    """From a strict window to GCRA, and back."""
    time = ManualClock()
    rate = RateLimiter(tokens=Rate(10, per=10.0, burst=burst), clock=time)
    reservation = fits(rate, tokens=7)
    assert reservation is not None
    time.advance(1)

    rate.resize(tokens=Rate(10, per=10.0, burst=None if burst else 10))
    reservation.settle(tokens=5)

    tokens = rate.statistics().dimensions["tokens"]
    assert (tokens.used, tokens.available) == (5, pytest.approx(3 if burst is None else 4))


# --- learning

OPENAI = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "1",
    "x-ratelimit-reset-requests": "6m0s",
}


@virtual
async def test_what_a_provider_says_remains_is_all_that_is_admitted_until_it_is_set_again() -> None:
    """And the limit is shown, but not applied, as its period is not told."""
    rate = RateLimiter(requests=Rate(100), clock=clock)

    rate.learn(OPENAI)

    requests = rate.statistics().dimensions["requests"]
    assert (requests.remaining, requests.advertised, requests.amount) == (1, 60, 100)
    assert await admitted_at(rate, {}, {}, {}) == [0, 360, 360]
    assert rate.statistics().dimensions["requests"].remaining is None


@virtual
async def test_what_others_have_on_their_way_is_taken_off_what_remains() -> None:
    """The provider may not have seen them yet; the response's own request it has."""
    rate = RateLimiter(requests=Rate(100), tokens=Rate(100_000), clock=clock)
    headers = {"x-ratelimit-remaining-tokens": "1000", "x-ratelimit-reset-tokens": "30s"}

    async with rate.reserve(tokens=300) as first, rate.reserve(tokens=600) as other:
        first.learn(headers)
        first.settle(tokens=200)
        assert rate.statistics().dimensions["tokens"].remaining == 400

        other.settle(tokens=100)
        assert rate.statistics().dimensions["tokens"].remaining == 900

        await rate.reserve(tokens=800)
        assert await admitted_at(rate, {"tokens": 101}) == [30]


@virtual
async def test_what_is_cancelled_does_not_count_against_what_remains() -> None:
    """The call was never made."""
    rate = RateLimiter(requests=Rate(100), clock=clock)
    rate.learn(OPENAI)
    reservation = await rate.reserve()

    reservation.cancel()

    assert rate.statistics().dimensions["requests"].remaining == 1


@virtual
async def test_retry_after_holds_back_everybody_and_is_told_once() -> None:
    """Also those who ask for nothing; ten responses that say so are one event."""
    rate = RateLimiter("api", requests=Rate(100), clock=clock)
    with recorded() as events:
        for _ in range(10):
            rate.learn({"Retry-After": "7"})

    assert rate.statistics().blocked == 7
    assert await admitted_at(rate, {}, {"requests": 0}) == [7, 7]
    assert [(event.name, event.details) for event in events] == [("rate.learned", {"retry_after": 7})]


@virtual
async def test_nothing_left_is_told() -> None:
    """Once, until it is something again."""
    rate = RateLimiter(tokens=Rate(100), clock=clock)
    with recorded() as events:
        for _ in range(3):
            rate.learn({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "60"})

    assert [event.details for event in events] == [{"dimension": "tokens", "remaining": 0, "reset": 60}]
    assert await admitted_at(rate, {"tokens": 1}) == [60]


@virtual
async def test_a_waiter_hears_of_what_is_learnt() -> None:
    """More remains than was said before: it goes on."""
    rate = RateLimiter(tokens=Rate(100), clock=clock)
    rate.learn({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"})
    waiting = asyncio.create_task(admitted_at(rate, {"tokens": 10}))
    await asyncio.sleep(2)

    rate.learn({"x-ratelimit-remaining": "50", "x-ratelimit-reset": "60"})

    assert await waiting == [2]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-remaining-requests": "-1", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "-1"},
        {"x-ratelimit-remaining-requests": "nan", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "25h"},
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1999-01-01T00:00:00Z"},
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-limit-requests": "0", "x-ratelimit-reset-requests": "1s"},
        {"x-ratelimit-remaining-requests": "0"},
        {"retry-after": "-1"},
        {"retry-after": "soon"},
        {},
    ],
)
def test_nonsense_teaches_nothing(headers: dict[str, str]) -> None:
    """Providers do send it."""
    rate = RateLimiter(requests=Rate(100), clock=ManualClock())

    rate.learn(headers)

    assert (rate.statistics().blocked, rate.statistics().dimensions["requests"].remaining) == (0, None)
    assert fits(rate)


@virtual
async def test_what_is_learnt_is_only_enforced_in_enforce() -> None:
    """Observe counts it, off does not even look."""
    rates = {mode: RateLimiter(requests=Rate(100), mode=mode, clock=clock) for mode in ("off", "observe")}

    for rate in rates.values():
        rate.learn({"retry-after": "7"})
        assert await admitted_at(rate, {}) == [0]

    assert [rate.statistics().would_wait for rate in rates.values()] == [0, 1]


# --- what people say and see


def test_it_is_seen_and_says_what_it_is() -> None:
    """Its name, its rates, its mode, and how many wait."""
    rate = RateLimiter("openai", max_queued=5, requests=Rate(60), tokens=Rate(90_000, burst=500))

    assert repr(rate) == "<RateLimiter 'openai' enforce: 60 requests / 60 s, 90000 tokens / 60 s, 0 of 5 queued>"
    assert rate in resources()
    assert isinstance(rate, Resource)
    assert (rate.name, rate.kind, RateLimiter(requests=Rate(60)).name) == ("openai", "rate", "60-requests")


@pytest.mark.parametrize("value", [0, -1, True, float("nan"), float("inf"), "60", None, 1e16])
@pytest.mark.parametrize("key", ["amount", "per", "burst"])
def test_a_wrong_rate_is_refused(key: str, value: object) -> None:
    """The message says where, what and what is allowed."""
    if key == "burst" and value is None:
        return

    with pytest.raises(ConfigurationError, match=rf"Rate\(.*\): {key} = .*; allowed is a number above 0"):
        Rate(**{"amount": 60, key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1, True, float("nan"), float("inf"), "3", None, 10**400])
def test_a_wrong_amount_is_refused(value: Any) -> None:
    """Whether it is reserved or settled."""
    rate = RateLimiter("api", tokens=Rate(60))
    reservation = fits(rate, tokens=1)
    assert reservation is not None

    for ask in (rate.reserve, reservation.settle):
        with pytest.raises(ConfigurationError, match=r"rate 'api': tokens = .*; allowed is a number from 0"):
            ask(tokens=value)


def test_an_unknown_dimension_is_refused() -> None:
    """The message lists the known ones."""
    rate = RateLimiter("api", requests=Rate(60), tokens=Rate(60))
    reservation = fits(rate)
    assert reservation is not None

    for ask in (rate.reserve, reservation.settle):
        with pytest.raises(ConfigurationError, match="has no dimension 'token'; known are: requests, tokens"):
            ask(token=1)
    with pytest.raises(ConfigurationError, match="has no dimension 'token'"):
        rate.resize(token=Rate(1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "counts nothing; it needs a dimension"),
        ({"timeout": Rate(1)}, "of any name but timeout"),
        ({"requests": 60}, r"rate '60-requests': requests = 60; allowed is a Rate"),
        ({"requests": Rate(60), "max_queued": -1}, "max_queued = -1; allowed is a whole number"),
        ({"requests": Rate(60), "max_queued": True}, "max_queued = True; allowed is a whole number"),
        ({"requests": Rate(60), "mode": "on"}, "'on' is no mode; allowed are off, observe, enforce"),
    ],
)
def test_a_wrong_setting_is_refused(wrong: dict[str, Any], message: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(ConfigurationError, match=message):
        RateLimiter(**wrong)


@pytest.mark.parametrize("value", [-1, True, float("nan"), float("inf"), "3"])
def test_a_wrong_timeout_is_refused(value: Any) -> None:
    """None is for any time."""
    with pytest.raises(ConfigurationError, match=r"timeout = .*; allowed are seconds from 0"):
        RateLimiter(requests=Rate(1)).reserve(timeout=value)
