"""What a metric is, and short words to define those of one kind of resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["NESTED", "Kind", "Merge", "Metric", "MetricType", "Source"]

NESTED: Final = "dimensions"  # the field of statistics that holds further ones by name: `dimensions.used`

MetricType = Literal["counter", "gauge", "info", "state"]
Merge = Literal["max", "sum"]
Source = Literal["sampled", "statistics"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as data.

    Attributes:
        name: Its full name, with the unit and, for a counter, `_total`.
        type: `counter`, `gauge`, `info` (always 1, its labels say it) or `state` (1 for the state it is in, else 0).
        unit: Of its values: `seconds`, `connections` ...; empty for plain numbers.
        help: What it says, in a sentence.
        kind: The kind of resource it is about: `limiter`, `pool` ...
        field: The field of the resource's statistics; `dimensions.available` is one of each dimension.
        labels: Its labels; `name` is the resource's name, others of an info are fields.
        fixed: Labels with one value, which tell it from others of the same name: `(("state", "idle"),)`.
        source: Whether it is in the resource's `statistics()`, or `sampled` by a running monitor.
        merge: What becomes of the values of several resources of one name: their sum, or the highest.
        states: Which states there are, of a state.
    """

    name: str
    type: MetricType
    unit: str
    help: str
    kind: str
    field: str
    labels: tuple[str, ...] = ("name",)
    fixed: tuple[tuple[str, str], ...] = ()
    source: Source = "statistics"
    merge: Merge = "sum"
    states: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """Defines the metrics of one kind of resource.

    Attributes:
        name: The kind.
        prefix: What their names begin with.
        labels: Their labels.
    """

    name: str
    prefix: str
    labels: tuple[str, ...] = ("name",)

    def gauge(self, name: str, text: str, field: str = "", unit: str = "", **more: Any) -> Metric:
        """Define what goes up and down."""
        return self._define("gauge", name, text, field or name, unit, more)

    def counter(self, name: str, text: str, field: str = "", unit: str = "", **more: Any) -> Metric:
        """Define what only grows."""
        return self._define("counter", f"{name}_total", text, field or name, unit, more)

    def seconds(self, name: str, text: str, field: str = "", **more: Any) -> Metric:
        """Define a time that only grows."""
        return self.counter(f"{name}_seconds", text, field or f"{name}_seconds", "seconds", **more)

    def longest(self, name: str, text: str, field: str, **more: Any) -> Metric:
        """Define a time of which the highest counts."""
        return self.gauge(f"{name}_seconds", text, field, "seconds", merge="max", **more)

    def info(self, text: str, *fields: str, name: str = "info") -> Metric:
        """Define what labels say."""
        return self._define("info", name, text, "", "", {"labels": (*self.labels, *fields), "merge": "max"})

    def state(self, name: str, text: str, field: str, states: tuple[str, ...]) -> Metric:
        """Define one of several states."""
        more = {"labels": (*self.labels, field), "states": states}
        return self._define("state", name, text, field, "", more)

    def _define(self, kind: MetricType, name: str, text: str, field: str, unit: str, more: dict[str, Any]) -> Metric:
        more = {"labels": self.labels, **more}
        return Metric(f"{self.prefix}_{name}", kind, unit, text, self.name, field, **more)
