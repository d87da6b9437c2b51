"""The RFC's ConcurrencyMetrics: what can be read of every resource, when somebody asks."""

from __future__ import annotations

import dataclasses
import logging
import weakref
from asyncio import CancelledError
from collections.abc import Callable
from typing import Any

from penstock_limits import _resources
from penstock_limits._resources import Resource, resources

__all__ = ["ConcurrencyMetrics"]

logger = logging.getLogger("penstock.limits")


class ConcurrencyMetrics:
    """Reads the plain counters of every resource of the process; nothing is counted for it.

    While it is enabled it is a resource itself, of the kind `metrics`, so that a collector finds it.

    Args:
        enabled: Whether anything is read.
        alert_threshold: The share of a limit, above 0 up to 1, from which its use is `saturated()`.
    """

    def __init__(self, *, enabled: bool = True, alert_threshold: float = 0.8) -> None:
        self._unreadable: weakref.WeakSet[Resource] = weakref.WeakSet()
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
        """Return how many resources can be read, and how many of them are saturated."""
        return Statistics(resources=len(self._read(_checked)), saturated=len(self.saturated()))

    def snapshot(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the statistics of every resource, by kind and name, as plain values; empty if it is not enabled.

        One whose statistics cannot be read is left out, and logged once.
        """
        read: dict[str, dict[str, dict[str, Any]]] = {}
        for kind, name, statistics in self._read(dataclasses.asdict):
            read.setdefault(kind, {})[name] = statistics
        return read

    def saturated(self) -> tuple[str, ...]:
        """Return the names of the limits of which as much is used as the alert threshold says, or more."""
        return tuple(name for _, name, told in self._read(_checked) if _share_in_use(told) >= self._alert_threshold)

    def _read(self, form: Callable[[Any], Any]) -> list[tuple[str, str, Any]]:
        """Return kind, name and statistics, in some form, of every resource that can be read."""
        found = resources() if self._enabled else ()
        read = (self._told(each, form) for each in found if not isinstance(each, ConcurrencyMetrics))
        return [told for told in read if told is not None]

    def _told(self, resource: Resource, form: Callable[[Any], Any]) -> tuple[str, str, Any] | None:
        try:
            return str(resource.kind), str(resource.name), form(resource.statistics())
        except (Exception, CancelledError) as error:  # noqa: BLE001 - one that fails must not hide the others
            self._tell(resource, error)
            return None

    def _tell(self, resource: Resource, error: BaseException) -> None:
        if resource not in self._unreadable:
            self._unreadable.add(resource)
            # Not what the error says: that may hold what must not be logged.
            logger.error("the statistics of a %s cannot be read: %s", type(resource).__name__, type(error).__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Statistics:
    """What the metrics tell of themselves.

    Attributes:
        resources: How many resources can be read.
        saturated: How many of them are used up to the alert threshold, or beyond.
    """

    resources: int
    saturated: int


def _checked(statistics: Any) -> Any:
    dataclasses.fields(statistics)  # it fails for what is no dataclass
    return statistics


def _share_in_use(statistics: object) -> float:
    running, allowed = getattr(statistics, "running", None), getattr(statistics, "max_running", None)
    if isinstance(running, int | float) and isinstance(allowed, int | float) and allowed:
        return running / allowed
    return 0.0
