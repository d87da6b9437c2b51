"""How clients of httpx and httpx2 are opened, for one borrower or over what all of an event loop share."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from penstock_limits import Limiter

from penstock_pooling._http.client_classes import as_transport
from penstock_pooling._http.client_settings import ClientSettings
from penstock_pooling._http.client_statistics import Counters
from penstock_pooling._http.policy_transport import GuardedTransport
from penstock_pooling._http.pooled_transport import PooledTransport
from penstock_pooling._http.proxies import environment_proxies

__all__ = ["TransportClients"]


class LentTransport:
    """What one borrower's client sends by: closing it closes the borrower's own responses, and nothing of others.

    Args:
        transport: What sends for all.
        count: Counts what it sends.
    """

    def __init__(self, transport: Any, count: Count) -> None:
        self._transport = transport
        self._count = count
        self._bodies: weakref.WeakSet[Any] = weakref.WeakSet()

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request."""
        self._count.request()
        response = await self._transport.handle_async_request(request)
        self._count.response(response)
        self._bodies.add(response.stream)
        return response

    async def aclose(self) -> None:
        """Close the responses that the borrower has left open, as the client's own transport does."""
        for body in [*self._bodies]:
            await body.aclose()


@dataclass(frozen=True, slots=True)
class Shared:
    """What the borrowers of an event loop share.

    Attributes:
        transport: What sends.
        mounts: What sends instead, by URL pattern: through the proxies of the environment.
        count: Counts what they send.
    """

    transport: Any
    mounts: dict[str, Any]
    count: Count

    @property
    def closed(self) -> bool:
        """Whether a borrower has closed it; none can."""
        return False

    async def close(self) -> None:
        """Close it for all."""
        for each in {self.transport, *self.mounts.values()} - {None}:
            await each.aclose()


class TransportClients:
    """Opens clients of a module.

    Args:
        module: The module.
        policy_transport: Its `PolicyTransport`.
    """

    def __init__(self, module: ModuleType, policy_transport: type[GuardedTransport]) -> None:
        self._module = module
        self._policy_transport = policy_transport
        self._pooled_transport = as_transport(PooledTransport, module)
        self._lent_transport = as_transport(LentTransport, module)

    def own(self, settings: ClientSettings, counters: Counters | None) -> Any:
        """Return a client for one borrower, as the module makes it; an async context manager."""
        options = self._options(settings)
        if counters is not None:
            options["event_hooks"] = Count(counters).hooks()
        if settings.policy is None and not settings.connect_retries:
            return self._module.AsyncClient(limits=self._limits(settings), **options)
        limiter = Limiter("connections", max_running=settings.max_connections)
        transport, mounts = self._transports(settings, limiter, lambda _: None)
        return self._module.AsyncClient(transport=transport, mounts=mounts, **options)

    def shared(
        self, settings: ClientSettings, counters: Counters, limiter: Limiter, replaced: Callable[[int], None]
    ) -> Shared:
        """Return what all borrowers of this event loop share."""
        return Shared(*self._transports(settings, limiter, replaced), Count(counters))

    def lent(self, shared: Shared, settings: ClientSettings) -> Any:
        """Return a borrower's client: headers, cookies, hooks and the like are its own, connections are shared."""

        def by(transport: Any) -> Any:
            return None if transport is None else self._lent_transport(transport, shared.count)

        mounts = {pattern: by(mount) for pattern, mount in shared.mounts.items()}
        return self._module.AsyncClient(transport=by(shared.transport), mounts=mounts, **self._options(settings))

    @staticmethod
    async def close(client: Any) -> None:
        """Close a borrower's client."""
        await client.aclose()

    def _transports(
        self, settings: ClientSettings, limiter: Limiter, replaced: Callable[[int], None]
    ) -> tuple[Any, dict[str, Any]]:
        """Return what sends, and what sends instead by URL pattern."""
        ssl = self._module.create_ssl_context()  # once: it takes many milliseconds

        def by(proxy: str | None) -> Any:
            def make() -> Any:
                return self._module.AsyncHTTPTransport(
                    verify=ssl, limits=self._limits(settings), retries=settings.connect_retries, proxy=proxy
                )

            pooled = self._pooled_transport(self._module, make, limiter, replaced)
            return pooled if settings.policy is None else self._policy_transport(settings.policy, pooled)

        proxies = environment_proxies(self._module)
        routes = {proxy: by(proxy) for proxy in {None, *proxies.values()}}
        return routes[None], {pattern: proxy and routes[proxy] for pattern, proxy in proxies.items()}

    def _limits(self, settings: ClientSettings) -> Any:
        return self._module.Limits(
            max_connections=settings.max_connections,
            max_keepalive_connections=settings.max_keepalive_connections,
            keepalive_expiry=settings.keepalive_expiry,
        )

    def _options(self, settings: ClientSettings) -> dict[str, Any]:
        return {
            "base_url": settings.base_url,
            "headers": settings.all_headers(),
            "timeout": self._module.Timeout(**settings.timeouts()),
        }


class Count:
    """Counts requests, and the connections that they came over."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def request(self) -> None:
        """Count a request."""
        self._counters.requests += 1

    def response(self, response: Any) -> None:
        """Count its connection, if it is a new one."""
        connection = response.extensions.get("network_stream")
        if connection is not None and connection not in self._seen:
            self._seen.add(connection)
            self._counters.connections += 1

    def hooks(self) -> dict[str, list[Callable[[Any], Any]]]:
        """Return what counts for one client."""

        async def request(_: Any) -> None:
            self.request()

        async def response(response: Any) -> None:
            self.response(response)

        return {"request": [request], "response": [response]}
