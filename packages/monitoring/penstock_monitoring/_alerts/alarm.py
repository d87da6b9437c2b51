"""Applies the rules after each sample, and hands what has changed to events and hooks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from penstock_limits import emit

from penstock_monitoring._alerts.courier import Courier
from penstock_monitoring._alerts.hooks import Hook
from penstock_monitoring._alerts.rule import Alert, AlertRule
from penstock_monitoring._alerts.watch import Watch
from penstock_monitoring._reading.read import ResourceReading

__all__ = ["SETTLED", "Alarm"]

SETTLED: Final = 2.0  # seconds that hooks have to finish when a monitor is left


@dataclass(frozen=True, slots=True)
class _Told:
    """An alert as a metric."""

    kind: str
    alert: str
    severity: str
    active: int


class Alarm:
    """The rules of a monitor and those who are told.

    Args:
        rules: The rules.
        hooks: Called with each alert that becomes active or is resolved.

    Raises:
        ConfigurationError: Two rules have one name, or a hook is none.

    Attributes:
        watch: Applies the rules.
    """

    def __init__(self, rules: Iterable[AlertRule], hooks: Iterable[Hook]) -> None:
        self.watch = Watch(rules, self._tell)
        self._couriers = [Courier(hook) for hook in hooks]

    def readings(self) -> Iterator[ResourceReading]:
        """Return the alerts and the hooks, for who shows metrics."""
        for alert in self.watch.alerts:
            told = _Told(alert.kind, alert.name, alert.severity, int(alert.state == "active"))
            yield ResourceReading("alert", alert.resource, told)
        for courier in self._couriers:
            yield ResourceReading("hook", courier.name, courier.statistics())

    async def settle(self) -> None:
        """Let the hooks finish, for two seconds at most; what a hook has not been told by then it may be told later."""
        until = time.monotonic() + SETTLED
        while time.monotonic() < until and not all(courier.idle for courier in self._couriers):  # noqa: ASYNC110 - threads
            await asyncio.sleep(0.01)

    def _tell(self, alert: Alert) -> None:
        told = {"alert": alert.name, "kind": alert.kind, "severity": alert.severity, "value": alert.value}
        emit(f"alert.{alert.state}", alert.resource, **told)
        for courier in self._couriers:
            courier.send(alert)
