"""The report as Markdown, for a comment on a pull request: a table for each issue."""

from __future__ import annotations

import re
from itertools import groupby

from penstock_migrations._auditing.audit import Report
from penstock_migrations._counted import counted
from penstock_migrations._reporting.context import Context
from penstock_migrations._reporting.sources import printable
from penstock_migrations._reporting.words import ISSUES, by_severity, compared, remedy, totals, unused
from penstock_migrations.rule import Finding

__all__ = ["code", "escaped", "render"]

_ROWS = 25  # for an issue: a comment holds 65,536 characters


def render(report: Report, context: Context) -> str:
    """Return the report as Markdown."""
    sections = [f"## penstock audit: {_summary(report)}"]
    for issue, group in groupby(sorted(report.findings, key=lambda each: each.issue), key=lambda each: each.issue):
        sections.append(_table(issue, list(group)))
    notes = [f"- {code(one.path)}: not audited: {escaped(one.reason)}" for one in report.unreadable]
    notes += [f"- {code(f'{each.path}:{each.line}')}: {escaped(unused(each))}" for each in report.unused]
    if notes:
        sections.append("### Notes\n\n" + "\n".join(notes))
    sections.append("\n".join(escaped(line) + "  " for line in [totals(report), *compared(context)]).rstrip())
    return "\n\n".join(sections)


def _summary(report: Report) -> str:
    if not report.findings:
        return "clean"
    return f"{counted(len(report.findings), 'finding')} ({by_severity(report.findings)})"


def _table(issue: int, findings: list[Finding]) -> str:
    rows = [
        f"| {finding.severity} | {code(f'{finding.path}:{finding.line}')} | {finding.code} | "
        f"{escaped(finding.message)} | {escaped(remedy(finding))} |"
        for finding in findings[:_ROWS]
    ]
    head = f"### Issue {issue}: {ISSUES[issue]} ({len(findings)})\n\n"
    table = "| severity | place | rule | what | remedy |\n|---|---|---|---|---|\n" + "\n".join(rows)
    rest = len(findings) - _ROWS
    return head + table + (f"\n\n{rest:,} more: `penstock audit --select {issue}`." if rest > 0 else "")


def code(text: str) -> str:
    """Return a code span that may stand in a table."""
    shown = printable(text).replace("|", "\\|")
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    gap = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{gap}{shown}{gap}{fence}"


def escaped(text: str) -> str:
    """Return a text that shows as it is, in a table too; what stands between backticks stays code."""
    parts = printable(text).split("`")
    if len(parts) % 2 == 0:  # a backtick without its partner
        return _plain(printable(text)).replace("`", "\\`")
    return "".join(code(part) if index % 2 and part else _plain(part) for index, part in enumerate(parts))


def _plain(text: str) -> str:
    marked = re.sub(r"([\\*_\[\]#|~])", r"\\\1", text)
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
