"""The RFC's ConcurrencyMetrics: what can be read of every resource, when somebody asks."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from penstock_limits import _resources
from penstock_limits._resources import Resource, resources

__all__ = ["ConcurrencyMetrics"]


class ConcurrencyMetrics:
    """Reads the plain counters of every resource of the process; nothing is counted for it.

    While it is enabled it is a resource itself, of the kind `metrics`, so that a collector finds it.

    Args:
        enabled: Whether anything is read.
        alert_threshold: The share of a limit, above 0 up to 1, from which its use is `saturated()`.
    """

    def __init__(self, *, enabled: bool = True, alert_threshold: float = 0.8) -> None:
        self.configure(enabled=enabled, alert_threshold=alert_threshold)

    @property
    def name(self) -> str:
        """What people know it by."""
        return "concurrency"

    @property
    def kind(self) -> str:
        """What kind of resource this is."""
        return "metrics"

    @property
    def enabled(self) -> bool:
        """Whether anything is read."""
        return self._enabled

    @property
    def alert_threshold(self) -> float:
        """The share of a limit from which its use is `saturated()`."""
        return self._alert_threshold

    def configure(self, *, enabled: bool, alert_threshold: float) -> None:
        """Change both settings."""
        self._enabled = enabled
        self._alert_threshold = alert_threshold
        if enabled:
            _resources.enter(self)
        else:
            _resources.leave(self)

    def statistics(self) -> Statistics:
        """Return how many resources there are, and how many are saturated."""
        return Statistics(resources=len(self._read()), saturated=len(self.saturated()))

    def snapshot(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the statistics of every resource, by kind and name, as plain values; empty if it is not enabled."""
        read: dict[str, dict[str, dict[str, Any]]] = {}
        for resource in self._read():
            read.setdefault(resource.kind, {})[resource.name] = dataclasses.asdict(cast("Any", resource.statistics()))
        return read

    def saturated(self) -> tuple[str, ...]:
        """Return the names of the limits of which as much is used as the alert threshold says, or more."""
        return tuple(each.name for each in self._read() if _share_in_use(each) >= self._alert_threshold)

    def _read(self) -> list[Resource]:
        return [each for each in resources() if not isinstance(each, ConcurrencyMetrics)] if self._enabled else []


@dataclasses.dataclass(frozen=True, slots=True)
class Statistics:
    """What the metrics tell of themselves.

    Attributes:
        resources: How many resources there are.
        saturated: How many of them are used up to the alert threshold, or beyond.
    """

    resources: int
    saturated: int


def _share_in_use(resource: Resource) -> float:
    statistics = resource.statistics()
    running, allowed = getattr(statistics, "running", None), getattr(statistics, "max_running", None)
    return 0.0 if running is None or not allowed else running / allowed
