"""Writes boards as Grafana loads them."""

from __future__ import annotations

import json
import string
from typing import Any, Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, dashboard

from penstock_monitoring._dashboards.panel import Board, Panel
from penstock_monitoring._registry.catalogue import metric_of
from penstock_monitoring._registry.selector import select

__all__ = ["DOCS", "render_board"]

DOCS: Final = "http://localhost:8000"  # where `mkdocs serve` shows the documentation; a variable of each board
_SOURCE: Final = dashboard.DataSourceRef("prometheus", "${datasource}")
_HEIGHTS: Final = {"lines": 8, "number": 4, "states": 8}


def render_board(board: Board) -> str:
    """Return the text of a dashboard's file."""
    builder = (
        builders.Dashboard(board.title)
        .uid(f"penstock-{board.name}")
        .description(board.about)
        .tags(["penstock"])
        .editable()
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(_to_others())
    )
    for variable in _variables():
        builder = builder.with_variable(variable)
    for row in board.rows:
        builder = builder.with_row(builders.Row(row.title))
        for panel in row.panels:
            builder = builder.with_panel(_panel(panel))
    return json.dumps(_numbered(builder.build()), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _numbered(board: dashboard.Dashboard) -> dashboard.Dashboard:
    """Give each panel a number: a link to a panel holds as long as the panels before it stay."""
    for number, panel in enumerate(board.panels or [], start=1):
        panel.id_val = number
    return board


def _to_others() -> builders.DashboardLink:
    return (
        builders.DashboardLink("Penstock")
        .type(dashboard.DashboardLinkType.DASHBOARDS)
        .tags(["penstock"])
        .as_dropdown(True)  # noqa: FBT003 - the builder's own shape
        .include_vars(True)  # noqa: FBT003
        .keep_time(True)  # noqa: FBT003
    )


def _variables() -> list[Any]:
    build = select(metric_of("build", "implementation"))
    return [
        builders.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _choice("job", "Job", f"label_values({build}, job)"),
        _choice("instance", "Process", f'label_values({build}{{job=~"$job"}}, instance)'),
        builders.TextBoxVariable("docs")
        .label("Documentation")
        .description("Where the runbooks are that panels link to.")
        .default_value(DOCS)
        .current(dashboard.VariableOption(selected=True, text=DOCS, value=DOCS))
        .options([dashboard.VariableOption(selected=True, text=DOCS, value=DOCS)]),
    ]


def _choice(name: str, label: str, query: str) -> Any:
    return (
        builders.QueryVariable(name)
        .label(label)
        .datasource(_SOURCE)
        .query(query)
        .multi(True)  # noqa: FBT003 - the builder's own shape
        .include_all(True)  # noqa: FBT003
        .all_value(".*")
        .current(dashboard.VariableOption(selected=True, text=["All"], value=["$__all"]))
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )


def _panel(panel: Panel) -> Any:
    builder = (
        _STYLES[panel.style]()
        .title(panel.title)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(_HEIGHTS[panel.style])
        .thresholds(_thresholds(panel.limit))
        .links(
            [
                builders.DashboardLink("Runbook")
                .type(dashboard.DashboardLinkType.LINK)
                .url(f"${{docs}}/{panel.runbook}")
                .target_blank(True)  # noqa: FBT003 - the builder's own shape
            ]
        )
    )
    for ref, query in zip(string.ascii_uppercase, panel.queries, strict=False):
        asked = prometheus.Dataquery().ref_id(ref).expr(query.expression).legend_format(query.legend)
        builder = builder.with_target(asked.instant() if panel.style == "number" else asked.range())
    return builder


def _thresholds(limit: float | None) -> builders.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color="green")]
    steps += [] if limit is None else [dashboard.Threshold(value=limit, color="red")]
    return builders.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _lines() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .min(0)
        .fill_opacity(10)
        .tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    )


def _number() -> stat.Panel:
    return stat.Panel().graph_mode(common.BigValueGraphMode.NONE).color_mode(common.BigValueColorMode.VALUE)


def _states() -> statetimeline.Panel:
    states = {"0": ("closed", "green"), "1": ("half open", "orange"), "2": ("open", "red")}
    shown = {
        value: dashboard.ValueMappingResult(text=text, color=color, index=number)
        for number, (value, (text, color)) in enumerate(states.items())
    }
    return statetimeline.Panel().mappings([dashboard.ValueMap(options=shown)])


_STYLES: Final[dict[str, Any]] = {"lines": _lines, "number": _number, "states": _states}
