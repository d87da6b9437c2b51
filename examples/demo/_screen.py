"""What the demo shows on a terminal; plain lines where there is none."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from examples.demo._checks import Check
from examples.demo._measure import Figures

__all__ = ["COLUMNS", "Screen"]

# Heading, and how a load's figure is written; the HTML report shows the same.
COLUMNS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("peak\ncalls", lambda each: f"{each.peak}"),
    ("429s\n", lambda each: f"{each.refused}"),
    ("lost\n", lambda each: f"{each.lost}"),
    ("calls\nper s", lambda each: f"{each.throughput:.0f}"),
    ("p50\ns", lambda each: f"{each.p50:.2f}"),
    ("p99\ns", lambda each: f"{each.p99:.2f}"),
    ("job\ns", lambda each: f"{each.seconds:.1f}"),
    ("memory\nMiB", lambda each: f"{each.memory:.0f}"),
    ("peak\nconns", lambda each: f"{each.connections}"),
    ("conns\nopened", lambda each: f"{each.opened}"),
)


class Screen:
    """Shows steps as they happen."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._number = 0

    @contextlib.contextmanager
    def step(self, title: str, command: str = "") -> Iterator[None]:
        """Show what is being done, and at its end how long it took."""
        self._number += 1
        heading = Text.assemble((f"{self._number:2}. {title}", "bold"), ("  " + command, "cyan"))
        started = time.monotonic()
        with self.console.status(heading):
            yield
        took = Text(f"{time.monotonic() - started:5.1f} s ", "dim")
        self.console.print(took + heading, overflow="ellipsis", no_wrap=True)

    def lines(self, text: str) -> None:
        """Show a command's output."""
        for line in text.strip().splitlines():
            if line.strip():
                self.console.print(Text("        " + line), overflow="ellipsis", no_wrap=True)

    def diff(self, text: str) -> None:
        """Show a unified diff in colours."""
        self.console.print(Syntax(text.rstrip(), "diff", theme="ansi_dark", background_color="default", word_wrap=True))

    def findings(self, findings: Iterable[Mapping[str, Any]]) -> None:
        """Show what the audit found."""
        for each in findings:
            place = f"{each['path']}:{each['line']}"
            fix = "rewritten safely" if each["fix"] == "safe" else f"left to you: {each['fix_reason']}"
            line = Text.assemble("        ", (each["code"], "bold red"), f" {place:33} ", (fix, "dim"))
            self.console.print(line, overflow="ellipsis", no_wrap=True)

    def figures(self, figures: Iterable[Figures]) -> None:
        """Show the one table."""
        table = Table(
            title="The same job, before and after",
            title_justify="left",
            box=box.SIMPLE_HEAVY,
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        table.add_column("", no_wrap=True)
        for heading, _ in COLUMNS:
            table.add_column(heading, justify="right")
        for each in figures:
            style = "green" if each.name == "enforce" else ""
            table.add_row(each.name, *(write(each) for _, write in COLUMNS), style=style)
        self.console.print()
        self.console.print(table)

    def checks(self, checks: Iterable[Check]) -> None:
        """Show each claim, and whether it holds."""
        table = Table.grid(padding=(0, 2))
        for check in checks:
            mark = Text("holds", "green") if check.holds else Text("FAILS", "bold red")
            table.add_row(mark, Text.assemble(check.name, (": " + check.figures, "dim")))
        self.console.print()
        self.console.print(table)
