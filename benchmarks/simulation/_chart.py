"""The limit over time, beside the capacity that nobody told it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from matplotlib import pyplot, rcParams
from matplotlib.axes import Axes

from benchmarks.simulation._scenarios import Scenario
from benchmarks.simulation._service import Point

INK, LIMIT, CAPACITY = "#8a8f98", "#2f7ed8", "#d9534f"  # readable on white and on black


SHOWN = 400  # points; as many as a panel is wide


def thinned(points: list[Point]) -> list[Point]:
    """Return as many points as a panel can show: those at which something changes, or some of them."""
    changes = [
        point for before, point in pairwise(points) if (before.limit, before.phase) != (point.limit, point.phase)
    ]
    every = -(-len(changes) // SHOWN)
    return [points[0], *changes[:: max(1, every)], points[-1]]


def draw(runs: list[tuple[Scenario, list[Point]]], file: Path) -> None:
    """Draw one run of each scenario."""
    rcParams.update({"svg.hashsalt": "penstock", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"})
    rows = -(-len(runs) // 3)
    figure, panels = pyplot.subplots(rows, 3, figsize=(11, 2.1 * rows), layout="constrained", squeeze=False)
    for panel, (scenario, points) in zip(panels.flat, runs, strict=False):
        _panel(panel, scenario, points)
    for panel in list(panels.flat)[len(runs) :]:
        panel.remove()
    figure.supxlabel("virtual seconds", color=INK, fontsize=8)
    figure.supylabel("calls at once", color=INK, fontsize=8)
    figure.patch.set_alpha(0)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def _panel(panel: Axes, scenario: Scenario, points: list[Point]) -> None:
    times = [point.time for point in points]
    starts = [next(point.time for point in points if point.phase == number) for number in range(len(scenario.phases))]
    capacities = [phase.capacity for phase in (*scenario.phases, scenario.phases[-1])]
    panel.step([*starts, times[-1]], capacities, "--", where="post", color=CAPACITY, linewidth=1.2)
    panel.step(times, [point.limit for point in points], where="post", color=LIMIT, linewidth=1)
    panel.set_title(scenario.title, color=INK, fontsize=9, loc="left")
    panel.set_ylim(bottom=0)
    panel.set_xlim(0, times[-1])
    panel.patch.set_alpha(0)
    panel.tick_params(colors=INK, labelsize=8)
    for side, spine in panel.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
