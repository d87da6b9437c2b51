"""A bridge to OpenTelemetry: observable instruments, read when somebody exports; nothing is recorded before."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

from penstock_monitoring._monitor import ConcurrencyMonitor
from penstock_monitoring._reading.series import Labels, Names, Series, label_names
from penstock_monitoring._registry.catalogue import FAMILIES
from penstock_monitoring._registry.metric import Metric

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

__all__ = ["OpenTelemetryBridge", "instrument_name"]

_KEPT = 50_000  # counters of names that are gone: one of the same name may come
_UNITS = {"seconds": "s", "ratio": "1", "connections": "{connection}", "": "1"}  # as UCUM writes them


class OpenTelemetryBridge:
    """Shows OpenTelemetry what a PrometheusCollector shows Prometheus, under the same names.

    `penstock.limiter_running` is `penstock_limiter_running`; units and `_total` are not in the names, as OpenTelemetry
    keeps them apart, and its exporters for Prometheus add them again.

    Args:
        monitor: Adds what only samples say: hold times, the lag of event loops. Without one they are absent.
    """

    def __init__(self, monitor: ConcurrencyMonitor | None = None) -> None:
        self._monitor = ConcurrencyMonitor() if monitor is None else monitor
        self._names = Names()
        self._process, self._lock = os.getpid(), threading.Lock()
        self._series: Series = {}
        self._told: dict[tuple[str, Labels], tuple[float, float]] = {}  # what was read last, and what is added to it

    def register(self, meter: Meter | None = None) -> Self:
        """Make the instruments.

        Args:
            meter: Whose they are; None for that of the global meter provider named `penstock`.

        Returns:
            This bridge.

        Raises:
            ImportError: `opentelemetry-api` is not installed; the message says how to.
        """
        maker: Meter = _library().get_meter("penstock") if meter is None else meter
        for metric in FAMILIES:
            counts = metric.type == "counter"
            make: Callable[..., Any] = maker.create_observable_counter if counts else maker.create_observable_gauge
            observe = functools.partial(self._observe, metric)
            make(instrument_name(metric), callbacks=[observe], unit=_UNITS[metric.unit], description=metric.help)
        return self

    def _observe(self, metric: Metric, _: CallbackOptions) -> Iterator[Observation]:
        observation, names = _library().Observation, label_names(metric)
        for values, value in self._values(metric).items():
            yield observation(value, dict(zip(names, values, strict=True)))

    def _values(self, metric: Metric) -> dict[Labels, float]:
        """Return a metric's values; one reading serves each metric once, so that an export is of one moment."""
        if self._process != os.getpid():  # in a forked child: who holds the lock may not be here
            self._process, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            if metric.name not in self._series:
                self._series = self._monitor._series(self._names)
            values = self._series.pop(metric.name)
            if metric.type != "counter":
                return values
            return {labels: self._grown(metric.name, labels, value) for labels, value in values.items()}

    def _grown(self, name: str, labels: Labels, value: float) -> float:
        """Return a counter that goes on where it was when it begins anew: OpenTelemetry takes no fall for a restart."""
        last, before = self._told.pop((name, labels), (0, 0))
        if value < last:
            before += last
        self._told[name, labels] = value, before
        if len(self._told) > _KEPT:
            del self._told[next(iter(self._told))]  # not seen for the longest time
        return value + before


def instrument_name(metric: Metric) -> str:
    """Return the name of a metric's instrument."""
    name = metric.name.removesuffix("_total").removesuffix(
        f"_{metric.unit}" if metric.unit in ("seconds", "ratio") else ""
    )
    return name.replace("penstock_", "penstock.", 1)


def _library() -> Any:
    try:
        from opentelemetry import metrics
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'penstock-monitoring[opentelemetry]'", name=error.name) from error
    return metrics
