"""What a policy does to a call, layer by layer."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from penstock_limits import (
    AcquireTimeoutError,
    AdaptiveLimit,
    CallTimeoutError,
    CircuitBreaker,
    CircuitOpenError,
    ConfigurationError,
    Limiter,
    Policy,
    QueueFullError,
    Rate,
    RateLimiter,
    Sample,
    current_slot,
    retry,
    set_mode_source,
)
from penstock_limits.testing import ManualClock, run_in_virtual_time

from tests.limits.gauge import settled


def response(status: int, headers: dict[str, str] | None = None) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://localhost/")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, headers=headers))


async def fail() -> None:
    raise ConnectionError


async def test_a_slot_holds_a_permit_and_a_reservation() -> None:
    """And gives the permit back."""
    limiter, rate = Limiter("provider", max_running=2), RateLimiter("provider", requests=Rate(10), tokens=Rate(5_000))
    policy = Policy("provider", limiter=limiter, rate=rate)

    async with policy.slot(tokens=1_200):
        assert limiter.statistics().running == 1
        assert rate.statistics().dimensions["tokens"].used == 1_200

    assert limiter.statistics().running == 0
    assert policy.statistics().succeeded == 1


async def test_calls_that_wait_while_the_breaker_opens_are_not_made() -> None:
    """They give back what they hold, and the service is left alone."""
    limiter, rate = Limiter("provider", max_running=1), RateLimiter("provider", requests=Rate(100))
    policy = Policy("provider", breaker=CircuitBreaker("provider", minimum_calls=1), limiter=limiter, rate=rate)
    calls = []

    async def fails() -> None:
        calls.append(1)
        await asyncio.sleep(0)
        raise response(500)

    told = await asyncio.gather(*[policy.call(fails) for _ in range(10)], return_exceptions=True)

    assert len(calls) == 1
    assert [type(error) for error in told] == [httpx.HTTPStatusError] + [CircuitOpenError] * 9
    assert (limiter.statistics().running, rate.statistics().dimensions["requests"].used) == (0, 1)


async def test_a_slot_settles_what_it_really_used() -> None:
    """The estimate is corrected."""
    rate = RateLimiter("provider", requests=Rate(10), tokens=Rate(5_000))

    async with Policy("provider", rate=rate).slot(tokens=1_200) as slot:
        slot.used(tokens=830)

    assert rate.statistics().dimensions["tokens"].used == 830


async def test_what_the_rate_does_not_count_is_ignored() -> None:
    """A caller says its tokens, whether the configuration limits them or not."""
    policy = Policy("provider", rate=RateLimiter("provider", requests=Rate(10)))

    async with policy.slot(tokens=1_200) as slot:
        slot.used(tokens=830)

    assert policy.statistics().succeeded == 1


def test_what_no_rate_counts_is_refused() -> None:
    """With what may be counted."""
    with pytest.raises(ConfigurationError, match="policy 'provider': no rate counts 'token'; known are input_tokens"):
        Policy("provider").slot(token=1)


async def test_an_open_breaker_refuses_before_anybody_waits() -> None:
    """No permit is taken, nothing of the rate is used."""
    breaker = CircuitBreaker("provider", minimum_calls=1)
    limiter, rate = Limiter("provider", max_running=0), RateLimiter("provider", requests=Rate(10))
    with pytest.raises(ValueError), breaker.attempt():
        raise ValueError

    with pytest.raises(CircuitOpenError):
        await Policy("provider", breaker=breaker, limiter=limiter, rate=rate).slot().__aenter__()

    assert limiter.statistics().queued == 0
    assert rate.statistics().acquired == 0


async def test_a_full_queue_is_no_failure_of_the_service() -> None:
    """The breaker stays closed, whatever is refused inside."""
    breaker = CircuitBreaker("provider", minimum_calls=1)
    policy = Policy("provider", breaker=breaker, limiter=Limiter(max_running=0, max_queued=0))

    for _ in range(5):
        with pytest.raises(QueueFullError):
            await policy.slot().__aenter__()

    assert breaker.statistics().failed == 0


async def test_a_caller_that_is_cancelled_while_it_waits_leaves_nothing_behind() -> None:
    """No permit, no reservation, no trial of the breaker, no deadline."""
    limiter, rate = Limiter(max_running=1), RateLimiter("provider", requests=Rate(1))
    policy = Policy("provider", breaker=CircuitBreaker(), limiter=limiter, rate=rate, total_timeout=60)
    await rate.reserve()
    waiting = asyncio.create_task(policy.slot().__aenter__())
    await settled()
    assert limiter.statistics().running == 1

    waiting.cancel()
    await asyncio.wait([waiting])

    assert waiting.cancelled()
    assert limiter.statistics().running == rate.statistics().queued == 0


@pytest.mark.parametrize("which", ["total_timeout", "attempt_timeout"])
def test_a_call_that_takes_too_long_is_ended(which: str) -> None:
    """With an error that says by which deadline, at its time."""
    policy = Policy("provider", limiter=Limiter(max_running=1), **{which: 3.0})  # type: ignore[arg-type]

    async def main() -> float:
        with pytest.raises(CallTimeoutError, match=f"after 3 s: that is its {which}") as caught:
            await policy.call(asyncio.sleep, 10)
        assert isinstance(caught.value, TimeoutError)
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(main) == pytest.approx(3.0)


def test_the_total_timeout_counts_the_time_that_is_waited() -> None:
    """The attempt timeout does not."""
    limiter = Limiter(max_running=1)
    patient = Policy("patient", limiter=limiter, attempt_timeout=3.0)
    hasty = Policy("hasty", limiter=limiter, total_timeout=3.0)

    async def main() -> tuple[object, ...]:
        holder = asyncio.create_task(patient.call(asyncio.sleep, 2, "held"))
        waiters = [patient.call(asyncio.sleep, 2, "patient"), hasty.call(asyncio.sleep, 2, "hasty")]
        return tuple(await asyncio.gather(holder, *waiters, return_exceptions=True))

    held, waited, late = run_in_virtual_time(main)
    assert (held, waited) == ("held", "patient")
    assert isinstance(late, CallTimeoutError)


def test_a_late_attempt_is_a_failure_for_the_breaker() -> None:
    """And dropped, for whoever counts outcomes."""
    breaker = CircuitBreaker("provider", minimum_calls=1)
    policy = Policy("provider", breaker=breaker, attempt_timeout=1.0)

    async def main() -> None:
        with pytest.raises(CallTimeoutError):
            await policy.call(asyncio.sleep, 10)

    run_in_virtual_time(main)
    assert breaker.statistics().failed == policy.statistics().dropped == 1


def test_a_call_is_tried_again() -> None:
    """Each attempt is a slot of its own: with a permit, a reservation and a word to the breaker."""
    rate, breaker = RateLimiter("provider", requests=Rate(10)), CircuitBreaker()
    policy = Policy("provider", retry=retry(attempts=3), breaker=breaker, rate=rate, limiter=Limiter(max_running=1))
    outcomes = iter([response(503), response(503), "done"])

    async def call() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert run_in_virtual_time(lambda: policy.call(call)) == "done"
    assert rate.statistics().acquired == 3
    assert breaker.statistics().failed == 2
    assert (policy.statistics().dropped, policy.statistics().succeeded) == (2, 1)


def test_the_total_timeout_ends_all_attempts() -> None:
    """Whatever the retry still had in mind."""
    endless = retry(attempts=100, base=5.0, cap=5.0, budget=None, random=lambda: 1.0)
    policy = Policy("provider", retry=endless, total_timeout=12.0)

    async def fails() -> None:
        raise response(503)

    async def main() -> float:
        with pytest.raises(CallTimeoutError):
            await policy.call(fails)
        return asyncio.get_running_loop().time()

    assert run_in_virtual_time(main) == pytest.approx(12.0)


async def test_the_rate_learns_from_an_error() -> None:
    """A response 429 says when to come back."""
    rate = RateLimiter("provider", requests=Rate(10))
    policy = Policy("provider", rate=rate)

    with pytest.raises(httpx.HTTPStatusError):
        async with policy.slot():
            raise response(429, {"Retry-After": "30"})

    waiting = asyncio.create_task(policy.slot().__aenter__())
    await settled()
    assert not waiting.done()
    waiting.cancel()


async def test_a_decorated_function_is_guarded() -> None:
    """It keeps its name, and its slot can be asked for within."""
    rate = RateLimiter("provider", requests=Rate(10), tokens=Rate(5_000))
    policy = Policy("provider", rate=rate)

    @policy.reserving(tokens=1_000)
    async def ask(prompt: str) -> str:
        slot = current_slot()
        assert slot is not None
        slot.used(tokens=len(prompt))
        return prompt.upper()

    assert (await ask("why?"), ask.__name__) == ("WHY?", "ask")
    assert rate.statistics().dimensions["tokens"].used == 4
    assert current_slot() is None


def test_only_coroutine_functions_can_be_decorated() -> None:
    """A policy would have nothing to wait for."""
    with pytest.raises(ConfigurationError, match="policy 'provider' guards coroutine functions"):
        Policy("provider")(lambda: None)  # type: ignore[arg-type, return-value]


async def test_a_slot_borrows_what_the_call_is_made_with() -> None:
    """At last, and gives it back at first."""
    limiter, seen = Limiter(max_running=1), []

    @asynccontextmanager
    async def lend() -> AsyncIterator[str]:
        seen.append(limiter.statistics().running)
        yield "client"
        seen.append(limiter.statistics().running)

    async with Policy("provider", limiter=limiter).slot(borrow=lend) as slot:
        assert slot.client == "client"

    assert seen == [1, 1]
    assert limiter.statistics().running == 0


async def test_a_lender_that_fails_leaves_nothing_behind() -> None:
    """Neither at the way in nor at the way out."""
    limiter = Limiter(max_running=1)
    policy = Policy("provider", limiter=limiter, total_timeout=60, attempt_timeout=60)

    @asynccontextmanager
    async def lend(fails_at_once: bool) -> AsyncIterator[None]:
        if fails_at_once:
            raise ValueError("lender")
        yield
        raise ValueError("lender")

    for fails_at_once in (True, False):
        with pytest.raises(ValueError, match="lender"):
            async with policy.slot(borrow=lambda fails_at_once=fails_at_once: lend(fails_at_once)):  # type: ignore[misc]
                pass

    assert limiter.statistics().running == 0


async def test_a_policy_that_is_off_guards_nothing() -> None:
    """Every layer lets through, and counts."""
    set_mode_source(None)
    breaker = CircuitBreaker("provider", minimum_calls=1, mode=None)
    limiter = Limiter(max_running=0, mode=None)
    rate = RateLimiter("provider", requests=Rate(1), mode=None)
    policy = Policy(
        "provider", breaker=breaker, limiter=limiter, rate=rate, total_timeout=0.001, retry=retry(mode=None), mode=None
    )
    calls = 0

    async def fails() -> None:
        nonlocal calls
        calls += 1
        raise response(503)

    for _ in range(5):
        with pytest.raises(httpx.HTTPStatusError):
            await policy.call(fails)

    assert calls == 5
    assert policy.statistics().dropped == 5


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), True, "5"])
@pytest.mark.parametrize("which", ["total_timeout", "attempt_timeout"])
def test_a_wrong_deadline_is_refused(which: str, wrong: float) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationError, match=f"policy 'provider': {which} = .*; allowed are seconds above 0"):
        Policy("provider", **{which: wrong})  # type: ignore[arg-type]


def test_a_policy_shows_its_parts() -> None:
    """In the order in which they act."""
    policy = Policy("provider", limiter=Limiter("api_call", max_running=2), retry=retry("provider"))

    shown = repr(policy)
    assert shown.startswith("<Policy 'provider' enforce: ")
    assert shown.index("etry") < shown.index("Limiter 'api_call'")


async def test_an_adaptive_limit_is_told_how_calls_end() -> None:
    """How long they took without their waits, per token where the caller says so, and whether they were dropped."""
    clock, algorithm = ManualClock(), Told()
    policy = Policy("provider", limiter=AdaptiveLimit(Limiter(max_running=2), algorithm, clock=clock))

    async with policy.slot() as slot:
        clock.advance(6.0)
        slot.used(output_tokens=300)
    with pytest.raises(httpx.HTTPStatusError):
        async with policy.slot():
            raise response(429)

    assert algorithm.samples == [Sample(0.02, 1), Sample(0.0, 1, dropped=True)]


class Told:
    """An algorithm that only takes note."""

    limit = 2.0

    def __init__(self) -> None:
        self.samples: list[Sample] = []

    def update(self, sample: Sample) -> str | None:
        self.samples.append(sample)
        return None


async def test_a_wrong_amount_of_tokens_is_refused_and_nothing_is_lost() -> None:
    """Where it is said; the permit comes back all the same."""
    limiter = Limiter(max_running=2)
    policy = Policy("provider", limiter=AdaptiveLimit(limiter, Told()))

    with pytest.raises(ConfigurationError, match="output_tokens = -5; allowed is a number from 0"):
        async with policy.slot() as slot:
            slot.used(output_tokens=-5)
    async with policy.slot() as slot:
        slot.used(output_tokens=0.5)

    assert limiter.statistics().running == 0


async def test_a_limit_within_that_was_waited_for_too_long_says_nothing_about_the_service() -> None:
    """The attempt is ignored, and the adaptive limit does not learn from it."""
    algorithm, full = Told(), Limiter(max_running=0, acquire_timeout=0)
    policy = Policy("provider", limiter=AdaptiveLimit(Limiter(max_running=2), algorithm))

    with pytest.raises(AcquireTimeoutError):
        async with policy.slot(), full:
            pass

    assert policy.statistics().ignored == 1
    assert algorithm.samples == []


async def test_an_object_that_is_called_like_a_coroutine_function_can_be_guarded() -> None:
    """As a retry guards it."""

    class Ask:
        __name__ = __qualname__ = "ask"

        async def __call__(self) -> str:
            return "answer"

    assert await Policy("provider")(Ask())() == "answer"


class RudeError(Exception):
    """As some clients have it: what it is asked for, it raises."""

    @property
    def response(self) -> object:
        raise RuntimeError("there is no response yet")


async def test_an_error_that_cannot_be_asked_is_the_one_that_is_raised() -> None:
    """And nothing is lost on the way."""
    limiter = Limiter(max_running=1)
    policy = Policy("provider", limiter=limiter, rate=RateLimiter("provider", requests=Rate(10)))

    with pytest.raises(RudeError):
        async with policy.slot():
            raise RudeError

    assert limiter.statistics().running == 0


async def test_an_algorithm_that_fails_costs_no_permit() -> None:
    """Its error is raised, and the breaker is told all the same."""

    class Fails(Told):
        def update(self, sample: Sample) -> str | None:
            raise ZeroDivisionError

    limiter, breaker = Limiter(max_running=1), CircuitBreaker("provider")
    policy = Policy("provider", breaker=breaker, limiter=AdaptiveLimit(limiter, Fails()))

    with pytest.raises(ZeroDivisionError):
        async with policy.slot():
            pass

    assert limiter.statistics().running == 0
    assert breaker.statistics().succeeded == 1


@pytest.mark.parametrize("how", ["slot", "call"])
def test_a_service_that_hangs_is_seen_by_the_breaker_under_a_total_timeout_alone(how: str) -> None:
    """The call is cancelled, but by us: that is a timeout of the service."""
    breaker = CircuitBreaker("provider", minimum_calls=1)
    policy = Policy("provider", breaker=breaker, total_timeout=3.0)

    async def in_a_slot() -> None:
        async with policy.slot():
            await asyncio.sleep(100)

    async def main() -> None:
        with pytest.raises(CallTimeoutError):
            await (in_a_slot() if how == "slot" else policy.call(asyncio.sleep, 100))

    run_in_virtual_time(main)
    assert breaker.statistics().failed == policy.statistics().dropped == 1


async def test_a_slot_settles_with_the_rate_that_it_was_admitted_by() -> None:
    """Whatever the policy has taken on meanwhile."""
    old = RateLimiter("old", requests=Rate(10), tokens=Rate(5_000))
    policy = Policy("provider", rate=old)

    async with policy.slot(tokens=1_200) as slot:
        renew(policy, RateLimiter("new", requests=Rate(10)))
        slot.used(tokens=830)

    assert old.statistics().dimensions["tokens"].used == 830


async def test_a_decorated_function_reserves_what_the_rate_of_the_day_counts() -> None:
    """A reload may take away what is counted, and bring it back."""
    policy = Policy("provider", rate=RateLimiter("first", requests=Rate(10), tokens=Rate(5_000)))

    @policy.reserving(tokens=1_000)
    async def ask() -> str:
        return "answer"

    renew(policy, RateLimiter("second", requests=Rate(10)))
    assert await ask() == "answer"

    third = RateLimiter("third", requests=Rate(10), tokens=Rate(5_000))
    renew(policy, third)
    assert await ask() == "answer"
    assert third.statistics().dimensions["tokens"].used == 1_000


def renew(policy: Policy, rate: RateLimiter) -> None:
    policy.replace(total_timeout=None, retry=None, breaker=None, limiter=None, rate=rate, attempt_timeout=None)


async def test_a_slot_is_for_one_call() -> None:
    """A second one would give back what it has not got."""
    slot = Policy("provider", limiter=Limiter(max_running=1)).slot()
    async with slot:
        pass

    with pytest.raises(RuntimeError, match="a slot of policy 'provider' is for one call; ask for another"):
        await slot.__aenter__()


class Collector:
    """Does at the worst moment what the garbage collector may do at any: it ends calls that everybody has forgotten."""

    def __init__(self) -> None:
        self.forgotten: list[Coroutine[Any, Any, None]] = []

    def forget(self, call: Coroutine[Any, Any, None]) -> None:
        """Let a call begin, and nobody wait for its end."""
        call.send(None)
        self.forgotten.append(call)

    def run(self) -> None:
        while self.forgotten:
            self.forgotten.pop().close()


async def hang(slot: AbstractAsyncContextManager[object]) -> None:
    async with slot:
        await asyncio.Event().wait()


async def test_a_forgotten_slot_may_be_collected_while_its_rate_is_locked() -> None:
    """A rate looks at its clock under its lock."""
    collector = Collector()

    def clock() -> float:
        collector.run()
        return 0.0

    policy = Policy("provider", rate=RateLimiter("provider", requests=Rate(10), clock=clock))
    collector.forget(hang(policy.slot()))

    async with policy.slot():
        pass

    assert policy.statistics().ignored == 1


async def test_a_forgotten_attempt_may_be_collected_while_its_algorithm_learns() -> None:
    """It runs under the adaptive limit's lock."""
    collector, limiter = Collector(), Limiter(max_running=2)

    class Collects(Told):
        def update(self, sample: Sample) -> str | None:
            collector.run()
            return super().update(sample)

    algorithm = Collects()
    adaptive = AdaptiveLimit(limiter, algorithm)
    collector.forget(hang(adaptive.attempt()))

    async with adaptive.attempt():
        pass

    assert limiter.statistics().running == 0
    assert (adaptive.statistics().succeeded, adaptive.statistics().ignored) == (1, 1)


def test_what_waits_for_the_limiter_is_no_trial_call() -> None:
    """However long it waits, the breaker learns of the service from calls that are made."""

    async def main() -> tuple[str, int]:
        clock = asyncio.get_running_loop().time
        breaker = CircuitBreaker(
            "provider", minimum_calls=1, open_seconds=5, half_open_calls=1, half_open_seconds=10, clock=clock
        )
        limiter = Limiter(max_running=1)
        policy = Policy("provider", breaker=breaker, limiter=limiter)
        with pytest.raises(ConnectionError):
            await policy.call(fail)
        await asyncio.sleep(6)
        async with limiter:
            trial = asyncio.ensure_future(policy.call(asyncio.sleep, 0))
            await asyncio.sleep(11)
        await trial
        return breaker.state, breaker.statistics().failed

    assert run_in_virtual_time(main) == ("closed", 1)


def test_a_total_timeout_that_passes_in_the_queue_says_nothing_of_the_service() -> None:
    """It was never asked."""

    async def main() -> tuple[list[type], int]:
        breaker, limiter = CircuitBreaker("provider", minimum_calls=4), Limiter(max_running=1)
        policy = Policy("provider", breaker=breaker, limiter=limiter, total_timeout=5)
        async with limiter:
            calls = [policy.call(asyncio.sleep, 0) for _ in range(5)]
            told = await asyncio.gather(*calls, return_exceptions=True)
        return [type(error) for error in told], breaker.statistics().failed

    assert run_in_virtual_time(main) == ([CallTimeoutError] * 5, 0)


async def test_a_policys_call_is_a_coroutine_function() -> None:
    """So other decorators, a retry among them, take it for what it is."""
    calls = []

    async def twice() -> None:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError

    policy = Policy("provider")
    await retry(attempts=3, base=0.0)(functools.partial(policy.call, twice))()

    assert len(calls) == 3
    assert all(map(asyncio.iscoroutinefunction, (policy.call, policy.reserving().call)))


async def test_a_call_that_starts_while_the_policy_is_given_another_limit_tells_the_one_it_was_let_in_by() -> None:
    """In another thread, between any two steps of the change."""
    old, calls = Limiter(max_running=5), []

    class Interrupted(AdaptiveLimit):
        @property
        def limiter(self) -> Limiter:
            if not calls:
                calls.append(threading.Thread(target=asyncio.run, args=(policy.call(asyncio.sleep, 0),)))
                calls[0].start()
                calls[0].join()
            return super().limiter

    policy, adaptive = Policy("provider", limiter=old), Interrupted(Limiter(max_running=5), Told())
    policy.replace(total_timeout=None, retry=None, breaker=None, limiter=adaptive, rate=None, attempt_timeout=None)

    assert (policy.statistics().succeeded, adaptive.statistics().succeeded) == (1, 0)
