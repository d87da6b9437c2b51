"""A policy under a client of httpx or httpx2: what it holds, when, and what a response counts as."""

from __future__ import annotations

import asyncio
import gc
import importlib
import pickle
from collections.abc import AsyncIterator
from typing import Any

import penstock_pooling
import pytest
from penstock_limits import (
    AcquireTimeoutError,
    CallTimeoutError,
    CircuitBreaker,
    CircuitOpenError,
    ConfigurationError,
    Limiter,
    Policy,
    QueueFullError,
    Rate,
    RateLimiter,
    RequestTooLargeError,
    Retry,
    UnknownPolicyError,
)

from tests.limits.gauge import settled
from tests.pooling.http.stub import Provider


def transport_of(module: Any) -> Any:
    return penstock_pooling if module.__name__ == "httpx" else importlib.import_module("penstock_pooling.httpx2")


def client_under(module: Any, policy: Policy | str, provider: Provider, **options: Any) -> Any:
    transport = transport_of(module).PolicyTransport(policy, **options)
    return module.AsyncClient(transport=transport, base_url=provider.url)


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_a_request_goes_through_the_policy(module: Any, provider: Provider) -> None:
    """Breaker, limiter and rate see it; the client sees its response."""
    limiter, rate = Limiter(max_running=2), RateLimiter("provider", requests=Rate(10))
    policy = Policy("provider", breaker=CircuitBreaker(), limiter=limiter, rate=rate)

    async with client_under(module, policy, provider) as client:
        response = await client.get("/plain")

    assert response.status_code == 200
    assert limiter.statistics().acquired == rate.statistics().acquired == policy.statistics().succeeded == 1
    assert limiter.statistics().running == 0


async def test_the_permit_is_kept_until_a_stream_is_at_its_end(module: Any, provider: Provider) -> None:
    """A response whose headers are there is not an answer yet."""
    limiter = Limiter(max_running=1)
    policy = Policy("provider", limiter=limiter)

    async with client_under(module, policy, provider) as client, client.stream("GET", "/parts") as response:
        parts = response.aiter_text()
        assert await anext(parts) == "one"
        assert (limiter.statistics().running, policy.statistics().succeeded) == (1, 0)

        provider.more.set()
        assert "".join([part async for part in parts]) == "two"
        assert (limiter.statistics().running, policy.statistics().succeeded) == (0, 1)


async def test_the_permit_is_kept_until_a_stream_is_closed(module: Any, provider: Provider) -> None:
    """Whoever has read enough has been answered."""
    limiter = Limiter(max_running=1)
    policy = Policy("provider", limiter=limiter)

    async with client_under(module, policy, provider) as client:
        async with client.stream("GET", "/parts"):
            assert limiter.statistics().running == 1
        assert limiter.statistics().running == 0

    assert policy.statistics().succeeded == 1


async def test_a_stream_that_is_dropped_gives_its_permit_back(module: Any, provider: Provider) -> None:
    """As soon as the collector finds it; whoever waits is let in."""
    limiter = Limiter(max_running=1)
    policy = Policy("provider", limiter=limiter)

    async with client_under(module, policy, provider) as client:
        response = await client.send(client.build_request("GET", "/parts"), stream=True)
        waiting = asyncio.create_task(client.get("/plain"))
        await settled()
        assert limiter.statistics().queued == 1
        del response
        gc.collect()
        await waiting

    assert limiter.statistics().running == 0
    assert (policy.statistics().ignored, policy.statistics().succeeded) == (1, 1)


async def test_a_stream_that_is_dropped_half_way_gives_its_permit_back(module: Any, provider: Provider) -> None:
    """Its iterator is what the collector finds."""
    limiter = Limiter(max_running=1)

    async with client_under(module, Policy("provider", limiter=limiter), provider) as client:
        response = await client.send(client.build_request("GET", "/parts"), stream=True)
        parts = response.aiter_text()
        assert await anext(parts) == "one"
        del response, parts
        gc.collect()
        await until(lambda: limiter.statistics().running == 0)


@pytest.mark.parametrize("path", ["/wait", "/parts"])
async def test_a_request_that_is_cancelled_gives_its_permit_back(module: Any, provider: Provider, path: str) -> None:
    """Before its headers and in its body; it counts as nothing."""
    limiter = Limiter(max_running=1)
    policy = Policy("provider", limiter=limiter)

    async with client_under(module, policy, provider) as client:
        request = asyncio.create_task(client.get(path))
        await provider.arrived.wait()
        if path == "/parts":
            await asyncio.sleep(0.05)  # for its headers to come; it is cancelled in either case
        request.cancel()
        await asyncio.wait([request])

    assert request.cancelled()
    assert limiter.statistics().running == 0
    assert policy.statistics().ignored == 1


@pytest.mark.parametrize(
    ("status", "outcome", "failed"),
    [
        *((200, "succeeded", 0), (404, "ignored", 0), (400, "ignored", 0), (408, "ignored", 1)),
        *((429, "dropped", 1), (500, "ignored", 1), (503, "dropped", 1), (529, "dropped", 1)),
    ],
)
async def test_a_status_counts_without_raising(
    module: Any, provider: Provider, status: int, outcome: str, failed: int
) -> None:
    """For the policy in its words, for the breaker as the service's failure or the caller's fault."""
    breaker = CircuitBreaker()
    policy = Policy("provider", breaker=breaker)
    provider.answers = [(status, {})]

    async with client_under(module, policy, provider) as client:
        response = await client.get("/plain")

    assert response.status_code == status
    assert response.json()
    assert getattr(policy.statistics(), outcome) == 1
    assert breaker.statistics().failed == failed


async def test_a_breakers_judge_gets_the_clients_own_error(module: Any, provider: Provider) -> None:
    """What was written for `raise_for_status` judges here, too."""
    judged = []

    def is_failure(error: Exception) -> bool:
        judged.append(error)
        return False

    breaker = CircuitBreaker(is_failure=is_failure)
    provider.answers = [(500, {})]
    async with client_under(module, Policy("provider", breaker=breaker), provider) as client:
        await client.get("/plain")

    assert isinstance(judged[0], module.HTTPStatusError)
    assert judged[0].response.status_code == 500
    assert judged[0].request.url.path == "/plain"


async def test_the_rate_learns_from_headers(module: Any, provider: Provider) -> None:
    """OpenAI's and Anthropic's, as soon as they are there."""
    rate = RateLimiter("provider", requests=Rate(100), tokens=Rate(1_000))
    provider.answers = [
        (200, {"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "60s"}),
        (200, {"anthropic-ratelimit-tokens-remaining": "70", "anthropic-ratelimit-tokens-reset": "60"}),
    ]

    async with client_under(module, Policy("provider", rate=rate), provider) as client:
        await client.get("/plain")
        assert rate.statistics().dimensions["requests"].remaining == 7
        async with client.stream("GET", "/parts"):
            assert rate.statistics().dimensions["tokens"].remaining == 70


async def test_retry_after_holds_back_the_next_request(module: Any, provider: Provider) -> None:
    """The response 429 itself is the client's."""
    rate = RateLimiter("provider", requests=Rate(100))
    provider.answers = [(429, {"retry-after": "30"})]

    async with client_under(module, Policy("provider", rate=rate), provider) as client:
        assert (await client.get("/plain")).status_code == 429
        waiting = asyncio.create_task(client.get("/plain"))
        await settled()
        assert rate.statistics().queued == 1
        assert rate.statistics().blocked > 25
        waiting.cancel()
        await asyncio.wait([waiting])

    assert provider.seen == ["/plain"]


async def test_a_request_takes_what_is_said_of_it(module: Any, provider: Provider) -> None:
    """Of each dimension of the rate."""
    rate = RateLimiter("provider", requests=Rate(10), tokens=Rate(1_000))

    def amounts(request: Any) -> dict[str, float]:
        return {"tokens": len(request.content)}

    policy = Policy("provider", rate=rate)
    async with client_under(module, policy, provider, amounts=amounts) as client:
        await client.post("/plain", content=b"x" * 300)

    assert rate.statistics().dimensions["tokens"].used == 300


@pytest.mark.parametrize(
    ("refusing", "kind", "is_timeout"),
    [
        ({"breaker": "open"}, CircuitOpenError, False),
        ({"limiter": Limiter("l", max_running=0, max_queued=0)}, QueueFullError, False),
        ({"limiter": Limiter("l", max_running=0, acquire_timeout=0.01)}, AcquireTimeoutError, True),
        ({"limiter": Limiter("l", max_running=0), "total_timeout": 0.01}, CallTimeoutError, True),
        ({"rate": RateLimiter("r", requests=Rate(1))}, RequestTooLargeError, False),
    ],
    ids=["open", "full", "late", "deadline", "too large"],
)
async def test_a_refusal_is_an_error_of_both(
    module: Any, provider: Provider, refusing: dict[str, Any], kind: type[Exception], is_timeout: bool
) -> None:
    """Handlers of the client's errors go on to work, handlers of penstock's know what it was; nothing was sent."""
    if refusing == {"breaker": "open"}:
        refusing = {"breaker": CircuitBreaker(minimum_calls=1)}
        with pytest.raises(ValueError), refusing["breaker"].attempt():
            raise ValueError
    policy = Policy("provider", **refusing)

    async with client_under(module, policy, provider, amounts=lambda _: {"requests": 2}) as client:
        with pytest.raises(kind) as caught:
            await client.get("/plain")

    error: Any = caught.value
    assert isinstance(error, module.TransportError)
    assert isinstance(error, module.TimeoutException) == is_timeout
    assert error.request.url.path == "/plain"
    assert str(error) == str(error.__cause__)
    assert "provider" in str(error) or "'l'" in str(error) or "'r'" in str(error) or "breaker" in str(error)
    assert type(pickle.loads(pickle.dumps(error))) is kind
    assert provider.seen == []


@pytest.mark.parametrize("which", ["total_timeout", "attempt_timeout"])
async def test_a_deadline_ends_a_request(module: Any, provider: Provider, which: str) -> None:
    """While its response is waited for, and while its body is read; it counts as dropped."""
    policy = Policy("provider", **{which: 0.05})  # type: ignore[arg-type]

    async with client_under(module, policy, provider) as client:
        for path in ("/wait", "/parts"):
            with pytest.raises(CallTimeoutError) as caught:
                await client.get(path)
            assert isinstance(caught.value, module.TimeoutException)

    assert policy.statistics().dropped == 2


async def test_a_deadline_does_not_end_what_the_caller_does_between_parts(module: Any, provider: Provider) -> None:
    """Only the next part comes too late."""
    policy = Policy("provider", total_timeout=0.5)

    async with client_under(module, policy, provider) as client, client.stream("GET", "/parts") as response:
        parts = response.aiter_text()
        assert await anext(parts) == "one"
        await asyncio.sleep(0.6)
        with pytest.raises(CallTimeoutError):
            await anext(parts)


async def test_a_body_that_breaks_off_is_a_failure(module: Any, provider: Provider) -> None:
    """Though its status was 200."""
    breaker = CircuitBreaker()

    class Broken(module.AsyncByteStream):  # type: ignore[misc, name-defined]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"one"
            raise module.ReadError("gone")

    transport = module.MockTransport(lambda request: module.Response(200, stream=Broken()))
    policy = Policy("provider", breaker=breaker)
    async with client_under(module, policy, provider, transport=transport) as client:
        with pytest.raises(module.ReadError):
            await client.get("/plain")

    assert breaker.statistics().failed == 1


@pytest.mark.parametrize(("status", "outcome"), [(200, "succeeded"), (503, "dropped"), (404, "ignored")])
async def test_a_response_that_has_been_read_already_has_ended(
    module: Any, provider: Provider, status: int, outcome: str
) -> None:
    """A cache's, a mock's: nobody closes it."""
    limiter = Limiter(max_running=1)
    policy = Policy("provider", limiter=limiter)
    transport = module.MockTransport(lambda request: module.Response(status, text="hello"))

    async with client_under(module, policy, provider, transport=transport) as client:
        responses = [await client.get("/plain") for _ in range(3)]

    assert [response.text for response in responses] == ["hello"] * 3
    assert limiter.statistics().running == 0
    assert getattr(policy.statistics(), outcome) == 3


async def test_a_request_is_sent_once(module: Any, provider: Provider) -> None:
    """Its body may not be there for a second time; whoever repeats it sits above."""
    policy = Policy("provider", retry=Retry("provider", attempts=3))
    provider.answers = [(503, {})]

    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    async with client_under(module, policy, provider) as client:
        assert (await client.post("/plain", content=body())).status_code == 503

    assert provider.bodies == [b"once"]


async def test_a_policy_that_is_off_changes_nothing(module: Any, provider: Provider) -> None:
    """Asked for by name, before any flag is set."""
    provider.answers = [(503, {"retry-after": "60"}), (200, {})]

    async with client_under(module, "openai", provider) as client:
        assert [(await client.get("/plain")).status_code for _ in range(3)] == [503, 200, 200]


async def test_closing_the_client_closes_the_transport_beneath(module: Any, provider: Provider) -> None:
    """Entered and left once."""
    told = []

    class Beneath(module.AsyncHTTPTransport):  # type: ignore[misc, name-defined]
        async def aclose(self) -> None:
            told.append("closed")
            await super().aclose()

        async def __aexit__(self, *error: Any) -> None:
            told.append("left")
            await super().__aexit__(*error)

    async with client_under(module, Policy("provider"), provider, transport=Beneath()):
        pass
    await client_under(module, Policy("provider"), provider, transport=Beneath()).aclose()

    assert told == ["left", "closed"]


def test_what_is_no_policy_is_refused(module: Any) -> None:
    """With what is allowed."""
    transport = transport_of(module).PolicyTransport

    with pytest.raises(ConfigurationError, match="policy = 3; allowed is a Policy, or the name of one"):
        transport(3)
    with pytest.raises(ConfigurationError, match="amounts = 3; allowed is a function of the request"):
        transport(Policy("provider"), amounts=3)
    with pytest.raises(UnknownPolicyError, match="no policy named 'opnai'"):
        transport("opnai")


def test_a_transport_shows_its_policy(module: Any) -> None:
    """And nothing of what it sends."""
    assert repr(transport_of(module).PolicyTransport(Policy("provider"))) == (
        "<PolicyTransport under <Policy 'provider' enforce: nothing but deadlines>>"
    )


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    """As in any module."""
    with pytest.raises(AttributeError, match="module 'penstock_pooling' has no attribute 'PolicyTransports'"):
        penstock_pooling.PolicyTransports  # noqa: B018
