"""The report as plain text: one line for each finding that `grep` and editors understand, with its code and remedy."""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._auditing.audit import Report
from penstock_migrations._reporting.context import Context
from penstock_migrations._reporting.sources import printable
from penstock_migrations._reporting.words import compared, remedy, totals, unused
from penstock_migrations.rule import Finding

__all__ = ["render"]


def render(report: Report, context: Context) -> str:
    """Return the report as text."""
    lines = [line for finding in report.findings for line in _finding(finding, context)]
    lines += [f"{printable(one.path)}: not audited: {printable(one.reason)}" for one in report.unreadable]
    lines += [f"{printable(one.path)}:{one.line}: {unused(one)}" for one in report.unused]
    return "\n".join([*lines, *([""] if lines else []), totals(report), *compared(context)])


def _finding(finding: Finding, context: Context) -> Iterator[str]:
    place = f"{printable(finding.path)}:{finding.line}:{finding.column}"
    yield f"{place} {finding.code} {finding.severity}: {printable(finding.message)}"
    line = context.sources.line(finding)
    if line is not None:
        yield f"    | {printable(line.strip())}"
    yield f"    {printable(remedy(finding))}"
