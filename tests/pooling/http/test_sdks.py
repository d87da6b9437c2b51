"""The SDKs of OpenAI and Anthropic over a policy: `http_client=`, and nothing else of the code changes."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import penstock_pooling
import penstock_pooling.httpx2
import pytest
from penstock_limits import CircuitBreaker, CircuitOpenError, Limiter, Policy, Rate, RateLimiter

from tests.limits.gauge import settled
from tests.pooling.http.stub import Provider

ASK: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
SDKS = ["openai over httpx", "openai over httpx2", "anthropic"]


class Sdk:
    """What the tests do with an SDK, by its name."""

    def __init__(self, name: str, policy: Policy, provider: Provider, max_retries: int = 0) -> None:
        if name == "openai over httpx":
            http: Any = httpx.AsyncClient(transport=penstock_pooling.PolicyTransport(policy))
        else:
            http = httpx2.AsyncClient(transport=penstock_pooling.httpx2.PolicyTransport(policy))
        options: Any = {"api_key": "k", "http_client": http, "max_retries": max_retries}
        self.module: Any = anthropic if name == "anthropic" else openai
        if name == "anthropic":
            self.client: Any = anthropic.AsyncAnthropic(base_url=provider.url, **options)
            self.ask, self.options = self.client.messages.create, ASK | {"max_tokens": 9}
        else:
            self.client = openai.AsyncOpenAI(base_url=provider.url + "/v1", **options)
            self.ask, self.options = self.client.chat.completions.create, ASK

    async def answer(self) -> str:
        return text(await self.ask(**self.options))

    async def stream(self) -> Any:
        return await self.ask(**self.options, stream=True)

    async def __aenter__(self) -> Sdk:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()


def text(answer: Any) -> str:
    return answer.content[0].text if hasattr(answer, "content") else answer.choices[0].message.content


def piece(part: Any) -> str:
    if hasattr(part, "choices"):
        return part.choices[0].delta.content or ""
    return getattr(getattr(part, "delta", None), "text", "")


async def first_piece(stream: Any) -> str:
    async for part in stream:
        if piece(part):
            return piece(part)
    raise AssertionError("no text")


@pytest.fixture(params=SDKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_an_answer_comes_through_the_policy(name: str, provider: Provider) -> None:
    """The SDK reads it as always."""
    limiter, rate = Limiter(max_running=1), RateLimiter("provider", requests=Rate(10))
    policy = Policy("provider", limiter=limiter, rate=rate)

    async with Sdk(name, policy, provider) as sdk:
        assert await sdk.answer() == "hello"

    assert policy.statistics().succeeded == rate.statistics().acquired == 1
    assert limiter.statistics().running == 0


async def test_the_permit_is_held_until_the_stream_ends(name: str, provider: Provider) -> None:
    """A second call waits for the end of the first one's stream."""
    limiter = Limiter(max_running=1)

    async with Sdk(name, Policy("provider", limiter=limiter), provider) as sdk:
        stream = await sdk.stream()
        assert await first_piece(stream) == "hel"
        assert limiter.statistics().running == 1
        second = asyncio.create_task(sdk.answer())
        await settled()
        assert (limiter.statistics().queued, len(provider.seen)) == (1, 1)

        provider.more.set()
        assert "".join([piece(part) async for part in stream]) in {"", "lo"}  # the SDKs' iterators go on
        await stream.close()
        assert await second == "hello"

    assert limiter.statistics().running == 0


async def test_a_whole_stream_gives_its_permit_back_without_being_closed(name: str, provider: Provider) -> None:
    """As programs do that read to the end."""
    limiter = Limiter(max_running=1)
    provider.more.set()

    async with Sdk(name, Policy("provider", limiter=limiter), provider) as sdk:
        assert "".join([piece(part) async for part in await sdk.stream()]) == "hello"
        assert limiter.statistics().running == 0


async def test_the_permit_is_given_back_when_the_stream_is_closed(name: str, provider: Provider) -> None:
    """Before its end."""
    limiter = Limiter(max_running=1)

    async with Sdk(name, Policy("provider", limiter=limiter), provider) as sdk:
        stream = await sdk.stream()
        assert limiter.statistics().running == 1
        await stream.close()
        assert limiter.statistics().running == 0


async def test_a_task_that_is_cancelled_in_a_stream_gives_the_permit_back(name: str, provider: Provider) -> None:
    """In the middle of the answer."""
    limiter = Limiter(max_running=1)
    read = asyncio.Event()

    async def reading(sdk: Sdk) -> None:
        async with await sdk.stream() as stream:
            async for part in stream:
                if piece(part):
                    read.set()

    async with Sdk(name, Policy("provider", limiter=limiter), provider) as sdk:
        task = asyncio.create_task(reading(sdk))
        await read.wait()
        task.cancel()
        await asyncio.wait([task])

        assert task.cancelled()
        assert limiter.statistics().running == 0


async def test_the_sdks_own_retry_comes_through_the_policy_each_time(name: str, provider: Provider) -> None:
    """Its attempts are calls of their own, for the rate and for the breaker."""
    breaker, rate = CircuitBreaker(), RateLimiter("provider", requests=Rate(10))
    provider.answers = [(503, {"retry-after-ms": "1"}), (500, {"retry-after-ms": "1"})]

    async with Sdk(name, Policy("provider", breaker=breaker, rate=rate), provider, max_retries=2) as sdk:
        assert await sdk.answer() == "hello"

    assert rate.statistics().acquired == len(provider.seen) == 3
    assert (breaker.statistics().failed, breaker.statistics().calls) == (2, 3)


async def test_an_error_of_the_provider_is_the_sdks_own(name: str, provider: Provider) -> None:
    """With its status; the policy has counted it."""
    policy = Policy("provider")
    provider.answers = [(429, {})]

    async with Sdk(name, policy, provider) as sdk:
        with pytest.raises(sdk.module.RateLimitError):
            await sdk.answer()

    assert policy.statistics().dropped == 1


async def test_a_refusal_is_the_sdks_connection_error(name: str, provider: Provider) -> None:
    """Its handlers go on to work; what refused is its cause, and nothing was sent."""
    breaker = CircuitBreaker(minimum_calls=1)
    with pytest.raises(ValueError), breaker.attempt():
        raise ValueError

    async with Sdk(name, Policy("provider", breaker=breaker), provider) as sdk:
        with pytest.raises(sdk.module.APIConnectionError) as caught:
            await sdk.answer()

    assert isinstance(caught.value.__cause__, CircuitOpenError)
    assert provider.seen == []


async def test_a_deadline_is_the_sdks_timeout(name: str, provider: Provider) -> None:
    """So is a permit that did not come in time."""
    for policy in (
        Policy("provider", limiter=Limiter(max_running=0), total_timeout=0.01),
        Policy("provider", limiter=Limiter(max_running=0, acquire_timeout=0.01)),
    ):
        async with Sdk(name, policy, provider) as sdk:
            with pytest.raises(sdk.module.APITimeoutError):
                await sdk.answer()


async def test_a_hundred_streams_leave_nothing_behind(name: str, provider: Provider) -> None:
    """Read, closed early and cancelled, all at once."""
    limiter = Limiter(max_running=10)
    provider.more.set()

    async def use(sdk: Sdk, number: int) -> None:
        async with await sdk.stream() as stream:
            if number % 3:
                async for _ in stream:
                    if number % 3 == 1:
                        break

    async with Sdk(name, Policy("provider", limiter=limiter), provider) as sdk:
        tasks = [asyncio.create_task(use(sdk, number)) for number in range(100)]
        for number, task in enumerate(tasks):
            if number % 7 == 0:
                asyncio.get_running_loop().call_later(number / 500, task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [each for each in results if isinstance(each, Exception)] == []
    assert limiter.statistics().running == limiter.statistics().surplus_releases == 0
    assert limiter.statistics().peak_running == 10
