"""Shows reports and rules to people, with rich."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from penstock_migrations._auditing.audit import Report
from penstock_migrations._counted import counted
from penstock_migrations.rule import Finding, Fix, Rule, Severity

__all__ = ["print_report", "print_rule", "progress_bar"]

_STYLES = {Severity.HIGH: "bold red", Severity.MEDIUM: "yellow", Severity.LOW: "cyan"}


def print_report(report: Report) -> None:
    """Print findings by file, what could not be read, and totals."""
    console = Console(highlight=False, soft_wrap=True)
    for finding in report.findings:
        console.print(_line(finding))
        console.print(Text(f"    {_hint(finding)}", style="dim"))
    for one in report.unreadable:
        console.print(Text.assemble((_printable(one.path), "bold"), f": not audited: {one.reason}"))
    if report.findings or report.unreadable:
        console.print()
    console.print(_totals(report))


def print_rule(rule: Rule) -> None:
    """Print a rule's documentation."""
    title = f"# {rule.code} {rule.name}\n\nIssue {rule.issue}, phase {rule.phase}.\n\n"
    Console().print(Markdown(title + rule.documentation))


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error while a long run lasts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield progress


def _line(finding: Finding) -> Text:
    return Text.assemble(
        (f"{_printable(finding.path)}:{finding.line}:{finding.column}", "bold"),
        " ",
        (finding.code, _STYLES[finding.severity]),
        f" {finding.severity}: {finding.message}",
    )


def _printable(path: str) -> str:
    """Show the bytes of a file name that are no text as escapes."""
    return path.encode(errors="backslashreplace").decode()


def _hint(finding: Finding) -> str:
    if finding.fix is Fix.SAFE:
        return "fix: safe, `penstock codemod` rewrites it"
    if finding.fix is Fix.REVIEW:
        return f"fix: to be reviewed: {finding.fix_reason}"
    return f"fix: by hand: {finding.fix_reason}"


def _totals(report: Report) -> str:
    read = f"{counted(report.files, 'file')} audited in {report.elapsed_seconds:.1f} s"
    if report.unreadable:
        read += f", {len(report.unreadable)} not"
    if not report.findings:
        return f"{read}: clean."
    fixes = Counter(finding.fix for finding in report.findings)
    parts = [f"{fixes[fix]} {word}" for fix, word in _FIXES.items() if fixes[fix]]
    return (
        f"{read}: {counted(len(report.findings), 'finding')} ({', '.join(parts)}). `penstock explain CODE` says more."
    )


_FIXES = {Fix.SAFE: "to be rewritten safely", Fix.REVIEW: "to be reviewed", Fix.NONE: "to be mended by hand"}
