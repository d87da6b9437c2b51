"""What a rule measures: written once, asked of Prometheus as PromQL and of this process's own samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from penstock_monitoring._registry.metric import Metric
from penstock_monitoring._registry.selector import select

__all__ = [
    "LOOKS",
    "Growth",
    "Latest",
    "Look",
    "Measure",
    "Ratio",
    "Sum",
    "Term",
    "Used",
    "every",
    "kind_of",
    "promql",
    "span",
    "terms",
    "value_of",
]

LOOKS: Final = 60  # in the time that a rule looks back on, or that it waits


@dataclass(frozen=True, slots=True)
class Latest:
    """A metric as it is now.

    Attributes:
        metric: The metric.
        state: Which of its states, of a state.
    """

    metric: Metric
    state: str = ""


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much a counter has grown.

    Attributes:
        metric: The counter.
        over: In how many seconds until now.
        per_second: Whether it is divided by them; for a counter of seconds, that is a share of the time.
    """

    metric: Metric
    over: float = 300.0
    per_second: bool = False


@dataclass(frozen=True, slots=True)
class Used:
    """The share in use of a limit, of whatever has one, at the last sample."""


@dataclass(frozen=True, slots=True)
class Sum:
    """One measure and another."""

    one: Measure
    other: Measure


@dataclass(frozen=True, slots=True)
class Ratio:
    """One measure in terms of another."""

    one: Measure
    other: Measure


Term: TypeAlias = Latest | Growth | Used  # what is read of one metric
Measure: TypeAlias = Term | Sum | Ratio
Look = Callable[[Term], float]  # what a term is at this moment; NaN where it is not known


def terms(measure: Measure) -> tuple[Term, ...]:
    """Return what a measure is made of."""
    match measure:
        case Sum(one, other) | Ratio(one, other):
            return terms(one) + terms(other)
        case _:
            return (measure,)


def kind_of(term: Term) -> str:
    """Return the kind of resource; empty for any."""
    return "" if isinstance(term, Used) else term.metric.kind


def every(term: Term) -> float:
    """Return how often to look at a term, in seconds; 0 for at each sample."""
    return term.over / LOOKS if isinstance(term, Growth) else 0.0


def promql(measure: Measure, name: str = "") -> str:
    """Return a measure as PromQL, of one resource or of each; empty if only the process can tell."""
    match measure:
        case Latest(metric, state):
            return select(metric, **_of(metric, name), **({metric.field: state} if state else {}))
        case Growth(metric, over, per_second):
            return f"{'rate' if per_second else 'increase'}({select(metric, **_of(metric, name))}[{span(over)}])"
        case Used():
            return ""  # which metric says it depends on the kind
        case Sum(one, other):
            return f"({promql(one, name)} + {promql(other, name)})"
        case Ratio(one, other):
            return f"{promql(one, name)} / {promql(other, name)}"


def _of(metric: Metric, name: str) -> dict[str, str]:
    """Return the label of one resource; none for all."""
    return {metric.labels[0]: name} if name else {}


def value_of(measure: Measure, look: Look) -> float:
    """Return a measure's value; NaN where it is not known."""
    match measure:
        case Sum(one, other):
            return value_of(one, look) + value_of(other, look)
        case Ratio(one, other):
            return _ratio(value_of(one, look), value_of(other, look))
        case _:
            return look(measure)


def _ratio(one: float, other: float) -> float:
    """Divide as PromQL does: something by nothing is infinite, and nothing by nothing is not known."""
    if other == 0:
        return math.inf if one > 0 else math.nan
    return one / other


def span(seconds: float) -> str:
    """Return a time as PromQL writes it."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms"
