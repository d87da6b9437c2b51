"""What a rule measures: written once, asked of Prometheus as PromQL and of this process's own samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from penstock_monitoring._registry.metric import Metric

__all__ = ["LOOKS", "Growth", "Latest", "Look", "Measure", "Term", "Used", "select", "span"]

Look = Callable[["Term"], float]  # what a term is at this moment; NaN where it is not known
LOOKS: Final = 60  # in the time that a rule looks back on, or that it waits


class Measure:
    """A number about one resource; it can be added to another, and divided by it."""

    __slots__ = ()

    def __add__(self, other: Measure) -> Measure:
        return _Sum(self, other)

    def __truediv__(self, other: Measure) -> Measure:
        return _Ratio(self, other)

    def terms(self) -> tuple[Term, ...]:
        """Return what it is made of."""
        raise NotImplementedError

    def promql(self, name: str = "") -> str:
        """Return it as PromQL, of one resource or of each; empty if only the process can tell."""
        raise NotImplementedError

    def of(self, look: Look) -> float:
        """Return its value; NaN where it is not known."""
        raise NotImplementedError


class Term(Measure):
    """What is read of one metric."""

    __slots__ = ()

    @property
    def kind(self) -> str:
        """The kind of resource; empty for any."""
        raise NotImplementedError

    @property
    def every(self) -> float:
        """How often to look at it, in seconds; 0 for at each sample."""
        return 0.0

    def terms(self) -> tuple[Term, ...]:
        """Return itself."""
        return (self,)

    def of(self, look: Look) -> float:
        """Return its value."""
        return look(self)


@dataclass(frozen=True, slots=True)
class Latest(Term):
    """A metric as it is now.

    Attributes:
        metric: The metric.
        state: Which of its states, of a state.
    """

    metric: Metric
    state: str = ""

    @property
    def kind(self) -> str:
        """The kind of resource."""
        return self.metric.kind

    def promql(self, name: str = "") -> str:
        """Return the selector."""
        return select(self.metric, name, **({self.metric.field: self.state} if self.state else {}))


@dataclass(frozen=True, slots=True)
class Growth(Term):
    """By how much a counter has grown.

    Attributes:
        metric: The counter.
        over: In how many seconds until now.
        per_second: Whether it is divided by them; for a counter of seconds, that is a share of the time.
    """

    metric: Metric
    over: float = 300.0
    per_second: bool = False

    @property
    def kind(self) -> str:
        """The kind of resource."""
        return self.metric.kind

    @property
    def every(self) -> float:
        """A small part of the time that it looks back on."""
        return self.over / LOOKS

    def promql(self, name: str = "") -> str:
        """Return `increase` or `rate` of it."""
        return f"{'rate' if self.per_second else 'increase'}({select(self.metric, name)}[{span(self.over)}])"


@dataclass(frozen=True, slots=True)
class Used(Term):
    """The share in use of a limit, of whatever has one, at the last sample."""

    @property
    def kind(self) -> str:
        """Any."""
        return ""

    def promql(self, name: str = "") -> str:  # noqa: ARG002 - as the others
        """Return nothing: which metric says it depends on the kind."""
        return ""


@dataclass(frozen=True, slots=True)
class _Sum(Measure):
    one: Measure
    other: Measure

    def terms(self) -> tuple[Term, ...]:
        return self.one.terms() + self.other.terms()

    def promql(self, name: str = "") -> str:
        return f"({self.one.promql(name)} + {self.other.promql(name)})"

    def of(self, look: Look) -> float:
        return self.one.of(look) + self.other.of(look)


@dataclass(frozen=True, slots=True)
class _Ratio(Measure):
    one: Measure
    other: Measure

    def terms(self) -> tuple[Term, ...]:
        return self.one.terms() + self.other.terms()

    def promql(self, name: str = "") -> str:
        return f"{self.one.promql(name)} / {self.other.promql(name)}"

    def of(self, look: Look) -> float:
        """Return the ratio; as in PromQL, something of nothing is infinite, and nothing of nothing is not known."""
        one, other = self.one.of(look), self.other.of(look)
        if other == 0:
            return math.inf if one > 0 else math.nan
        return one / other


def select(metric: Metric, name: str = "", **labels: str) -> str:
    """Return the selector of a metric, of one resource or of each."""
    wanted = dict(metric.fixed) | ({metric.labels[0]: name} if name else {}) | labels
    matchers = ",".join(f'{label}="{_escaped(value)}"' for label, value in wanted.items())
    return f"{metric.name}{{{matchers}}}" if matchers else metric.name


def span(seconds: float) -> str:
    """Return a time as PromQL writes it."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
