"""The report as failure records (FRACAS) in Markdown: one for each critical issue that was found."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from penstock_migrations._auditing.audit import Report
from penstock_migrations._auditing.rules import rules
from penstock_migrations._counted import counted
from penstock_migrations._reporting.context import Context
from penstock_migrations._reporting.markdown import code, escaped
from penstock_migrations._reporting.words import ISSUES, PHASES, by_severity, compared, totals
from penstock_migrations.rule import Finding, Fix, Rule

__all__ = ["render"]

_PLACES = 10


def render(report: Report, context: Context) -> str:
    """Return the failure records."""
    audited = " ".join(map(str, context.paths)) or "."
    issues = sorted({finding.issue for finding in report.findings})
    head = ["# Failure record: concurrency", "", f"Evidence: `penstock audit {audited}`. {escaped(totals(report))}"]
    head += [escaped(line) for line in compared(context)]
    if report.unreadable:
        head.append(f"Not audited, so not in this record: {counted(len(report.unreadable), 'file')}.")
    records = [_record(issue, [each for each in report.findings if each.issue == issue], audited) for issue in issues]
    return "\n\n".join(["\n".join(head), *records, *([] if records else ["Nothing was found."])])


def _record(issue: int, findings: Sequence[Finding], audited: str) -> str:
    found = {finding.code for finding in findings}
    concerned = [rule for rule in rules() if rule.code in found]
    phase = findings[0].phase
    facts = [
        ("Failure", f"{ISSUES[issue]}: {counted(len(findings), 'place')}"),
        ("Severity", by_severity(findings)),
        ("Rules", ", ".join(f"{rule.code} {rule.name}" for rule in concerned)),
        ("Mended by", f"phase {phase}, {PHASES[phase]}"),
        ("Found on", f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"),
        ("State", "open"),
    ]
    table = "| field | value |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in facts)
    parts = [f"## Record {issue}: {ISSUES[issue]}", table, "### What was seen", *_what(concerned)]
    parts += ["### Where", _where(findings), "### Cause", *_told(concerned, "Why is this bad")]
    parts += ["### Corrective action", _fixes(findings), *_told(concerned, "Use instead")]
    check = f"penstock audit {audited} --select {issue}"
    parts += ["### Verification", f"```bash\n{check}\n```", "Ends with status 0 when nothing of this issue is left."]
    return "\n\n".join(parts)


def _what(concerned: Sequence[Rule]) -> Iterator[str]:
    for rule in concerned:
        yield f"**{rule.code}** {escaped(rule.documentation.partition(chr(10))[0])}"


def _where(findings: Sequence[Finding]) -> str:
    files = Counter(finding.path for finding in findings)
    shown = files.most_common(_PLACES)
    lines = []
    for path, number in shown:
        places = [finding for finding in findings if finding.path == path]
        listed = ", ".join(str(finding.line) for finding in places[:_PLACES]) + (", ..." if number > _PLACES else "")
        lines.append(f"| {code(path)} | {number} | {listed} |")
    rest = len(files) - len(shown)
    table = "| file | places | lines |\n|---|---:|---|\n" + "\n".join(lines)
    return table + (f"\n\nAnd {counted(rest, 'more file')}." if rest else "")


def _told(concerned: Sequence[Rule], heading: str) -> Iterator[str]:
    """Yield what the rules' own documentation says beneath a heading."""
    for rule in concerned:
        found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", rule.documentation, flags=re.MULTILINE | re.DOTALL)
        if found is not None and found[1].strip():
            yield f"**{rule.code}** {rule.name}:\n\n{found[1].strip()}"


def _fixes(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.fix for finding in findings)
    ways = {
        Fix.SAFE: "rewritten by `penstock codemod --write`",
        Fix.REVIEW: "rewritten by `penstock codemod --review --write`, then reviewed",
        Fix.NONE: "mended by hand",
    }
    return "\n".join(f"- {counts[fix]} to be {way}" for fix, way in ways.items() if counts[fix])
