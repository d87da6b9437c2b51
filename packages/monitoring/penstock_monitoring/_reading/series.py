"""The values of every metric, by its labels."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from penstock_monitoring._reading.read import ResourceReading
from penstock_monitoring._reading.scan import Counts
from penstock_monitoring._reading.shown import shown
from penstock_monitoring._reading.track import Track
from penstock_monitoring._registry.catalogue import METRICS, OTHER, SERIES
from penstock_monitoring._registry.metric import NESTED, Merge, Metric

__all__ = ["Labels", "Names", "Series", "label_names", "series_of"]

Labels = tuple[str, ...]
Series = dict[str, dict[Labels, float]]  # by the metric's name, then by the values of its labels

_NESTED: Final = f"{NESTED}."
_NUMBERS: Final = frozenset({int, float, bool})


def label_names(metric: Metric) -> Labels:
    """Return the names of a metric's labels, in the order of their values."""
    return (*metric.labels, *(name for name, _ in metric.fixed))


class Names:
    """Which names may be labels: the first so many of each kind; the others are one. A name that is gone makes place.

    Args:
        most: How many of each kind.
    """

    def __init__(self, most: int = SERIES) -> None:
        self._most = most
        self._known: dict[str, dict[str, None]] = {}

    def admit(self, readings: Iterable[ResourceReading]) -> None:
        """Take note of what there is now."""
        now: dict[str, dict[str, None]] = {}
        for reading in readings:
            now.setdefault(reading.kind, {})[reading.name] = None
        known = self._known
        self._known = {
            kind: dict.fromkeys([*(name for name in known.get(kind, ()) if name in names), *names][: self._most])
            if len(names) > self._most
            else names
            for kind, names in now.items()
        }

    def label(self, kind: str, name: str) -> str:
        """Return the label of a name."""
        return name if name in self._known.get(kind, ()) else OTHER


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a number goes: the metric's name, its fixed labels, how it is merged."""

    name: str
    fixed: Labels
    merge: Merge


@dataclass(frozen=True, slots=True)
class _Plan:
    """How the metrics of one kind are read."""

    fields: tuple[str, ...]
    fetch: Callable[[Any], tuple[Any, ...]]
    targets: tuple[_Target, ...]
    labels: Labels
    nested: tuple[Metric, ...]
    states: tuple[Metric, ...]
    infos: tuple[Metric, ...]
    sampled: tuple[Metric, ...]

    def values(self, statistics: Any) -> tuple[Any, ...]:
        """Return the numbers of statistics, None where they have none."""
        try:
            return self.fetch(statistics)
        except AttributeError:  # of another version, or of somebody else
            return tuple(getattr(statistics, field, None) for field in self.fields)


def series_of(readings: Iterable[ResourceReading], tracks: Mapping[tuple[str, str], Track], names: Names) -> Series:
    """Return the values of every metric; those of several resources of one name are merged."""
    readings = list(readings)
    names.admit(readings)
    series: Series = {metric.name: {} for metric in METRICS}
    for reading in readings:
        plan = _plan(reading.kind)
        if plan is not None:
            _add(series, plan, names.label(reading.kind, reading.name), reading.statistics)
    for kind, name in {(reading.kind, reading.name): None for reading in readings}:
        plan, track = _plan(kind), tracks.get((kind, name))
        if track is None:
            continue
        for metric in () if plan is None else plan.sampled:
            _put(series[metric.name], (names.label(kind, name),), getattr(track, metric.field), metric.merge)
    return series


def _add(series: Series, plan: _Plan, name: str, statistics: Any) -> None:
    labels = (name,) if plan.labels == ("name",) else _labels(plan.labels, name, statistics)
    value: Any
    for target, value in zip(plan.targets, plan.values(statistics), strict=True):
        if value.__class__ in _NUMBERS:
            _put(series[target.name], labels + target.fixed if target.fixed else labels, value, target.merge)
    if plan.nested:
        for dimension, held in getattr(statistics, NESTED, {}).items():
            for metric in plan.nested:
                value = getattr(held, metric.field.removeprefix(_NESTED), None)
                if value.__class__ in _NUMBERS:
                    _put(series[metric.name], (name, shown(str(dimension))), value, metric.merge)
    if not isinstance(statistics, Counts):  # what is gone is in no mode and no state
        _add_words(series, plan, name, statistics)


def _add_words(series: Series, plan: _Plan, name: str, statistics: Any) -> None:
    for metric in plan.infos:
        series[metric.name][_labels(metric.labels, name, statistics)] = 1
    for metric in plan.states:
        *base, now = _labels(metric.labels, name, statistics)
        for state in metric.states:
            _put(series[metric.name], (*base, state), int(state == now), "max")


def _put(values: dict[Labels, float], labels: Labels, value: Any, merge: Merge) -> None:
    before = values.get(labels)
    if before is not None:
        value = before + value if merge == "sum" else max(before, value)
    values[labels] = value


def _labels(names: Labels, name: str, statistics: Any) -> Labels:
    return tuple(name if each == "name" else shown(str(getattr(statistics, each, ""))) for each in names)


@functools.cache
def _plans() -> dict[str, _Plan]:
    return {kind: _make(kind) for kind in {metric.kind for metric in METRICS}}


def _plan(kind: str) -> _Plan | None:
    return _plans().get(kind)


def _make(kind: str) -> _Plan:
    metrics = [metric for metric in METRICS if metric.kind == kind]
    told = [metric for metric in metrics if metric.source == "statistics"]
    numbers = [each for each in told if each.type in ("counter", "gauge") and not each.field.startswith(_NESTED)]
    fields = tuple(metric.field for metric in numbers)
    return _Plan(
        fields=fields,
        fetch=_fetcher(fields),
        targets=tuple(_Target(each.name, tuple(value for _, value in each.fixed), each.merge) for each in numbers),
        labels=numbers[0].labels if numbers else (),
        nested=tuple(each for each in told if each.field.startswith(_NESTED)),
        states=tuple(each for each in told if each.type == "state"),
        infos=tuple(each for each in told if each.type == "info"),
        sampled=tuple(each for each in metrics if each.source == "sampled"),
    )


def _fetcher(fields: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    if not fields:
        return lambda _: ()
    if len(fields) == 1:
        return lambda statistics: (getattr(statistics, fields[0]),)
    return operator.attrgetter(*fields)
