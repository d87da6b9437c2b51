"""How clients of httpx and httpx2 are opened, for one borrower or for all of an event loop."""

from __future__ import annotations

import http.cookiejar
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

from penstock_limits import Limiter

from penstock_pooling._http._client_settings import ClientSettings
from penstock_pooling._http._client_statistics import Counters
from penstock_pooling._http._policy_transport import GuardedTransport
from penstock_pooling._http._pooled_transport import PooledTransport

__all__ = ["TransportClients"]


class TransportClients:
    """Opens clients of a module.

    Args:
        module: The module.
        policy_transport: Its `PolicyTransport`.
        pooled_transport: Its transport with a pool that replaces itself.
        lent_client: Its client that borrowers cannot close.
    """

    def __init__(
        self,
        module: ModuleType,
        policy_transport: type[GuardedTransport],
        pooled_transport: type[PooledTransport],
        lent_client: type[Any],
    ) -> None:
        self._module = module
        self._policy_transport = policy_transport
        self._pooled_transport = pooled_transport
        self._lent_client = lent_client

    def own(self, settings: ClientSettings, counters: Counters | None) -> Any:
        """Return a client for one borrower, as the module makes it; an async context manager."""
        options = self._options(settings, counters)
        if settings.policy is None and not settings.connect_retries:
            return self._module.AsyncClient(limits=self._limits(settings), **options)
        limiter = Limiter("connections", max_running=settings.max_connections)
        return self._module.AsyncClient(transport=self._transport(settings, limiter, lambda _: None), **options)

    def shared(
        self, settings: ClientSettings, counters: Counters, limiter: Limiter, replaced: Callable[[int], None]
    ) -> Any:
        """Return a client for all borrowers of this event loop.

        It keeps no cookies: what one borrower is given must not be sent for another.
        """
        refuse_all = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        transport = self._transport(settings, limiter, replaced)
        return self._lent_client(transport=transport, cookies=refuse_all, **self._options(settings, counters))

    @staticmethod
    def is_closed(client: Any) -> bool:
        """Tell whether a client was closed."""
        return bool(client.is_closed)

    @staticmethod
    async def close(client: Any) -> None:
        """Close a shared client."""
        await client.close_for_all()

    def _transport(self, settings: ClientSettings, limiter: Limiter, replaced: Callable[[int], None]) -> Any:
        ssl = self._module.create_ssl_context()  # once: it takes many milliseconds

        def make(proxy: str | None) -> Any:
            return self._module.AsyncHTTPTransport(
                verify=ssl, limits=self._limits(settings), retries=settings.connect_retries, proxy=proxy
            )

        pooled = self._pooled_transport(make, limiter, replaced)
        return pooled if settings.policy is None else self._policy_transport(settings.policy, pooled)

    def _limits(self, settings: ClientSettings) -> Any:
        return self._module.Limits(
            max_connections=settings.max_connections,
            max_keepalive_connections=settings.max_keepalive_connections,
            keepalive_expiry=settings.keepalive_expiry,
        )

    def _options(self, settings: ClientSettings, counters: Counters | None) -> dict[str, Any]:
        return {
            "base_url": settings.base_url,
            "headers": settings.all_headers(),
            "timeout": self._module.Timeout(**settings.timeouts()),
            "event_hooks": {} if counters is None else _counting(counters),
        }


def _counting(counters: Counters) -> dict[str, list[Callable[[Any], Any]]]:
    seen: weakref.WeakSet[Any] = weakref.WeakSet()

    async def request(_: Any) -> None:
        counters.requests += 1

    async def response(answer: Any) -> None:
        connection = answer.extensions.get("network_stream")
        if connection is not None and connection not in seen:
            seen.add(connection)
            counters.connections += 1

    return {"request": [request], "response": [response]}
