"""Simulate, and say whether the bars are met: `python -m benchmarks.simulation [--seeds N] [--chart FILE]`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.simulation._chart import draw
from benchmarks.simulation._scenarios import SCENARIOS, STEADY, WITHIN, Outcome, Scenario, judge


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--seeds", default=10, show_default=True, help="How often each scenario is run, each time by other chance."
)
@click.option("--chart", type=click.Path(path_type=Path), help="Draw the first run of each scenario into an SVG file.")
def main(seeds: int, chart: Path | None) -> None:
    """Let adaptive limits find hidden capacities in virtual time.

    Exit status: 0 if the bars are met in every run, 1 if one is missed.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in (
        "scenario",
        "capacity",
        f"off by, of {WITHIN:.0%}",
        f"swing, of {STEADY:.0%}",
        "found after",
        "met",
    ):
        table.add_column(heading, justify="left" if heading == "scenario" else "right", no_wrap=True)
    first, met = [], True
    work = [(scenario, seed) for scenario in SCENARIOS for seed in range(seeds)]
    outcomes: dict[str, list[list[Outcome]]] = {}
    for scenario, seed in track(work, "simulating", console=Console(stderr=True), transient=True):
        points = scenario.run(seed)
        outcomes.setdefault(scenario.title, []).append(judge(scenario, points))
        if seed == 0:
            first.append((scenario, points))
    for scenario in SCENARIOS:
        met &= _add_rows(table, scenario, outcomes[scenario.title])
    Console().print(table)
    if chart is not None:
        draw(first, chart)
    sys.exit(0 if met else 1)


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
