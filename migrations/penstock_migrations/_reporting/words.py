"""The words and figures that all formats share."""

from __future__ import annotations

import os.path
from collections import Counter
from collections.abc import Iterable

from penstock_migrations._auditing.audit import Report, Unused
from penstock_migrations._counted import counted
from penstock_migrations._reporting.context import Context
from penstock_migrations.rule import Finding, Fix, Severity

__all__ = ["ISSUES", "PHASES", "advice", "by_severity", "compared", "packages", "remedy", "totals", "unused"]

ISSUES = {
    1: "Unbounded fan-out",
    2: "Unmanaged database connections",
    3: "Threads without a lifecycle",
    4: "Deprecated async patterns",
    5: "Mixed concurrency models",
    6: "Resource leaks",
    7: "Circuit breakers bypassed",
    8: "Retries without jitter",
}
PHASES = {1: "stabilization", 2: "modernization", 3: "integration", 4: "maintenance"}
_FIXES = {Fix.SAFE: "to be rewritten safely", Fix.REVIEW: "to be reviewed", Fix.NONE: "to be mended by hand"}


def remedy(finding: Finding) -> str:
    """Return how a finding is mended, in one line."""
    if finding.fix is Fix.SAFE:
        known = f"; {finding.fix_reason}" if finding.fix_reason else ""
        return f"fix: safe, `penstock codemod` rewrites it{known}"
    if finding.fix is Fix.REVIEW:
        return f"fix: to be reviewed: {finding.fix_reason}"
    return f"fix: by hand: {finding.fix_reason or 'see `penstock explain ' + finding.code + '`'}"


def unused(one: Unused) -> str:
    """Say that a comment suppresses nothing."""
    named = f" of {', '.join(one.codes)}" if one.codes else ""
    return f"this ignore{named} suppresses nothing: remove it"


def totals(report: Report) -> str:
    """Return how much was read and found."""
    read = f"{counted(report.files, 'file')} audited in {report.elapsed_seconds:.1f} s"
    if report.unreadable:
        read += f", {len(report.unreadable)} not"
    if not report.findings:
        return f"{read}: clean."
    fixes = Counter(finding.fix for finding in report.findings)
    parts = [f"{fixes[fix]} {word}" for fix, word in _FIXES.items() if fixes[fix]]
    found = counted(len(report.findings), "finding")
    return f"{read}: {found} ({', '.join(parts)}). `penstock explain CODE` says more."


def compared(context: Context) -> list[str]:
    """Return what the report leaves out: what the baseline knows, and lines that have not changed."""
    lines = []
    if context.trend is not None:
        known, fixed = len(context.trend.known), sum(entry.count for entry in context.trend.fixed)
        lines.append(f"Baseline {context.baseline}: {counted(known, 'known finding')} not reported, {fixed} fixed.")
    return [*lines, *advice(context)]


def advice(context: Context) -> list[str]:
    """Say what to do about what is fixed, and which lines are reported."""
    lines = []
    if context.trend is not None and context.trend.fixed:
        paths = " ".join(map(str, context.paths))
        lines.append(f"Keep them fixed: penstock baseline update {paths} --baseline {context.baseline}")
    if context.since is not None:
        lines.append(f"Only lines changed since {context.since} are reported.")
    return lines


def by_severity(findings: Iterable[Finding]) -> str:
    """Return `2 high, 1 low`; empty if there are none."""
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(f"{counts[one]} {one}" for one in Severity if counts[one])


def packages(paths: Iterable[str]) -> dict[str, str]:
    """Return the top-level folder of each path, beneath the folder that all of them share."""
    paths = set(paths)
    folders = [path.rpartition("/")[0] for path in paths]
    shared = os.path.commonpath(folders) if folders and all(folders) else ""
    return {path: _package(path, shared) for path in paths}


def _package(path: str, shared: str) -> str:
    first, inner, _ = path[len(shared) :].lstrip("/").partition("/")
    return f"{shared}/{first}".lstrip("/") if inner else shared or "."
