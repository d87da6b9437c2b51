"""The concurrency monitor: what is in use, and a warning before it runs out."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import penstock_limits

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Usage:
    """How much of something is in use."""

    used: int
    total: int

    @property
    def share(self) -> float:
        return self.used / self.total if self.total else float(self.used > 0)


class ConcurrencyMonitor:
    """Remembers the last known usage of every resource."""

    def __init__(self) -> None:
        self.usage: dict[str, Usage] = {}

    def track_semaphore_usage(self, name: str, current: int, limit: int) -> None:
        """Remember how many permits of a limit are out."""
        self.usage[name] = Usage(current, limit)

    def track_connection_pool(self, pool: str, active: int, total: int) -> None:
        """Remember how many connections of a pool are lent."""
        self.usage[pool] = Usage(active, total)

    def collect(self) -> dict[str, Usage]:
        """Read every limiter of the process; returns all that is known."""
        for resource in penstock_limits.resources():
            if isinstance(resource, penstock_limits.Limiter):
                statistics = resource.statistics()
                self.track_semaphore_usage(resource.name, statistics.running, statistics.max_running)
        return dict(self.usage)

    def alert_resource_exhaustion(self, resource: str, threshold: float) -> bool:
        """Log a warning if at least this share of a resource is in use; returns whether it is."""
        usage = self.usage.get(resource, Usage(0, 0))
        exhausted = usage.share >= threshold
        if exhausted:
            logger.warning("%s: %d of %d in use, %.0f %%", resource, usage.used, usage.total, 100 * usage.share)
        return exhausted
