"""The model provider's HTTP API: chat completions and embeddings."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

import httpx

from agents.breaker import CircuitBreaker
from agents.settings import Settings
from agents.telemetry import telemetry

logger = logging.getLogger(__name__)


class ProviderError(Exception):
    """The provider answered with an error, or not at all."""


class RateLimitedError(ProviderError):
    """The provider answered 429: too many requests at once."""


@dataclass(frozen=True)
class Completion:
    """What the model said and what it cost."""

    text: str
    tokens: int


# One for the process: if the provider is down, it is down for everybody.
breaker = CircuitBreaker()


class Provider:
    """Asks the provider, again and again if need be."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._http = httpx.AsyncClient(
            base_url=self.settings.provider_url,
            headers={"Authorization": f"Bearer {self.settings.provider_key}"},
            timeout=60.0,
            # The default of 100 connections gave us PoolTimeout on every larger run.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        )

    async def complete(self, prompt: str, system: str = "", max_tokens: int = 256) -> Completion:
        """Ask for one completion."""
        messages = [{"role": "user", "content": prompt}]
        if system:
            messages.insert(0, {"role": "system", "content": system})
        body = {"model": self.settings.model, "messages": messages, "max_tokens": max_tokens}
        answer = await self._with_retries("/chat/completions", body)
        return Completion(answer["choices"][0]["message"]["content"], answer["usage"]["total_tokens"])

    async def embed(self, text: str) -> list[float]:
        """Ask for the embedding of one text."""
        answer = await self._with_retries("/embeddings", {"model": self.settings.model, "input": text})
        return answer["data"][0]["embedding"]

    async def embed_all(self, texts: list[str]) -> list[list[float]]:
        """Embed many texts; one that fails has no embedding, and an empty list in its place."""
        tasks = []
        for text in texts:
            tasks.append(asyncio.create_task(self.embed(text)))
        vectors = await asyncio.gather(*tasks, return_exceptions=True)
        return [[] if isinstance(vector, BaseException) else vector for vector in vectors]

    async def _with_retries(self, path: str, body: dict) -> dict:
        for attempt in range(self.settings.retries + 1):
            try:
                return await breaker.call(self._post, path, body, ignore=(RateLimitedError,))
            except RateLimitedError:
                if attempt == self.settings.retries:
                    raise
                delay = self.settings.backoff * 2**attempt
                logger.info("rate limited, trying again in %.1f s", delay)
                await asyncio.sleep(delay)
        raise AssertionError("unreachable")

    async def _post(self, path: str, body: dict) -> dict:
        started = time.perf_counter()
        try:
            response = await self._http.post(path, json=body)
        except httpx.HTTPError as error:
            telemetry.record(path, "error", time.perf_counter() - started)
            raise ProviderError(f"{path}: {error!r}") from error
        telemetry.record(path, str(response.status_code), time.perf_counter() - started)
        if response.status_code == 429:
            raise RateLimitedError(response.text)
        if response.is_error:
            raise ProviderError(f"{path}: {response.status_code} {response.text}")
        return response.json()
