"""Show results as one table for people, or as one JSON object for machines."""

from __future__ import annotations

import platform
from importlib.metadata import version

from rich import box
from rich.table import Table

from benchmarks._bar import Bar
from benchmarks._measure import Result

Results = list[tuple[Bar, int, list[Result]]]


def as_table(results: Results) -> Table:
    """Return the results of every bar as one table."""
    title = f"CPU time, best round, Python {platform.python_version()}"
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("contender", no_wrap=True)
    for heading in ("µs each", "ratio", "MiB", "met"):
        table.add_column(heading, justify="right", no_wrap=True)
    for bar, size, contenders in results:
        table.add_row(f"[bold]{size:,} {bar.title}[/]")
        for result in contenders:
            table.add_row(*_row(result))
        table.add_section()
    return table


def as_json(results: Results) -> dict[str, object]:
    """Return the results of every bar as one JSON object."""
    return {
        "version": 1,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "penstock_limits": version("penstock-limits"),
        "met": met(results),
        "bars": [
            {"title": bar.title, "size": size, "contenders": [_object(result) for result in contenders]}
            for bar, size, contenders in results
        ],
    }


def met(results: Results) -> bool:
    """Tell whether every bar is met."""
    return all(result.met is not False for _, _, contenders in results for result in contenders)


def _row(result: Result) -> tuple[str, ...]:
    return (
        f"  {result.contender.title}",
        f"{result.microseconds:,.2f}{_of(result.microseconds_at_most)}{_added(result)}",
        f"{result.ratio:.2f}{_of(result.ratio_at_most)}",
        f"{min(result.memory):,.1f}{_of(result.memory_at_most)}",
        {True: "[green]yes[/]", False: "[bold red]no[/]", None: ""}[result.met],
    )


def _of(allowed: float | None) -> str:
    return "" if allowed is None else f" of {allowed:g}"


def _added(result: Result) -> str:
    return "" if result.added_at_most is None else f" (+{result.added:.2f} of {result.added_at_most:g})"


def _object(result: Result) -> dict[str, object]:
    return {
        "title": result.contender.title,
        "cpu_seconds": result.cpu_seconds,
        "memory_mib": result.memory,
        "ratio": result.ratio,
        "ratio_at_most": result.ratio_at_most,
        "memory_at_most_mib": result.memory_at_most,
        "microseconds_each": result.microseconds,
        "microseconds_at_most": result.microseconds_at_most,
        "added_microseconds": result.added,
        "added_microseconds_at_most": result.added_at_most,
        "met": result.met,
    }
