"""Boards, rows and panels as data, and short words for what panels ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from penstock_monitoring._alerts.defaults import default_alerts
from penstock_monitoring._registry.catalogue import metric_of
from penstock_monitoring._registry.metric import Metric
from penstock_monitoring._registry.selector import select

__all__ = [
    "Board",
    "Panel",
    "Query",
    "Row",
    "Style",
    "chosen",
    "increase",
    "latest",
    "mean",
    "playbook",
    "rate",
    "share",
]

Style = Literal["lines", "number", "states"]

_WINDOW: Final = "[$__rate_interval]"
_CHOSEN: Final = ('job=~"$job"', 'instance=~"$instance"')


@dataclass(frozen=True, slots=True)
class Query:
    """What a panel asks.

    Attributes:
        expression: In PromQL.
        legend: What a series is called, with `{{label}}` for the values of labels.
    """

    expression: str
    legend: str = "{{name}}"


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel.

    Attributes:
        title: Its title.
        queries: What it asks.
        playbook: What to do about what it shows: a page of the documentation, and a section.
        unit: Grafana's word for the unit.
        style: Lines over time, the number of now, or states over time.
        limit: From where on a number or a line is red; None for nowhere.
        width: Of the 24 columns.
    """

    title: str
    queries: tuple[Query, ...]
    playbook: str
    unit: str = "short"
    style: Style = "lines"
    limit: float | None = None
    width: int = 8


@dataclass(frozen=True, slots=True)
class Row:
    """A row of panels under one title."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard.

    Attributes:
        name: Of its file.
        title: Its title.
        about: What it is for.
        rows: Its rows.
    """

    name: str
    title: str
    about: str
    rows: tuple[Row, ...]


_ANCHORS: Final = {rule.name: rule.anchor for rule in default_alerts()}


def playbook(alert: str) -> str:
    """Return where the documentation says what to do about an alert."""
    return _ANCHORS[alert]


def chosen(kind: str, field: str, **labels: str) -> str:
    """Return the selector of a metric, of the processes that are chosen."""
    return select(metric_of(kind, field), *_CHOSEN, **labels)


def latest(kind: str, field: str, by: str = "name", **labels: str) -> str:
    """Return a metric as it is now, of all processes together."""
    return f"{_merged(metric_of(kind, field))} by ({by}) ({chosen(kind, field, **labels)})"


def rate(kind: str, field: str, by: str = "name") -> str:
    """Return how fast a counter grows, per second."""
    return f"sum by ({by}) (rate({chosen(kind, field)}{_WINDOW}))"


def increase(kind: str, field: str, by: str = "name") -> str:
    """Return by how much a counter has grown, in the time that a point stands for."""
    return f"sum by ({by}) (increase({chosen(kind, field)}{_WINDOW}))"


def mean(kind: str, field: str, per: str) -> str:
    """Return by how much one counter grows for each that another grows."""
    return f"{rate(kind, field)} / ({rate(kind, per)} > 0)"


def share(kind: str, part: str, whole: str) -> str:
    """Return one gauge as a share of another."""
    return f"{latest(kind, part)} / ({latest(kind, whole)} > 0)"


def _merged(metric: Metric) -> str:
    return "max" if metric.merge == "max" else "sum"
