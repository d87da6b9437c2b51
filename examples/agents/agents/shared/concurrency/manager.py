"""The concurrency manager: one place to ask for a limit or a pool."""

from __future__ import annotations

from typing import Any, Protocol

import penstock_limits

from agents.shared.config.concurrency_config import ConcurrencyConfig


class Pools(Protocol):
    """Where connection pools come from."""

    async def get_pool(self, service: str) -> Any: ...


class ConcurrencyMetrics:
    """The counters of everything that is limited, read when asked."""

    def snapshot(self) -> dict[str, Any]:
        """Return the statistics of every limiter in the process, by its name."""
        limiters = (resource for resource in penstock_limits.resources() if resource.kind == "limiter")
        return {limiter.name: limiter.statistics() for limiter in limiters}


class ConcurrencyManager:
    """Gives out limiters and pools by name.

    Rates are not part of this version, so there is no `rate_limit` yet.
    """

    def __init__(self, config: ConcurrencyConfig, *, pools: Pools | None = None) -> None:
        penstock_limits.configure(config)
        self.config = config
        self.semaphores: dict[str, penstock_limits.Limiter] = {}
        self.metrics = ConcurrencyMetrics()
        self._pools = pools

    async def acquire_semaphore(self, name: str, limit: int = 10) -> penstock_limits.Limiter:
        """Return the limiter of a name, not held: `async with await manager.acquire_semaphore("api_call"):`.

        A name that the configuration does not know gets a limiter of its own, with `limit`.
        """
        if name not in self.semaphores:
            try:
                self.semaphores[name] = penstock_limits.limiter(name)
            except penstock_limits.UnknownLimitError:
                self.semaphores[name] = penstock_limits.Limiter(name, max_running=limit, mode=None)
        return self.semaphores[name]

    async def get_connection_pool(self, service: str) -> Any:
        """Return the connection pool of a service."""
        if self._pools is None:
            raise RuntimeError(
                f"there is no pool for {service!r}: pass what has them, "
                "ConcurrencyManager(config, pools=DatabasePoolManager(config, {...}))"
            )
        return await self._pools.get_pool(service)
