"""Draw results: one panel for each bar, one row for each contender."""

from __future__ import annotations

from pathlib import Path

from matplotlib import pyplot, rcParams
from matplotlib.axes import Axes

from benchmarks._measure import Result
from benchmarks._report import Results

INK, PEER, OURS, ALLOWED = "#8a8f98", "#b8bec7", "#2f7ed8", "#d9534f"  # readable on white and on black


def draw(results: Results, file: Path) -> None:
    """Draw the CPU time of every contender, in terms of each bar's first, into an SVG file."""
    rcParams.update({"svg.hashsalt": "penstock", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"})
    results = [each for each in results if len(_shown(each[2])) > 1]
    rows = -(-len(results) // 2)
    figure, panels = pyplot.subplots(rows, 2, figsize=(11, 2.1 * rows), layout="constrained", squeeze=False)
    for panel, (bar, size, contenders) in zip(panels.flat, results, strict=False):
        _panel(panel, f"{size:,} {bar.title}", contenders)
    for panel in list(panels.flat)[len(results) :]:
        panel.remove()
    figure.patch.set_alpha(0)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def _shown(contenders: list[Result]) -> list[Result]:
    return [result for result in contenders if result.ratio < 15]  # one that is far off would hide all others


def _panel(panel: Axes, title: str, contenders: list[Result]) -> None:
    shown = _shown(contenders)
    for row, result in enumerate(reversed(shown)):
        panel.barh(row, result.ratio, color=PEER if result.met is None else OURS, height=0.6)
        beside = max(result.ratio, result.ratio_at_most or 0)
        panel.text(beside, row, f"  {result.ratio:.2f}", va="center", color=INK, fontsize=8)
        if result.ratio_at_most is not None:
            panel.plot([result.ratio_at_most] * 2, [row - 0.4, row + 0.4], color=ALLOWED, linewidth=1.5)
    panel.set_yticks(range(len(shown)), [result.contender.title for result in reversed(shown)], color=INK)
    panel.set_title(title, color=INK, fontsize=9, loc="left")
    panel.patch.set_alpha(0)
    panel.margins(x=0.12)
    panel.tick_params(colors=INK, labelsize=8, length=0)
    for side, spine in panel.spines.items():
        spine.set_visible(side == "left")
        spine.set_color(INK)
    panel.set_xticks([])
