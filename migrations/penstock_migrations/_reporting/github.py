"""The report as workflow commands, which GitHub shows beside the changed lines of a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from penstock_migrations._auditing.audit import Report
from penstock_migrations._reporting.context import Context
from penstock_migrations._reporting.sources import printable
from penstock_migrations._reporting.words import compared, remedy, totals, unused
from penstock_migrations.rule import Severity

__all__ = ["render"]

_LEVELS = {Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "notice"}


def render(report: Report, context: Context) -> str:
    """Return the report as workflow commands, and the totals as lines of the log."""
    return "\n".join([*_commands(report), totals(report), *compared(context)])


def _commands(report: Report) -> Iterator[str]:
    for finding in report.findings:
        yield _command(
            _LEVELS[finding.severity],
            f"{finding.message}\n{remedy(finding)}",
            file=finding.path,
            line=finding.line,
            endLine=finding.end_line,
            col=finding.column,
            title=f"{finding.code} {finding.name}",
        )
    for one in report.unreadable:
        yield _command("warning", f"not audited: {one.reason}", file=one.path, title="penstock audit")
    for each in report.unused:
        yield _command("notice", unused(each), file=each.path, line=each.line, title="penstock audit")


def _command(level: str, message: str, **properties: str | int) -> str:
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{level} {listed}::{_data(message)}"


def _data(text: str) -> str:
    lines = [printable(line) for line in text.replace("\r", "\n").split("\n")]
    return "%0A".join(line.replace("%", "%25") for line in lines)


def _property(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(escaped.replace(":", "%3A").replace(",", "%2C"))
