"""Simulate, and say whether the bars are met: `python -m benchmarks.simulation [--seeds N] [--chart FILE]`."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.simulation._chart import draw, thinned
from benchmarks.simulation._scenarios import SCENARIOS, STEADY, WITHIN, Outcome, Scenario, judge
from benchmarks.simulation._service import Point


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How often each scenario is run, each time by other chance.",
)
@click.option("--chart", type=click.Path(path_type=Path), help="Draw the first run of each scenario into an SVG file.")
def main(seeds: int, chart: Path | None) -> None:
    """Let adaptive limits find hidden capacities in virtual time.

    Exit status: 0 if the bars are met in every run, 1 if one is missed.
    """
    runs: list[list[list[Outcome]]] = [[] for _ in SCENARIOS]
    first: list[tuple[Scenario, list[Point]]] = []
    work = list(product(range(len(SCENARIOS)), range(seeds)))
    with ProcessPoolExecutor() as processes:
        results = processes.map(_simulate, *zip(*work, strict=True))
        shown = track(results, "simulating", total=len(work), console=Console(stderr=True), transient=True)
        for (number, seed), (outcomes, points) in zip(work, shown, strict=True):
            runs[number].append(outcomes)
            if seed == 0:
                first.append((SCENARIOS[number], points))
    table, met = _report(runs)
    Console().print(table)
    if chart is not None:
        draw(first, chart)
    sys.exit(0 if met else 1)


def _simulate(number: int, seed: int) -> tuple[list[Outcome], list[Point]]:
    """Run a scenario once; return how it did, and as many points as a chart can show."""
    scenario = SCENARIOS[number]
    points = scenario.run(seed)
    return judge(scenario, points), thinned(points)


def _report(runs: list[list[list[Outcome]]]) -> tuple[Table, bool]:
    """Say how all scenarios did, and whether the bars are met."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column(f"worst of {len(runs[0])} runs", no_wrap=True)
    for heading in (
        "capacity",
        f"off by\nof {WITHIN:.0%}",
        f"swing\nof {STEADY:.0%}",
        "found after\nround trips",
        "met",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    met = [_add_rows(table, scenario, outcomes) for scenario, outcomes in zip(SCENARIOS, runs, strict=True)]
    return table, all(met)


def _add_rows(table: Table, scenario: Scenario, runs: list[list[Outcome]]) -> bool:
    """Add the worst of all runs, phase by phase; tell whether it meets the bars."""
    all_met = True
    for number, phase in enumerate(zip(*runs, strict=True)):
        met = all(outcome.met for outcome in phase) or not scenario.judged
        all_met &= met
        trips = [outcome.round_trips for outcome in phase]
        table.add_row(
            "" if number else scenario.title,
            str(phase[0].capacity),
            f"{max((outcome.error for outcome in phase), key=abs):+.0%}",
            f"{max(outcome.swing for outcome in phase):.0%}",
            "never" if None in trips else f"{max(trip for trip in trips if trip is not None):.0f}",
            "" if not scenario.judged else "[green]yes[/]" if met else "[bold red]no[/]",
        )
    return all_met


if __name__ == "__main__":
    main()
