"""The limit over time, beside the capacity that nobody told it."""

from __future__ import annotations

from pathlib import Path

from matplotlib import pyplot, rcParams
from matplotlib.axes import Axes

from benchmarks.simulation._scenarios import Scenario
from benchmarks.simulation._service import Point

INK, LIMIT, CAPACITY = "#8a8f98", "#2f7ed8", "#d9534f"  # readable on white and on black


def draw(runs: list[tuple[Scenario, list[Point]]], file: Path) -> None:
    """Draw one run of each scenario."""
    rcParams.update({"svg.hashsalt": "penstock", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"})
    rows = -(-len(runs) // 3)
    figure, panels = pyplot.subplots(rows, 3, figsize=(11, 2.6 * rows), layout="constrained", squeeze=False)
    for panel, (scenario, points) in zip(panels.flat, runs, strict=False):
        _panel(panel, scenario, points)
    for panel in list(panels.flat)[len(runs) :]:
        panel.remove()
    figure.patch.set_alpha(0)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def _panel(panel: Axes, scenario: Scenario, points: list[Point]) -> None:
    every = max(1, len(points) // 400)
    shown = points[::every]
    times = [point.time for point in shown]
    panel.plot(times, [scenario.phases[point.phase].capacity for point in shown], "--", color=CAPACITY, linewidth=1.2)
    panel.plot(times, [point.limit for point in shown], color=LIMIT, linewidth=1.2)
    panel.set_title(scenario.title, color=INK, fontsize=9)
    panel.set_ylim(bottom=0)
    panel.set_xlim(left=0)
    panel.patch.set_alpha(0)
    panel.tick_params(colors=INK, labelsize=8)
    for side, spine in panel.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
