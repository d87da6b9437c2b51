"""A collector for `prometheus_client`: everything is read when somebody scrapes, and not before."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, cast

from penstock_monitoring._monitor import ConcurrencyMonitor
from penstock_monitoring._prometheus.labelled import Labelled
from penstock_monitoring._prometheus.text import CONTENT_TYPE, Text
from penstock_monitoring._reading.series import Labels, Names, Series, label_names
from penstock_monitoring._reading.workers import folder, worker_in
from penstock_monitoring._registry.catalogue import FAMILIES
from penstock_monitoring._registry.metric import Metric

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric as Family

__all__ = ["PrometheusCollector"]

WORKER: Final = "worker"
AGE: Final = "penstock_monitor_age_seconds"


class PrometheusCollector:
    """Shows Prometheus every limiter, rate, breaker, retry, pool, client and task manager of the process.

    With several processes that are scraped as one, as under gunicorn, set `PROMETHEUS_MULTIPROC_DIR` to a folder that
    they share, as for `prometheus_client` itself. Every process then shows all, told apart by the label `worker`.

    Args:
        monitor: Adds what only samples say: hold times, the lag of event loops. Without one they are absent.

    Attributes:
        content_type: Of what `render()` returns.

    Raises:
        ImportError: `prometheus_client` is not installed; the message says how to.
    """

    content_type: ClassVar[str] = CONTENT_TYPE

    def __init__(self, monitor: ConcurrencyMonitor | None = None) -> None:
        _library()
        self._monitor = ConcurrencyMonitor() if monitor is None else monitor
        self._names = Names()
        self._text = Text()
        self._labelled = Labelled(_labels)

    def register(self, registry: CollectorRegistry | None = None) -> Self:
        """Let a registry collect this.

        Args:
            registry: The registry; None for the one that `prometheus_client` has by default.

        Returns:
            This collector.

        Raises:
            ValueError: The registry has metrics of these names.
        """
        theirs: CollectorRegistry = _library().REGISTRY if registry is None else registry
        theirs.register(cast("Any", self))
        return self

    def describe(self) -> Iterator[Family]:
        """Return every metric without values, so that a registry knows their names without a scrape."""
        return (_family(metric, []) for metric in FAMILIES)

    def collect(self) -> Iterator[Family]:
        """Return every metric with the values of now; in any thread.

        Raises:
            ConfigurationError: The folder of `PROMETHEUS_MULTIPROC_DIR` cannot be used.
        """
        return self._families(self._processes())

    def render(self) -> bytes:
        """Return every metric with the values of now as Prometheus' text; in any thread.

        Whoever answers Prometheus in an event loop does so with this: it takes a quarter of the time of
        `prometheus_client.generate_latest()`, which does it for all that a registry has.

        Raises:
            ConfigurationError: The folder of `PROMETHEUS_MULTIPROC_DIR` cannot be used.
        """
        return "".join(self._pieces()).encode()

    def _pieces(self) -> Iterator[str]:
        """Return what `render()` does, bit by bit; the values are of the moment of the first."""
        processes = list(self._processes())
        for metric in FAMILIES:
            yield from self._text.pieces(metric, _label_names(metric, processes), processes)

    def _processes(self) -> Iterable[tuple[Labels, Series]]:
        own = self._monitor._series(self._names)
        shared = folder()
        return [((), own)] if shared is None else _of_all(shared, own)

    def _families(self, processes: Iterable[tuple[Labels, Series]]) -> Iterator[Family]:
        told, sample = list(processes), _sample_class()
        for metric in FAMILIES:
            values = self._labelled.values(metric.name, _label_names(metric, told), told)
            samples = [sample(metric.name, labels, value) for labels, value in values]
            if samples:
                yield _family(metric, samples)


def _of_all(shared: Path, own: Series) -> Iterator[tuple[Labels, Series]]:
    worker = worker_in(shared)
    worker.write(own)
    yield (worker.label,), own
    for label, age, series in worker.others():
        yield (label,), {**series, AGE: {(): age}}


def _label_names(metric: Metric, processes: list[tuple[Labels, Series]]) -> Labels:
    """Return the names of a metric's labels; where processes are told apart, with that of these."""
    return (*label_names(metric), WORKER) if processes[0][0] else label_names(metric)


def _labels(names: Labels, values: Labels) -> dict[str, str]:
    return dict(zip(names, values, strict=True))


def _family(metric: Metric, samples: list[Any]) -> Family:
    name = metric.name.removesuffix("_total" if metric.type == "counter" else "_info" if metric.type == "info" else "")
    family: Family = _family_class()(name, metric.help, "gauge" if metric.type == "state" else metric.type, metric.unit)
    family.samples = samples
    return family


@functools.cache
def _sample_class() -> Any:
    from prometheus_client.samples import Sample

    return Sample


@functools.cache
def _family_class() -> Any:
    from prometheus_client.metrics_core import Metric as Family

    return Family


def _library() -> Any:
    """Return `prometheus_client`.

    Raises:
        ImportError: It is not installed; the message says how to.
    """
    try:
        import prometheus_client
    except ImportError as error:
        raise ImportError(f"{error}: pip install 'penstock-monitoring[prometheus]'", name=error.name) from error
    return prometheus_client
