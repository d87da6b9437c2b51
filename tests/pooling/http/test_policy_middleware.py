"""A policy under a session of aiohttp: what it holds, when, and what a response counts as."""

from __future__ import annotations

import asyncio
import gc
import pickle
from typing import Any

import aiohttp
import pytest
from penstock_limits import (
    CallTimeoutError,
    CircuitBreaker,
    ConfigurationError,
    Limiter,
    Policy,
    QueueFullError,
    Rate,
    RateLimiter,
    UnknownPolicyError,
)
from penstock_pooling.aiohttp import policy_middleware

from tests.limits.gauge import settled
from tests.pooling.http.stub import Provider


def session_under(policy: Policy | str, provider: Provider, **options: Any) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(provider.url + "/", middlewares=(policy_middleware(policy, **options),))


async def test_a_request_goes_through_the_policy(provider: Provider) -> None:
    """Breaker, limiter and rate see it; the session's user sees its response."""
    limiter, rate = Limiter(max_running=2), RateLimiter("provider", requests=Rate(10), tokens=Rate(1_000))
    policy = Policy("provider", breaker=CircuitBreaker(), limiter=limiter, rate=rate)
    provider.answers = [(200, {"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "60s"})]

    session = session_under(policy, provider, amounts=lambda _: {"tokens": 300})
    async with session, session.get("plain") as response:
        assert (await response.json())["headers"]

    assert limiter.statistics().acquired == rate.statistics().acquired == policy.statistics().succeeded == 1
    assert limiter.statistics().running == 0
    assert rate.statistics().dimensions["tokens"].used == 300
    assert rate.statistics().dimensions["requests"].remaining == 7


@pytest.mark.parametrize("how", ["read", "closed", "dropped"])
async def test_the_permit_is_kept_until_a_stream_has_ended(provider: Provider, how: str) -> None:
    """Or is closed; aiohttp itself keeps a forgotten response until its end, and its connection with it."""
    limiter = Limiter(max_running=1)

    async with session_under(Policy("provider", limiter=limiter), provider) as session:
        response = await session.get("parts")
        assert await response.content.readany() == b"one"
        assert limiter.statistics().running == 1
        if how == "read":
            provider.more.set()
            assert await response.read() == b"two"
        elif how == "closed":
            response.close()
        else:
            del response
            gc.collect()
            assert limiter.statistics().running == 1
            provider.more.set()
        async with asyncio.timeout(10):
            while limiter.statistics().running:
                await asyncio.sleep(0.001)


async def test_a_request_that_is_cancelled_gives_its_permit_back(provider: Provider) -> None:
    """It counts as nothing."""
    limiter = Limiter(max_running=1)
    policy = Policy("provider", limiter=limiter)

    async with session_under(policy, provider) as session:
        request = asyncio.ensure_future(session.get("wait"))
        await provider.arrived.wait()
        request.cancel()
        await asyncio.wait([request])

    assert limiter.statistics().running == 0
    assert policy.statistics().ignored == 1


@pytest.mark.parametrize(
    ("status", "outcome", "failed"),
    [(200, "succeeded", 0), (404, "ignored", 0), (429, "dropped", 1), (500, "ignored", 1), (503, "dropped", 1)],
)
async def test_a_status_counts_without_raising(provider: Provider, status: int, outcome: str, failed: int) -> None:
    """For the policy in its words, for the breaker as the service's failure or the caller's fault."""
    breaker = CircuitBreaker()
    policy = Policy("provider", breaker=breaker)
    provider.answers = [(status, {})]

    async with session_under(policy, provider) as session, session.get("plain") as response:
        assert response.status == status
        await response.read()

    assert getattr(policy.statistics(), outcome) == 1
    assert breaker.statistics().failed == failed


async def test_a_body_that_breaks_off_is_a_failure(provider: Provider) -> None:
    """Though its status was 200."""
    policy = Policy("provider", breaker=CircuitBreaker())
    timeout = aiohttp.ClientTimeout(sock_read=0.05)

    async with session_under(policy, provider) as session, session.get("parts", timeout=timeout) as response:
        with pytest.raises(aiohttp.ServerTimeoutError):
            await response.read()

    assert policy.statistics().dropped == 1


async def test_a_refusal_is_an_error_of_both(provider: Provider) -> None:
    """Handlers of aiohttp's errors go on to work; nothing was sent."""
    full = Policy("provider", limiter=Limiter(max_running=0, max_queued=0))
    late = Policy("provider", limiter=Limiter(max_running=0), total_timeout=0.01)

    async with session_under(full, provider) as session:
        with pytest.raises(QueueFullError) as refused:
            await session.get("plain")
    async with session_under(late, provider) as session:
        with pytest.raises(CallTimeoutError) as timed_out:
            await session.get("plain")

    assert isinstance(refused.value, aiohttp.ClientConnectionError)
    assert isinstance(timed_out.value, aiohttp.ServerTimeoutError)
    assert type(pickle.loads(pickle.dumps(timed_out.value))) is CallTimeoutError
    assert provider.seen == []


async def test_whoever_waits_is_let_in_when_a_response_has_been_read(provider: Provider) -> None:
    """In order."""
    limiter = Limiter(max_running=1)

    async with session_under(Policy("provider", limiter=limiter), provider) as session:
        first = await session.get("parts")
        second = asyncio.ensure_future(session.get("plain"))
        await settled()
        assert limiter.statistics().queued == 1
        provider.more.set()
        await first.read()
        (await second).close()


def test_what_is_no_policy_is_refused() -> None:
    """When the middleware is made."""
    with pytest.raises(ConfigurationError, match="policy = 3; allowed is a Policy, or the name of one"):
        policy_middleware(3)  # type: ignore[arg-type]
    with pytest.raises(UnknownPolicyError):
        policy_middleware("opnai")
