"""What a comparison or a baseline says, as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from penstock_monitoring._perf.baseline import medians
from penstock_monitoring._perf.comparison import Comparison
from penstock_monitoring._perf.run import Run
from penstock_monitoring._perf.sequential import Verdict

__all__ = ["report", "runs_table"]

_STYLES = {
    Verdict.REGRESSED: "bold red",
    Verdict.SAME: "green",
    Verdict.BETTER: "bold green",
    Verdict.INCONCLUSIVE: "yellow",
}
_SAYS = {
    Verdict.REGRESSED: "it is worse",
    Verdict.SAME: "no change that matters",
    Verdict.BETTER: "it is better",
    Verdict.INCONCLUSIVE: "there were not enough runs to tell",
}


def report(comparison: Comparison) -> Group:
    """Return one row for each metric that was judged, and the verdict in a sentence."""
    return Group(_comparison_table(comparison), _conclusion(comparison))


def _comparison_table(comparison: Comparison) -> Table:
    table = _table("", "verdict", "before", "after", "worse by", "surely between", "margin")
    for each in comparison.metrics:
        write = _WRITTEN.get(each.metric, _seconds)
        table.add_row(
            each.metric,
            Text(each.verdict.value, _STYLES[each.verdict]),
            write(each.baseline),
            write(each.candidate),
            _percent(each.change),
            f"{_percent(each.low)} and {_percent(each.high)}",
            f"{100 * each.margin:.3g} %",
        )
    return table


def _conclusion(comparison: Comparison) -> Text:
    verdict, pairs = comparison.verdict, len(comparison.candidate)
    if comparison.interleaved:
        how = f"in turn; wrong with a probability of at most {100 * comparison.error:.3g} %"
    else:
        how = "against recorded runs; right only if the machine is as it was"
    told = f", {_SAYS[verdict]} ({pairs} pairs of runs, {how})"
    return Text.assemble(f"{comparison.name}: ", (verdict.value, _STYLES[verdict]), told)


def runs_table(runs: Sequence[Run]) -> Table:
    """Return the median, the lowest and the highest of each figure."""
    table = _table("", "median", "lowest", "highest")
    middle = medians(runs)
    rows = (
        ("CPU time of a run", "cpu_seconds", _seconds),
        ("wall time of a run", "wall_seconds", _seconds),
        ("operations", "operations", _number),
        ("operations that failed", "failed", _number),
        ("CPU time of an operation", "cpu_per_operation", _seconds),
        ("operations per second", "throughput", _rate),
        ("latency, p50", "p50", _seconds),
        ("latency, p99", "p99", _seconds),
        ("time saturated", "saturation", _share),
    )
    for title, name, write in rows:
        values = [getattr(run, name) for run in runs]
        if getattr(middle, name) is not None:
            table.add_row(title, write(getattr(middle, name)), write(min(values)), write(max(values)))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))  # not wider than 80 columns
    for number, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if number < 1 or heading == "verdict" else "right"
        table.add_column(heading, justify=justify, no_wrap=heading != "surely between")
    return table


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}/s" if value >= 100 else f"{value:.3g}/s"


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _share(value: float) -> str:
    return f"{value:.0%}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _percent(share: float | None) -> str:
    if share is None:
        return "?"
    percent = 100 * share
    form = "+.1f" if abs(percent) < 10 else "+,.0f" if percent < 10_000 else "+.0e"
    return f"{percent:{form}} %"


_WRITTEN = {"throughput": _rate, "attempts": _ratio}
