"""The report for people at a terminal: by file, with the code, coloured, and a table of what there is at the end."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from penstock_migrations._auditing.audit import Report
from penstock_migrations._counted import counted
from penstock_migrations._reporting.context import Context
from penstock_migrations._reporting.sources import printable
from penstock_migrations._reporting.words import ISSUES, compared, remedy, totals, unused
from penstock_migrations.rule import Finding, Severity

__all__ = ["show"]

_STYLES = {Severity.HIGH: "bold red", Severity.MEDIUM: "yellow", Severity.LOW: "cyan"}


def show(report: Report, context: Context, console: Console) -> None:
    """Print the report."""
    syntax = Syntax("", "python", theme="ansi_dark", background_color="default")
    for path, group in groupby(report.findings, key=lambda finding: finding.path):
        findings = list(group)
        _heading(path, len(findings), context, console)
        for finding in findings:
            _show_finding(finding, context, console, syntax)
    for one in report.unreadable:
        told = Text.assemble((printable(one.path), "bold"), f": not audited: {printable(one.reason)}")
        console.print(told, soft_wrap=False)
    for each in report.unused:
        console.print(Text.assemble((f"{printable(each.path)}:{each.line}", "bold"), f": {unused(each)}"))
    if report.unreadable or report.unused:
        console.print()
    if report.findings:
        console.print(_table(report.findings))
        console.print()
    console.print(Text(totals(report)), soft_wrap=False)
    for line in compared(context):
        console.print(Text(line))


def _heading(path: str, number: int, context: Context, console: Console) -> None:
    file = context.sources.file(path)
    style = Style(bold=True, underline=True, link=file.absolute().as_uri() if file else None)
    console.print(Text.assemble((printable(path), style), (f"  {counted(number, 'finding')}", "dim")))


def _show_finding(finding: Finding, context: Context, console: Console, syntax: Syntax) -> None:
    style = _STYLES[finding.severity]
    place, name = f"{finding.line}:{finding.column}", f"{finding.code} {finding.name}"
    console.print(Text.assemble("  ", (place, "bold"), " ", (finding.severity, style), " ", (name, style)))
    _indented(Text(printable(finding.message)), console)
    line = context.sources.line(finding)
    if line is not None:
        code = syntax.highlight(printable(line.strip()))
        code.rstrip()
        shown = Text.assemble(("│ ", "dim"), code, no_wrap=True, overflow="ellipsis")
        console.print(Padding(shown, (0, 0, 0, 4)), soft_wrap=False, no_wrap=True, overflow="ellipsis")
    _indented(Text(printable(remedy(finding)), style="dim"), console)
    console.print()


def _indented(text: Text, console: Console) -> None:
    console.print(Padding(text, (0, 0, 0, 4)), soft_wrap=False)


def _table(findings: tuple[Finding, ...]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, show_footer=True)
    table.add_column("Issue", footer="All")
    counts = Counter((finding.issue, finding.severity) for finding in findings)
    for severity in Severity:
        number = sum(finding.severity is severity for finding in findings)
        table.add_column(str(severity), footer=str(number or "-"), justify="right", style=_STYLES[severity])
    table.add_column("all", footer=str(len(findings)), justify="right", style="bold")
    for issue in sorted({finding.issue for finding in findings}):
        row = [counts[issue, severity] for severity in Severity]
        table.add_row(f"{issue} {ISSUES[issue]}", *(str(number or "-") for number in row), str(sum(row)))
    return table
