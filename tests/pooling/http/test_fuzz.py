"""Any mixture of reading, closing, forgetting, cancelling and failing leaves nothing held."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from typing import Any

import pytest
from penstock_limits import CircuitBreaker, Limiter, Policy, Rate, RateLimiter
from penstock_pooling import ClientSettings, HTTPClientManager

from tests.pooling.http.stub import Provider

PATHS = ["plain", "parts", "quick", "quick"]


async def use(client: Any, chance: random.Random) -> None:
    """Make a request and do with its response what a program may do."""
    response = await client.send(client.build_request("GET", chance.choice(PATHS)), stream=True)
    how = chance.randrange(5)
    if how == 0:
        await response.aread()
    elif how == 1:
        await response.aclose()
    elif how == 2:
        async for _ in response.aiter_bytes():
            break
    elif how == 3:
        async for _ in response.aiter_bytes():
            raise LookupError
    # else it is forgotten


async def rounds(client: Any, provider: Provider, chance: random.Random, number: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(number):
        provider.answers = [(chance.choice([200, 200, 404, 429, 503]), {}) for _ in range(10)]
        tasks = [asyncio.create_task(use(client, chance)) for _ in range(20)]
        for task in tasks:
            if chance.random() < 0.3:
                loop.call_later(chance.random() * 0.03, task.cancel)
        await asyncio.wait(tasks)
        errors = [task.exception() for task in tasks if not task.cancelled()]
        del tasks
        assert [error for error in errors if error is not None and not is_expected(error)] == []


def is_expected(error: BaseException) -> bool:
    return isinstance(error, (LookupError, TimeoutError)) or "Timeout" in type(error).__name__


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["httpx", "httpx2"])
async def test_nothing_is_held_when_all_is_over(name: str, provider: Provider, seed: int) -> None:
    """No permit, no place in the rate, no trial of the breaker, no connection of the pool."""
    provider.more.set()
    limiter, rate = Limiter(max_running=8), RateLimiter("provider", requests=Rate(1_000_000))
    breaker = CircuitBreaker(failure_rate=1.0, minimum_calls=1_000_000)
    policy = Policy("provider", limiter=limiter, rate=rate, breaker=breaker, total_timeout=0.3)
    settings = ClientSettings(module=name, base_url=provider.url + "/", max_connections=5)

    async with HTTPClientManager({"provider": settings}) as clients, clients.client("provider") as pooled:
        pooled._transport = guarded(name, policy, pooled._transport)
        await rounds(pooled, provider, random.Random(seed), 20 if seed == 1 else 100)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while limiter.statistics().running or clients.statistics("provider").running:
                    gc.collect()
                    await asyncio.sleep(0.01)
        counted = clients.statistics("provider")

    assert limiter.statistics().running == limiter.statistics().queued == 0
    assert limiter.statistics().surplus_releases == 0
    assert counted.running == counted.queued == 0
    assert rate._flying == {}
    ended = policy.statistics()
    assert ended.succeeded + ended.ignored + ended.dropped == rate.statistics().acquired
    assert ended.succeeded > 0


def guarded(name: str, policy: Policy, transport: Any) -> Any:
    import importlib

    module = importlib.import_module("penstock_pooling" if name == "httpx" else "penstock_pooling.httpx2")
    return module.PolicyTransport(policy, transport)
