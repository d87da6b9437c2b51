"""Measure, and say which bars are met: `python -m benchmarks [--quick] [--json] [BAR...]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks._bar import load, names
from benchmarks._chart import draw
from benchmarks._measure import measure, rounds
from benchmarks._report import Results, as_json, as_table, met


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("only", metavar="[BAR]...", nargs=-1, type=click.Choice(names()))
@click.option("--quick", is_flag=True, help="Fewer rounds and less work; a bar that is about more work is not judged.")
@click.option("--json", "json_output", is_flag=True, help="Print one JSON object in place of the table.")
@click.option("--chart", type=click.Path(path_type=Path), help="Draw the ratios into an SVG file, too.")
def main(only: tuple[str, ...], *, quick: bool, json_output: bool, chart: Path | None) -> None:
    """Compare CPU time and memory with installed peers, each measured in an interpreter of its own.

    Exit status: 0 if every bar is met, 1 if one is missed.
    """
    results = run(list(only) or names(), quick=quick)
    if json_output:
        click.echo(json.dumps(as_json(results), indent=2))
    else:
        Console(width=max(100, Console().width)).print(as_table(results))
    if chart is not None:
        draw(results, chart)
    sys.exit(0 if met(results) else 1)


def run(chosen: list[str], *, quick: bool) -> Results:
    """Measure the chosen bars and show progress on stderr."""
    bars = [(name, load(name)) for name in chosen]
    total = sum(rounds(bar, quick=quick) * len(bar.contenders) for _, bar in bars)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        advance = _Advance(progress, task)
        return [
            (bar, bar.quick_size if quick else bar.size, measure(name, bar, quick=quick, advance=advance))
            for name, bar in bars
        ]


class _Advance:
    """Moves the progress bar each time a contender starts; the first start has finished nothing yet."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._started = 0

    def __call__(self, description: str) -> None:
        self._progress.update(self._task, completed=self._started, description=description)
        self._started += 1


if __name__ == "__main__":
    main()
