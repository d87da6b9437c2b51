"""The RFC's ConcurrencyManager: one object that knows every limit, rate, policy and pool by name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

from penstock_limits._config import ConcurrencyConfig
from penstock_limits._errors import ConfigurationError
from penstock_limits._limiters.limiter import Limiter
from penstock_limits._metrics import ConcurrencyMetrics
from penstock_limits._names import configure, limiter_or_new, limiters, policy, rates
from penstock_limits._policies.slot import Slot
from penstock_limits._rates.rate import RateLimiter

__all__ = ["Clients", "ConcurrencyManager", "Pools"]


class Pools(Protocol):
    """Named connection pools, such as `penstock_pooling.DatabasePoolManager`."""

    def pool(self, name: str, /) -> Any:
        """Return the pool of a name; what it raises for an unknown one lists those it has."""
        ...

    def connection(self, name: str, /, *, timeout: float) -> AbstractAsyncContextManager[Any]:
        """Lend a connection of a pool, waiting for it so many seconds at most."""
        ...

    def resize(self, name: str, /, *, min_size: int, max_size: int) -> None:
        """Change how many connections a pool keeps and may open; nothing if there is no pool of this name."""
        ...

    def open_pools(self) -> Mapping[str, Any]:
        """Return the pools that are open now, by name."""
        ...


class Clients(Protocol):
    """Named HTTP clients."""

    def client(self, name: str, /) -> AbstractAsyncContextManager[Any]:
        """Lend the client of a name."""
        ...


class ConcurrencyManager:
    """Centralized concurrency control and resource management.

    Limits and policies have one name each in the whole process: a manager makes its configuration hold for it, as
    `configure()` does, and hands out what `limit="api_call"` means elsewhere, too.

    Args:
        config: The configuration; None for the RFC's defaults.
        pools: Where connections come from.
        clients: Where the slots' clients come from.

    Attributes:
        metrics: What can be read of every resource of the process.
    """

    def __init__(
        self,
        config: ConcurrencyConfig | None = None,
        *,
        pools: Pools | None = None,
        clients: Clients | None = None,
    ) -> None:
        self._pools = pools
        self._clients = clients
        self.metrics = ConcurrencyMetrics()
        self._config = ConcurrencyConfig()
        self.reload(config or self._config)

    def __repr__(self) -> str:
        return f"<ConcurrencyManager: {len(self.semaphores)} limits and {len(self.rate_limiters)} rates in use>"

    @property
    def config(self) -> ConcurrencyConfig:
        """The configuration that holds now."""
        return self._config

    @property
    def semaphores(self) -> Mapping[str, Limiter]:
        """The limits in use, by name."""
        return MappingProxyType(limiters())

    @property
    def connection_pools(self) -> Mapping[str, Any]:
        """The connection pools that are open, by name; none without `pools`."""
        return MappingProxyType({} if self._pools is None else dict(self._pools.open_pools()))

    @property
    def rate_limiters(self) -> Mapping[str, RateLimiter]:
        """The rates in use, by name."""
        return MappingProxyType(rates())

    def reload(self, config: ConcurrencyConfig) -> None:
        """Let another configuration hold, with work in flight: limits and rates are resized in place.

        The pool `rag` is resized if its sizes are others than in the configuration before, at first the RFC's
        defaults: these do not replace sizes that the pool has been given by its own settings.

        Args:
            config: The new configuration.
        """
        configure(config)
        if self._pools is not None and _sizes_of_rag(config) != _sizes_of_rag(self._config):
            self._pools.resize("rag", **_sizes_of_rag(config))
        self._config = config
        self.metrics.configure(enabled=config.enable_metrics, alert_threshold=config.alert_threshold_percentage)

    async def acquire_semaphore(self, name: str, limit: int = 10) -> Limiter:
        """Get or create a named limit: `async with await manager.acquire_semaphore("api_call"): ...`.

        Args:
            name: Its name.
            limit: How many may run at once, if the configuration has no limit of this name.

        Returns:
            The limiter, not held.

        Raises:
            ConfigurationError: `limit` is no whole number from 0.
        """
        return limiter_or_new(name, limit)

    async def get_connection_pool(self, service: str) -> Any:
        """Return the connection pool of a service.

        Raises:
            ConfigurationError: The manager has no pools; the message says what to install and to pass.
        """
        return self._with_pools(service).pool(service)

    def connection(self, service: str) -> AbstractAsyncContextManager[Any]:
        """Lend a connection for the length of an `async with` block.

        It is waited for no longer than `database_operation_timeout`.

        Raises:
            ConfigurationError: As for `get_connection_pool`.
        """
        return self._with_pools(service).connection(service, timeout=self._config.database_operation_timeout)

    async def rate_limit(self, service: str, operation: str) -> None:
        """Wait until the provider's rate admits one more request.

        Args:
            service: The provider, `openai`.
            operation: What the request does, `embeddings`. If there is a policy `openai.embeddings`, its rate counts,
                else that of the provider.

        Raises:
            UnknownPolicyError: There is no policy of the provider's name; the message lists those there are.
            ConfigurationError: The policy has no rate.
        """
        own = f"{service}.{operation}"
        name = own if own in self._config.policies else service
        rate = policy(name).rate
        if rate is None:
            raise ConfigurationError(
                f"policy {name!r} has no rate to wait for: add requests_per_minute to [tool.penstock.policies.{name!r}]"
            )
        await rate.reserve()

    def slot(self, name: str, **amounts: float) -> Slot:
        """Return a slot under a named policy: `async with manager.slot("openai", tokens=1_200) as slot: ...`.

        Args:
            name: The policy: a provider, a limit, or a name in `[tool.penstock.policies]`.
            **amounts: How much the call will take of the provider's rate, as far as is known.

        Raises:
            UnknownPolicyError: There is no policy of this name; the message lists those there are.
            ConfigurationError: An amount is nothing that a rate counts.
        """
        borrow = None if self._clients is None else partial(self._clients.client, name)
        return policy(name).slot(borrow=borrow, **amounts)

    def _with_pools(self, service: str) -> Pools:
        if self._pools is None:
            raise ConfigurationError(
                f"there is no pool for {service!r}, as this manager has no pools: install penstock-pooling, and make "
                f"it with ConcurrencyManager(config, pools=DatabasePoolManager(...))"
            )
        return self._pools


def _sizes_of_rag(config: ConcurrencyConfig) -> dict[str, int]:
    return {"min_size": config.rag_pool_min_size, "max_size": config.rag_pool_max_size}
