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
    "board",
    "chosen",
    "in_mode",
    "increase",
    "judged",
    "latest",
    "lines",
    "mean",
    "near_limit",
    "number",
    "rate",
    "rate_by_mode",
    "row",
    "share",
]

Style = Literal["lines", "number", "states"]

_WINDOW: Final = "[$__rate_interval]"
_RESOURCE: Final = "(job, instance, worker, name)"
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


_RULES: Final = {rule.name: rule for rule in default_alerts()}


def board(name: str, title: str, about: str, *rows: Row) -> Board:
    """Return a dashboard."""
    return Board(name, f"Penstock: {title}", about, rows)


def row(title: str, *panels: Panel) -> Row:
    """Return a row of panels."""
    return Row(title, panels)


def lines(
    title: str,
    where: str,
    *queries: Query | str,
    unit: str = "short",
    limit: float | None = None,
    style: Style = "lines",
) -> Panel:
    """Return a panel of lines over time.

    Args:
        title: Its title.
        where: What to do about what it shows: an alert, or a page of the documentation.
        *queries: What it asks; a text is an expression with one series for each name.
        unit: Grafana's word for the unit.
        limit: From where on a line is red.
        style: How it is drawn.
    """
    asked = tuple(Query(each) if isinstance(each, str) else each for each in queries)
    return Panel(title, asked, _playbook(where), unit, style, limit)


def judged(title: str, alert: str, *queries: Query | str, unit: str = "short") -> Panel:
    """Return a panel of lines of what an alert is about, red from the limit of its rule on."""
    return lines(title, alert, *queries, unit=unit, limit=_RULES[alert].limit)


def number(title: str, expression: str, where: str, *, limit: float = 1.0, unit: str = "short") -> Panel:
    """Return a panel with the number of now; 0 where there is none."""
    return Panel(title, (Query(f"{expression} or vector(0)", title),), _playbook(where), unit, "number", limit, width=4)


def _playbook(where: str) -> str:
    """Return where the documentation says what to do about an alert; of a page, itself."""
    return _RULES[where].anchor if where in _RULES else where


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
    """Return one gauge as a share of another, of the process where it is most."""
    return f"max by (name) ({chosen(kind, part)} / on {_RESOURCE} ({chosen(kind, whole)} > 0))"


def near_limit(kind: str) -> str:
    """Return for which share of the time a limit was nearly used up, of the process where it was most."""
    return f"max by (name) (rate({chosen(kind, 'near_limit_seconds')}{_WINDOW}))"


def rate_by_mode(kind: str, field: str) -> str:
    """Return how fast a counter grows, of the resources in each mode."""
    counted = f"rate({chosen(kind, field)}{_WINDOW})"
    return f"sum by (mode) ({counted} * on {_RESOURCE} group_left (mode) {_mode(kind)})"


def in_mode(kind: str, field: str, mode: str) -> str:
    """Return how fast a counter grows, of each resource that is in a mode."""
    return f"sum by (name) (rate({chosen(kind, field)}{_WINDOW}) and on {_RESOURCE} {_mode(kind, mode=mode)})"


def _mode(kind: str, **labels: str) -> str:
    """Return the mode of each resource; of several of one name in a process, that of one."""
    return f"topk by {_RESOURCE} (1, {chosen(kind, 'mode', **labels)})"


def _merged(metric: Metric) -> str:
    return "max" if metric.merge == "max" else "sum"
