"""A call that goes on after its block: what it holds, what ends it, and what it counts as."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest
from penstock_limits import (
    CallTimeoutError,
    CircuitBreaker,
    KeptSlot,
    Limiter,
    Policy,
    Rate,
    RateLimiter,
    Slot,
)
from penstock_limits.testing import run_in_virtual_time

from tests.limits.gauge import settled


async def kept(policy: Policy) -> KeptSlot:
    async with policy.slot() as slot:
        return slot.keep()


async def test_a_kept_slot_holds_its_permit_until_it_is_closed() -> None:
    """And gives it back once, however often it is closed."""
    limiter = Limiter(max_running=2)
    policy = Policy("provider", limiter=limiter)

    call = await kept(policy)
    assert limiter.statistics().running == 1
    assert repr(call) == "<KeptSlot of policy 'provider': under way>"

    call.close()
    call.close(TimeoutError())
    assert limiter.statistics().running == limiter.statistics().surplus_releases == 0
    assert policy.statistics().succeeded == 1
    assert repr(call) == "<KeptSlot of policy 'provider': ended>"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "succeeded"),
        (TimeoutError(), "dropped"),
        (ValueError(), "ignored"),
        (asyncio.CancelledError(), "ignored"),
    ],
)
async def test_a_kept_slot_counts_as_what_it_is_closed_with(error: BaseException | None, outcome: str) -> None:
    """As if its block had raised it."""
    policy = Policy("provider")

    (await kept(policy)).close(error)

    counted = policy.statistics()
    assert {"succeeded", "dropped", "ignored"} - {outcome} == {
        name for name in ("succeeded", "dropped", "ignored") if not getattr(counted, name)
    }


async def test_a_kept_slot_that_is_closed_with_an_error_is_a_failure_for_the_breaker() -> None:
    """It counts when the call ends, not when its block does."""
    breaker = CircuitBreaker(minimum_calls=1)

    call = await kept(Policy("provider", breaker=breaker))
    assert breaker.statistics().calls == 0

    call.close(ConnectionError())
    assert breaker.state == "open"


async def test_a_kept_slot_that_is_collected_gives_its_permit_to_whoever_waits() -> None:
    """It counts as nothing."""
    limiter = Limiter(max_running=1)
    policy = Policy("provider", limiter=limiter, breaker=CircuitBreaker(minimum_calls=1))
    call: KeptSlot | None = await kept(policy)
    waiting = asyncio.create_task(kept(policy))
    await settled()

    assert call is not None
    del call
    gc.collect()

    (await waiting).close()
    assert limiter.statistics().running == 0
    assert (policy.statistics().ignored, policy.statistics().succeeded) == (1, 1)


async def test_a_block_that_fails_ends_the_call_though_it_was_kept() -> None:
    """Whoever raised does not know of what it kept."""
    limiter = Limiter(max_running=1)
    policy = Policy("provider", limiter=limiter)

    try:
        async with policy.slot() as slot:
            call = slot.keep()
            raise ValueError
    except ValueError:
        call.close()

    assert limiter.statistics().running == limiter.statistics().surplus_releases == 0
    assert policy.statistics().ignored == 1


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("way", ["closed", "forgotten"])
async def test_a_kept_slot_that_ends_inside_its_block_is_counted_once(way: str, fails: bool) -> None:
    """The end of the block does not give its permit back a second time, which would be another call's."""
    limiter = Limiter(max_running=2)
    policy = Policy("provider", limiter=limiter)

    async with limiter:
        with contextlib.suppress(ConnectionError):
            async with policy.slot() as slot:
                call = slot.keep()
                if way == "closed":
                    call.close()
                del call
                gc.collect()
                with pytest.raises(RuntimeError, match="cannot be ignored"):
                    slot.ignored()
                if fails:
                    raise ConnectionError
        assert limiter.statistics().running == 1

    told = policy.statistics()
    assert told.succeeded + told.ignored + told.dropped == 1
    assert limiter.statistics().surplus_releases == 0


async def test_an_ignored_call_counts_as_nothing() -> None:
    """For the breaker and for the policy, whatever it ends with."""
    breaker = CircuitBreaker(minimum_calls=1)
    policy = Policy("provider", breaker=breaker)

    with contextlib.suppress(ConnectionError):
        async with policy.slot() as slot:
            slot.ignored()
            raise ConnectionError

    assert (breaker.statistics().failed, breaker.statistics().ignored) == (0, 1)
    assert policy.statistics().ignored == 1


async def test_a_slot_is_kept_or_ignored_inside_its_block_only() -> None:
    """Neither before nor after it, and kept once."""
    policy = Policy("provider")

    def refused(slot: Slot) -> None:
        with pytest.raises(RuntimeError, match="of policy 'provider' cannot be kept: do it once, inside its block"):
            slot.keep()

    slot = policy.slot()
    refused(slot)
    with pytest.raises(RuntimeError, match="cannot be ignored"):
        slot.ignored()
    async with slot:
        call = slot.keep()
        refused(slot)
    refused(slot)
    call.close()


@pytest.mark.parametrize("which", ["total_timeout", "attempt_timeout"])
def test_the_deadlines_of_a_kept_slot_count_on(which: str) -> None:
    """In the parts that are guarded: what the caller does between them is not ended, though it takes time."""
    policy = Policy("provider", limiter=Limiter(max_running=1), **{which: 3.0})  # type: ignore[arg-type]

    async def main() -> float:
        call = await kept(policy)
        await call.in_time(asyncio.sleep(1))
        await asyncio.sleep(1)
        with pytest.raises(CallTimeoutError, match=f"after 3 s: that is its {which}"):
            await call.in_time(asyncio.sleep(10))
        ended = asyncio.get_running_loop().time()
        await asyncio.sleep(10)
        call.close()
        return ended

    assert run_in_virtual_time(main) == pytest.approx(3.0)


async def times_out() -> None:
    raise TimeoutError("of the socket")


async def test_a_timeout_of_the_body_itself_stays_what_it_is() -> None:
    """With deadlines and without."""
    for policy in (Policy("hasty", total_timeout=60), Policy("patient")):
        call = await kept(policy)

        with pytest.raises(TimeoutError) as caught:
            await call.in_time(times_out())
        call.close()

        assert not isinstance(caught.value, CallTimeoutError)


async def test_a_kept_slot_is_on_its_way_for_the_rate() -> None:
    """What the provider says remains is less what is on its way."""
    rate = RateLimiter("provider", requests=Rate(10))

    call = await kept(Policy("provider", rate=rate))
    assert len(rate._flying) == 1

    call.close()
    assert not rate._flying


async def test_what_was_borrowed_goes_back_with_the_block() -> None:
    """Whatever the slot keeps."""
    events = []

    class Lender:
        async def __aenter__(self) -> str:
            return "client"

        async def __aexit__(self, *_: object) -> None:
            events.append("given back")

    async with Policy("provider").slot(borrow=Lender) as slot:
        call = slot.keep()
    assert events == ["given back"]

    call.close()
