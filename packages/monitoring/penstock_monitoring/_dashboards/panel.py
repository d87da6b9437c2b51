"""Boards, rows and panels as data, and the few shapes that panels have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from penstock_monitoring._alerts.defaults import default_alerts

__all__ = ["Board", "Panel", "Query", "Row", "Style", "board", "judged", "lines", "number", "row"]

Style = Literal["lines", "number", "states"]


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
        runbook: What to do about what it shows: a page of the documentation, and a section.
        unit: Grafana's word for the unit.
        style: Lines over time, the number of now, or states over time.
        limit: From where on a number or a line is red; None for nowhere.
        width: Of the 24 columns.
    """

    title: str
    queries: tuple[Query, ...]
    runbook: str
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
    return Panel(title, asked, _runbook(where), unit, style, limit)


def judged(title: str, alert: str, *queries: Query | str, unit: str = "short") -> Panel:
    """Return a panel of lines of what an alert is about, red from the limit of its rule on."""
    return lines(title, alert, *queries, unit=unit, limit=_RULES[alert].limit)


def number(title: str, expression: str, where: str, *, limit: float = 1.0, unit: str = "short") -> Panel:
    """Return a panel with the number of now; 0 where there is none."""
    return Panel(title, (Query(f"{expression} or vector(0)", title),), _runbook(where), unit, "number", limit, width=4)


def _runbook(where: str) -> str:
    """Return where the documentation says what to do about an alert; of a page, itself."""
    return _RULES[where].anchor if where in _RULES else where
