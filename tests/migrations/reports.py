"""Reports made by hand."""

from __future__ import annotations

import dataclasses

from penstock_migrations._auditing.audit import Report, Unreadable, Unused
from penstock_migrations.rule import Fix, Severity

from tests.migrations.project import finding

DEFECT = "import asyncio\n\nasync def run(xs):\n    await asyncio.gather(*[f(x) for x in xs])\n"


def found(**more):
    """Return a finding of rule PEN101 with some facts of its own."""
    facts = {
        "message": "it starts `f` for each",
        "fingerprint": "f0",
        "function": "run",
        "fix": Fix.SAFE,
        "end_line": more.get("line", 1),
        **more,
    }
    return dataclasses.replace(finding(), **facts)


def report(*findings, unreadable=(), unused=()):
    """Return a report of these findings."""
    return Report(3, tuple(unreadable), tuple(findings), 0.25, tuple(unused))


FULL = report(
    found(path="agents/a.py", line=4, severity=Severity.HIGH),
    found(path="agents/b.py", line=7, severity=Severity.MEDIUM, fix=Fix.REVIEW, fix_reason="callers decide"),
    found(path="tools/c.py", line=1, severity=Severity.LOW, fix=Fix.NONE, fix_reason="it may not end", function=None),
    unreadable=[Unreadable("agents/bad.py", "does not parse")],
    unused=[Unused("agents/a.py", 9, ("PEN101",))],
)
