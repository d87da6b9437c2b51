import asyncio
import socket

import pytest

from agents.breaker import BreakerOpenError, CircuitBreaker
from agents.provider import Provider, ProviderError, breaker
from agents.settings import Settings


def test_a_completion_has_a_text_and_a_price(settings):
    completion = asyncio.run(Provider(settings).complete("Hello", system="Be brief."))
    assert completion.text.startswith("1. part 1 of 'Hello'")
    assert completion.tokens == 5


def test_many_texts_are_embedded_in_order(settings):
    async def embed():
        return await Provider(settings).embed_all(["a", "bb", "ccc"])

    assert [vector[0] for vector in asyncio.run(embed())] == [1.0, 2.0, 3.0]


def test_a_provider_that_is_gone_is_an_error_and_opens_the_breaker(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("PROVIDER_URL", f"http://127.0.0.1:{port}/v1")

    async def ask():
        provider = Provider(Settings())
        for _ in range(breaker.threshold):
            with pytest.raises(ProviderError):
                await provider.complete("Hello")
        await provider.complete("Hello")

    with pytest.raises(BreakerOpenError):
        asyncio.run(ask())


def test_the_breaker_closes_after_a_success():
    async def fail():
        raise OSError

    async def succeed():
        return 7

    async def use():
        own = CircuitBreaker(threshold=2, reset_after=0.0)
        for _ in range(2):
            with pytest.raises(OSError):
                await own.call(fail)
        assert await own.call(succeed) == 7
        return own.failures

    assert asyncio.run(use()) == 0
